package rqat.foreign;

import java.util.List;
import rqat.Failure;
import rqat.format.CodedWeight;
import rqat.io.HostTensor;
import tools.jackson.databind.JsonNode;

/// AutoAWQ's GEMM layout, 4 bits: `qweight` I32 `[K, N / 8]`, `qzeros` I32 `[groups, N / 8]`, `scales` `[groups, N]`; a word's nibbles from its low end
/// are the outputs 0, 2, 4, 6, 1, 3, 5 and 7 of eight.
///
/// @param label what the configuration says of all maps
record AwqLayout(Tensors tensors, Label label) implements Layout {
    private static final int BITS = 4;
    private static final int IN_WORD = 8;

    /// As a configuration says.
    static AwqLayout of(Tensors tensors, JsonNode configuration) {
        String version = configuration.path("version").asString("gemm");
        int bits = configuration.path("bits").asInt(configuration.path("w_bit").asInt(BITS));
        if (!version.equalsIgnoreCase("gemm") || bits != BITS) {
            throw Failure.badFile("%s: AWQ of version %s with %d bits; rqat reads version gemm with 4".formatted(tensors.directory(), Failure.quote(version), bits));
        }
        int groupSize = configuration.path("group_size").asInt(configuration.path("q_group_size").asInt(0));
        return new AwqLayout(tensors, new Label(BITS, groupSize));
    }

    @Override
    public String mark() {
        return "qweight";
    }

    @Override
    public List<String> parts() {
        return List.of("qweight", "qzeros", "scales");
    }

    @Override
    public CodedWeight read(String module, int rows, int columns) {
        HostTensor words = tensors.matrix(module + ".qweight", Tensors.WORDS, columns, rows / IN_WORD);
        HostTensor scales = tensors.matrix(module + ".scales", Tensors.FLOATS);
        int groups = (int) scales.shape()[0];
        if (rows % IN_WORD != 0 || scales.shape()[1] != rows || groups < 1 || columns % groups != 0) {
            throw tensors.bad(module + ".scales", "is %s; expected [groups, %d] with groups that divide %d columns".formatted(scales, rows, columns));
        }
        label.check(tensors, module, BITS, columns, groups);
        HostTensor zeroWords = tensors.matrix(module + ".qzeros", Tensors.WORDS, groups, rows / IN_WORD);
        // As streams of nibbles along the rows, before the order within a word.
        var codes = new Packed(words, BITS, false, false);
        var zeros = new Packed(zeroWords, BITS, false, false);
        float[] scale = scales.toFloats();
        var assembly = new Assembly(tensors.directory(), module + ".weight", BITS, rows, columns, columns / groups);
        for (int row = 0; row < rows; row++) {
            int at = row / IN_WORD * IN_WORD + (row % 2 == 0 ? row % IN_WORD / 2 : 4 + row % IN_WORD / 2);
            for (int column = 0; column < columns; column++) assembly.code(row, column, codes.code(column, at));
            for (int group = 0; group < groups; group++) {
                assembly.zero(row, group, zeros.code(group, at));
                assembly.scale(row, group, scale[group * rows + row]);
            }
        }
        return assembly.weight(scales.type());
    }
}
