package rqat.foreign;

import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.format.CodedWeight;
import rqat.io.HostTensor;
import tools.jackson.databind.JsonNode;

/// MLX's affine layout: `weight` U32 `[N, K * bits / 32]`, the codes of each row, `scales` and `biases` `[N, groups]`; a weight is `scale * code + bias`. It is a grid of ours where
/// every bias is an integer multiple of minus its scale.
///
/// @param label what the configuration says of all maps
record MlxLayout(Tensors tensors, Label label) implements Layout {
    /// As a configuration says; further objects in it are for single maps.
    static MlxLayout of(Tensors tensors, JsonNode configuration) {
        boolean excepts = configuration.valueStream().anyMatch(JsonNode::isObject);
        return new MlxLayout(tensors, excepts ? Label.NONE : new Label(configuration.path("bits").asInt(0), configuration.path("group_size").asInt(0)));
    }

    @Override
    public String mark() {
        return "biases";
    }

    @Override
    public List<String> parts() {
        return List.of("weight", "scales", "biases");
    }

    @Override
    public CodedWeight read(String module, int rows, int columns) {
        HostTensor words = tensors.matrix(module + ".weight", Tensors.WORDS);
        long wide = words.shape()[1] * 32;
        if (words.shape()[0] != rows || wide % columns != 0 || wide / columns > 8) {
            throw tensors.bad(module + ".weight", "is %s; expected [%d, %d * bits / 32]".formatted(words, rows, columns));
        }
        int bits = (int) (wide / columns);
        HostTensor scales = tensors.matrix(module + ".scales", Tensors.FLOATS);
        int groups = (int) scales.shape()[1];
        if (scales.shape()[0] != rows || groups < 1 || columns % groups != 0) {
            throw tensors.bad(module + ".scales", "is %s; expected [%d, groups] with groups that divide %d columns".formatted(scales, rows, columns));
        }
        label.check(tensors, module, bits, columns, groups);
        HostTensor biases = tensors.matrix(module + ".biases", List.of(scales.type()), rows, groups);
        var codes = new Packed(words, bits, false, false);
        float[] scale = scales.toFloats(), bias = biases.toFloats();
        var assembly = new Assembly(tensors.directory(), module + ".weight", bits, rows, columns, columns / groups);
        int[] line = new int[columns];
        for (int row = 0; row < rows; row++) {
            codes.codes(row, line);
            assembly.codes(row, line);
            for (int group = 0; group < groups; group++) {
                int i = row * groups + group;
                Integer zero = zero(scale[i], bias[i], bits);
                if (zero == null) {
                    throw tensors.bad(module + ".biases", "holds %s where the scale is %s, no whole multiple of it; only grids with whole zero points are read"
                            .formatted(bias[i], scale[i]));
                }
                assembly.zero(row, group, zero);
                assembly.scale(row, group, scale[i]);
            }
        }
        return assembly.weight(scales.type());
    }

    /// The zero point that says the same, if there is one.
    static @Nullable Integer zero(float scale, float bias, int bits) {
        if (scale == 0) return bias == 0 ? 0 : null;
        float zero = -bias / scale;
        boolean whole = zero == Math.rint(zero) && zero >= 0 && zero < 1 << bits && scale * zero == -bias;
        return whole ? (Integer) (int) zero : null;
    }
}
