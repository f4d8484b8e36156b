package rqat.quant;

import com.fasterxml.jackson.annotation.JsonTypeName;
import java.util.List;
import rqat.format.GridSpec;
import rqat.format.ScaleMode;

/// What another tool did to a model that was imported ([ForeignWeights]); nothing that [Quantiser] can do again.
///
/// @param grid   of the first map; others may have others
/// @param format in which the model came: `gptq`, `awq`, `compressed-tensors`, `gguf`...
@JsonTypeName("imported")
public record Imported(GridSpec grid, String format) implements Method {
    @Override
    public boolean readsText() {
        return false;
    }

    @Override
    public ScaleMode quantise(Quantisation work) {
        throw new IllegalStateException("what another tool did cannot be done again");
    }

    @Override
    public Cost cost(Sizes sizes, List<int[]> windows) {
        return Cost.NONE;
    }
}
