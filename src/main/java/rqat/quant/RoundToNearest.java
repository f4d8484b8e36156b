package rqat.quant;

import com.fasterxml.jackson.annotation.JsonTypeName;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import rqat.format.GridSpec;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.tensor.Grad;
import rqat.tensor.Scope;

/// Every weight to its nearest point on the grid, without data (docs/methods/round-to-nearest.md). The latents are the original weights.
///
/// @param clipSearch NONE refits the range of every group while training (paper, equation 1); with MSE the searched scales are kept
@JsonTypeName("rtn")
public record RoundToNearest(GridSpec grid, ClipSearch clipSearch) implements Method {
    /// What a recipe says under `rtn`.
    ///
    /// @param symmetric see [GridSpec]
    public record Settings(boolean symmetric, ClipSearch clipSearch) implements Method.Settings {
        @Override
        public RoundToNearest of(int bits, int groupSize, ScaleType scaleType) {
            return new RoundToNearest(new GridSpec(bits, groupSize, symmetric, scaleType), clipSearch);
        }

        @Override
        public Map<String, Method> presets() {
            return Method.presets(List.of(2, 3, 4), "w%dg128-rtn", RoundToNearest::paper);
        }
    }

    /// The paper's: symmetric, abs-max, groups of 128, float32 scales.
    public static RoundToNearest paper(int bits) {
        return new Settings(true, ClipSearch.NONE).of(bits, 128, ScaleType.FLOAT32);
    }

    @Override
    public boolean readsText() {
        return false;
    }

    @Override
    public ScaleMode quantise(Quantisation work) {
        work.specs().forEach((name, spec) -> Grad.off(() -> Scope.run(() -> {
            Tensor weight = work.latents().get(name);
            Grid grid = Grid.fit(spec, weight, clipSearch);
            work.done(name, grid, Quantisation.ratio(weight.sub(grid.fakeQuantise(weight)).square(), weight.square()));
        })));
        // A searched range is narrower than the full one, which would be another model.
        return clipSearch == ClipSearch.NONE ? ScaleMode.DYNAMIC : ScaleMode.STATIC;
    }

    /// None: it reads no text.
    @Override
    public Cost cost(Sizes sizes, List<int[]> windows) {
        return Cost.NONE;
    }
}
