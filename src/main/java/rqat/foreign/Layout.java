package rqat.foreign;

import java.util.List;
import rqat.format.CodedWeight;

/// One way to keep coded maps in safetensors files.
sealed interface Layout permits GptqLayout, AwqLayout, CompressedTensorsLayout, MlxLayout {

    /// The suffix of the tensor that only coded maps have: `qweight` in `model.layers.0.mlp.up_proj.qweight`.
    String mark();

    /// The suffixes of all tensors that a coded map may have beside its bias.
    List<String> parts();

    /// What a configuration says of all maps at once; 0 where it says nothing, or makes exceptions.
    ///
    /// @param groupSize -1 for whole rows
    record Label(int bits, int groupSize) {
        /// Nothing.
        static final Label NONE = new Label(0, 0);

        /// Refuses a weight of another grid: either the label or the shapes are wrong.
        void check(Tensors tensors, String module, int foundBits, int columns, int groups) {
            int expected = groupSize < 0 ? 1 : groupSize == 0 ? groups : Math.max(1, (columns + groupSize - 1) / groupSize);
            if (bits != 0 && bits != foundBits || groups != expected) {
                throw tensors.bad(module, "has %d bits in %d groups of %d columns; the configuration says %d bits in groups of %d"
                        .formatted(foundBits, groups, columns / groups, bits, groupSize));
            }
        }
    }

    /// The weight `MODULE.weight` of `rows` outputs and `columns` inputs.
    ///
    /// @throws rqat.Failure BAD_FILE when its tensors are missing, of other types or shapes, or hold what no grid of ours can be
    CodedWeight read(String module, int rows, int columns);
}
