package rqat.export;

import java.util.List;
import java.util.SequencedMap;
import java.util.function.Supplier;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.TensorSource;
import tools.jackson.databind.node.ObjectNode;

/// A way to keep coded weights in the safetensors files of a Hugging Face model directory. What is not coded stays under its own name.
sealed interface SafetensorsContainer permits GptqContainer, CompressedTensorsContainer, AwqContainer, MlxContainer {

    /// What a weight becomes.
    ///
    /// @param source gives the weight again when its codes are written
    /// @throws Unfit when bits, groups or shape do not fit
    Recoded fit(CodedWeight weight, Supplier<CodedWeight> source);

    /// The tensors that stand for a weight, by their names.
    ///
    /// @param scaleType F16, BF16 or F32: what scales are rounded to
    SequencedMap<String, TensorSource> tensors(Recoded weight, DataType scaleType);

    /// What readers dequantise a row to, in float32, when scales are of `scaleType`.
    default void values(Recoded.Codes weight, DataType scaleType, int row, float[] into) {
        int[] steps = new int[into.length];
        weight.steps(row, steps);
        Recoded grid = weight.grid();
        for (int group = 0, column = 0; group < grid.groups(); group++) {
            float scale = scaleType.round(weight.scale(row, group));
            for (int end = column + grid.groupColumns(); column < end; column++) into[column] = scale * steps[column];
        }
    }

    /// The grid that all weights have in common, as a configuration says it.
    ///
    /// @param groupSize columns that share a scale, 0 for whole rows
    record CommonGrid(int bits, boolean symmetric, int groupSize) {
        /// As GPTQ and AWQ say it: -1 for whole rows.
        int signedGroupSize() {
            return groupSize == 0 ? -1 : groupSize;
        }
    }

    /// Adds to a `config.json` what readers of this container look for.
    ///
    /// @param unquantised the names of linear maps of blocks that are not coded, without `.weight`
    void describe(ObjectNode config, CommonGrid grid, List<String> unquantised);

    /// Whether a configuration says one group size, the source's, for all weights.
    default boolean hasCommonGroups() {
        return true;
    }

    /// The `format` of the files' metadata.
    default String metadata() {
        return "pt";
    }

    /// The name of a linear map: its weight's without `.weight`.
    static String module(String weight) {
        return weight.substring(0, weight.length() - ".weight".length());
    }
}
