package rqat.foreign;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import rqat.Failure;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.HostTensor;
import tools.jackson.databind.JsonNode;

/// GPTQ as AutoGPTQ, GPTQModel and AutoRound write it: `qweight` I32 `[K * bits / 32, N]`, `qzeros` I32 `[groups, N * bits / 32]`, `scales` `[groups, N]`, and perhaps
/// `g_idx` I32 `[K]`, the group of each input.
///
/// Bits and group size follow from the shapes, so that models with other bits for some maps are read too. With activation order a group's columns lie
/// apart; such a grid is read as one with a scale and zero point for every single weight.
///
/// Version 1 stores zero points less 1, which is not enough for a zero point of 0. AutoGPTQ reads 1 more than is stored, up to `2^bits`. GPTQModel adds a constant to
/// each word instead, where a field that overflows carries into the next, and took the same constant away when it wrote: only that gives all of its zero points back,
/// and at 3 bits its constants (of the release of August 2026) are not even ones in every field.
///
/// @param reading   how the label says that zero points are stored
/// @param symmetric whether the configuration says that all zero points are `2^(bits - 1)`
/// @param label     what else it says
record GptqLayout(Tensors tensors, Reading reading, boolean symmetric, Label label) implements Layout {
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /// What is stored for a zero point.
    enum Reading {
        /// Itself.
        VERSION_2,
        /// 1 less, in a field of its own.
        VERSION_1,
        /// Words less a constant.
        GPTQMODEL_1
    }

    /// The words that GPTQModel takes away, which repeat.
    private static final Map<Integer, int[]> CONSTANTS = Map.of(
            2, new int[] {0x55555555},
            3, new int[] {0x24924924, 0x92492492, 0x49249249},
            4, new int[] {0x11111111},
            8, new int[] {0x01010101});

    /// As a configuration says.
    static GptqLayout of(Tensors tensors, JsonNode configuration) {
        // AutoRound calls its packing `auto_round:auto_gptq`.
        String format = configuration.path("checkpoint_format").asString(configuration.path("format").asString("gptq"));
        if (format.contains("marlin") || configuration.path("is_marlin_format").asBoolean(false)) {
            throw Failure.badFile("%s: GPTQ repacked for Marlin kernels, which rqat does not read; take the model as it was before that".formatted(tensors.directory()));
        }
        return switch (format) {
            case "gptq" -> new GptqLayout(
                    tensors,
                    configuration.path("meta").path("quantizer").toString().contains("gptqmodel") ? Reading.GPTQMODEL_1 : Reading.VERSION_1,
                    configuration.path("sym").asBoolean(true),
                    label(configuration));
            case "gptq_v2" -> new GptqLayout(tensors, Reading.VERSION_2, configuration.path("sym").asBoolean(true), label(configuration));
            default -> throw Failure.badFile("%s: checkpoint_format %s; expected gptq or gptq_v2".formatted(tensors.directory(), Failure.quote(format)));
        };
    }

    /// Bits and group size, unless some maps have others.
    static Label label(JsonNode configuration) {
        boolean excepts = configuration.path("dynamic").properties().stream().anyMatch(entry -> !entry.getKey().startsWith("-:"))
                || !configuration.path("extra_config").isEmpty();
        return excepts ? Label.NONE : new Label(configuration.path("bits").asInt(0), configuration.path("group_size").asInt(0));
    }

    @Override
    public String mark() {
        return "qweight";
    }

    @Override
    public List<String> parts() {
        return List.of("qweight", "qzeros", "scales", "g_idx");
    }

    @Override
    public CodedWeight read(String module, int rows, int columns) {
        String name = module + ".weight";
        HostTensor words = tensors.matrix(module + ".qweight", Tensors.WORDS);
        long wide = words.shape()[0] * 32;
        if (words.shape()[1] != rows || wide % columns != 0) {
            throw tensors.bad(module + ".qweight", "is %s; expected [%d * bits / 32, %d]".formatted(words, columns, rows));
        }
        int bits = (int) Math.min(wide / columns, 99);
        HostTensor scales = tensors.matrix(module + ".scales", Tensors.FLOATS);
        int groups = (int) scales.shape()[0];
        if (scales.shape()[1] != rows || groups < 1 || groups > columns) {
            throw tensors.bad(module + ".scales", "is %s; expected [groups, %d]".formatted(scales, rows));
        }
        if (bits < 2 || bits > 8) throw tensors.bad(module + ".qweight", "is %s: codes of %d bits; expected 2 to 8".formatted(words, wide / columns));
        if ((long) rows * bits % 32 != 0) throw tensors.bad(module + ".qweight", "has %d outputs, whose zero points fill no whole words".formatted(rows));
        label.check(tensors, module, bits, columns, groups);
        int[][] zeros = zeros(module, rows, bits, groups);
        int[] order = order(module, columns, groups);
        int groupColumns = order == null ? columns / groups : 1;
        // A zero point of 2^bits is beyond the grid, but not beyond the next wider one.
        boolean beyond = Arrays.stream(zeros).flatMapToInt(Arrays::stream).anyMatch(zero -> zero >= 1 << bits);
        var assembly = new Assembly(tensors.directory(), name, beyond ? bits + 1 : bits, rows, columns, groupColumns);
        var codes = new Packed(words, bits, true, false);
        float[] scale = scales.toFloats();
        int[] line = new int[columns];
        for (int row = 0; row < rows; row++) {
            codes.codes(row, line);
            assembly.codes(row, line);
            for (int group = 0; group < columns / groupColumns; group++) {
                int stored = order == null ? group : order[group];
                assembly.zero(row, group, zeros[stored][row]);
                assembly.scale(row, group, scale[stored * rows + row]);
            }
        }
        return assembly.weight(scales.type());
    }

    /// Zero points, `[groups][rows]`. Some published models have the wrong version on their label; where the configuration says symmetric, that reading is taken which
    /// makes it so.
    private int[][] zeros(String module, int rows, int bits, int groups) {
        HostTensor words = tensors.matrix(module + ".qzeros", Tensors.WORDS, groups, (long) rows * bits / 32);
        int[][] labelled = zeros(words, rows, bits, reading);
        if (!symmetric || areAll(labelled, 1 << bits - 1)) return labelled;
        for (Reading other : Reading.values()) {
            int[][] zeros = zeros(words, rows, bits, other);
            if (areAll(zeros, 1 << bits - 1)) return zeros;
        }
        return labelled;
    }

    private static boolean areAll(int[][] zeros, int value) {
        return Arrays.stream(zeros).flatMapToInt(Arrays::stream).allMatch(zero -> zero == value);
    }

    private static int[][] zeros(HostTensor words, int rows, int bits, Reading reading) {
        int[] constants = CONSTANTS.get(bits);
        boolean adds = reading == Reading.GPTQMODEL_1 && constants != null;
        var packed = new Packed(adds ? sum(words, constants) : words, bits, false, false);
        int more = reading == Reading.VERSION_2 || adds ? 0 : 1;
        int[][] zeros = new int[(int) words.shape()[0]][rows];
        for (int group = 0; group < zeros.length; group++) {
            for (int row = 0; row < rows; row++) zeros[group][row] = packed.code(group, row) + more;
        }
        return zeros;
    }

    private static HostTensor sum(HostTensor words, int[] constants) {
        long columns = words.shape()[1];
        MemorySegment sums = MemorySegment.ofArray(words.data().toArray(ValueLayout.JAVA_BYTE));
        for (long i = 0; i < words.elementCount(); i++) sums.set(INT, 4 * i, sums.get(INT, 4 * i) + constants[(int) (i % columns % constants.length)]);
        return new HostTensor(DataType.I32, words.shape(), sums);
    }

    /// The group of each column, or null where they are in order.
    private int @org.jspecify.annotations.Nullable [] order(String module, int columns, int groups) {
        HostTensor stored = tensors.find(module + ".g_idx");
        int[] order = stored == null ? new int[0] : indices(module, stored, columns, groups);
        boolean trivial = true, empty = true;
        int width = columns % groups == 0 ? columns / groups : 0;
        for (int column = 0; column < order.length; column++) {
            trivial &= width > 0 && order[column] == column / width;
            empty &= order[column] == 0;
        }
        // Old files without activation order have zeros instead of groups.
        if (!trivial && !empty) return order;
        if (width == 0) throw tensors.bad(module + ".scales", "has %d groups, which do not divide %d columns".formatted(groups, columns));
        return null;
    }

    private int[] indices(String module, HostTensor stored, int columns, int groups) {
        String name = module + ".g_idx";
        if (stored.type().isFloating() || stored.elementCount() != columns) throw tensors.bad(name, "is %s; expected %d integers".formatted(stored, columns));
        int[] order = stored.toInts();
        for (int group : order) {
            if (group < 0 || group >= groups) throw tensors.bad(name, "names group %d of %d".formatted(group, groups));
        }
        return order;
    }
}
