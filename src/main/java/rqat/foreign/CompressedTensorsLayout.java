package rqat.foreign;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import rqat.Failure;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.HostTensor;
import tools.jackson.databind.JsonNode;

/// compressed-tensors: `pack-quantized` (`weight_packed` I32 `[N, words]`, the codes of a row) and `int-quantized` (`weight` I8 `[N, K]`, signed codes), with `weight_scale`
/// `[N, groups]`, and perhaps `weight_zero_point` (packed like the codes along the outputs, or I8 `[N, groups]`, signed) and `weight_g_idx`, the group of each input.
///
/// Up to version 0.17 a word holds whole codes, from 0.18 on codes follow each other without gaps; the width of `weight_packed` tells which, but for widths
/// where both need as many words: there the version does.
///
/// @param widths      bits that the configuration names
/// @param alignedWords whether the version is one whose words hold whole codes
/// @param label        what the configuration says of all maps
record CompressedTensorsLayout(Tensors tensors, Set<Integer> widths, boolean alignedWords, Label label) implements Layout {
    private static final List<DataType> BYTES = List.of(DataType.I8);

    /// As a configuration says.
    static CompressedTensorsLayout of(Tensors tensors, JsonNode configuration) {
        String format = configuration.path("format").asString("");
        if (!format.equals("pack-quantized") && !format.equals("int-quantized")) {
            throw Failure.badFile("%s: compressed-tensors in the format %s, which rqat does not read; it reads pack-quantized and int-quantized"
                    .formatted(tensors.directory(), Failure.quote(format)));
        }
        Set<Integer> widths = new LinkedHashSet<>();
        Set<Integer> sizes = new LinkedHashSet<>();
        for (JsonNode group : configuration.path("config_groups")) {
            JsonNode weights = group.path("weights");
            if (!weights.path("type").asString("int").equals("int")) {
                throw Failure.badFile("%s: compressed-tensors with weights of type %s; rqat reads int"
                        .formatted(tensors.directory(), Failure.quote(weights.path("type").toString())));
            }
            widths.add(weights.path("num_bits").asInt(0));
            sizes.add(weights.path("strategy").asString("").equals("group") ? weights.path("group_size").asInt(0) : -1);
        }
        return new CompressedTensorsLayout(tensors, widths, configuration.path("version").asString("").matches("0\\.(\\d|1[0-7])(\\..*)?"),
                new Label(0, sizes.size() == 1 ? sizes.iterator().next() : 0));
    }

    @Override
    public String mark() {
        return "weight_scale";
    }

    @Override
    public List<String> parts() {
        return List.of("weight", "weight_packed", "weight_scale", "weight_shape", "weight_zero_point", "weight_g_idx");
    }

    @Override
    public CodedWeight read(String module, int rows, int columns) {
        boolean packed = tensors.has(module + ".weight_packed");
        HostTensor stored = packed
                ? tensors.matrix(module + ".weight_packed", Tensors.WORDS)
                : tensors.matrix(module + ".weight", BYTES, rows, columns);
        if (packed && stored.shape()[0] != rows) throw tensors.bad(module + ".weight_packed", "is %s; expected %d rows".formatted(stored, rows));
        int words = packed ? (int) Math.min(stored.shape()[1], Integer.MAX_VALUE) : 0;
        int bits = packed ? packedBits(module, words, columns) : byteBits();
        boolean aligned = packed && isAligned(bits, words, columns);
        int half = 1 << bits - 1;
        HostTensor scales = scales(module, rows);
        int groups = (int) scales.shape()[1];
        label.check(tensors, module, bits, columns, groups);
        int[] order = order(module, columns, groups);
        if (order == null && columns % groups != 0) {
            throw tensors.bad(module + ".weight_scale", "is %s; expected groups that divide %d columns".formatted(scales, columns));
        }
        int groupColumns = order == null ? columns / groups : 1;
        Zeros zeros = zeros(module, rows, groups, bits, aligned);
        var assembly = new Assembly(tensors.directory(), module + ".weight", bits, rows, columns, groupColumns);
        var codes = packed ? new Packed(stored, bits, false, aligned) : null;
        float[] scale = scales.toFloats();
        boolean wholeMatrix = scales.shape()[0] == 1 && rows > 1;
        int[] line = new int[columns];
        for (int row = 0; row < rows; row++) {
            if (codes != null) {
                codes.codes(row, line);
                assembly.codes(row, line);
            } else {
                int[] bytes = stored.part((long) row * columns, columns).toInts();
                for (int column = 0; column < columns; column++) {
                    if (bytes[column] < -half || bytes[column] >= half) throw tensors.bad(module + ".weight", "holds %d, no code of %d bits".formatted(bytes[column], bits));
                    assembly.code(row, column, bytes[column] + half);
                }
            }
            for (int group = 0; group < columns / groupColumns; group++) {
                int from = order == null ? group : order[group];
                assembly.zero(row, group, zeros.zero(wholeMatrix ? 0 : row, from));
                assembly.scale(row, group, scale[(wholeMatrix ? 0 : row) * groups + from]);
            }
        }
        return assembly.weight(scales.type());
    }

    /// The one width that the configuration names and that fits the words of a row.
    private int packedBits(String module, int words, int columns) {
        Set<Integer> fitting = new LinkedHashSet<>();
        for (int bits : widths) {
            if (bits >= 2 && bits <= 8 && (Packed.length(bits, false, columns) == words || Packed.length(bits, true, columns) == words)) fitting.add(bits);
        }
        if (fitting.size() == 1) return fitting.iterator().next();
        throw tensors.bad(module + ".weight_packed", "has %d words for %d codes a row, which %s the widths of the configuration, %s"
                .formatted(words, columns, fitting.isEmpty() ? "fits none of" : "fits several of", widths));
    }

    private int byteBits() {
        return widths.size() == 1 && widths.iterator().next() >= 2 && widths.iterator().next() <= 8 ? widths.iterator().next() : 8;
    }

    private boolean isAligned(int bits, int words, int columns) {
        boolean couldBeDense = Packed.length(bits, false, columns) == words, couldBeAligned = Packed.length(bits, true, columns) == words;
        return couldBeDense && couldBeAligned ? alignedWords : couldBeAligned;
    }

    /// Scales as a matrix of one row or one for each output.
    private HostTensor scales(String module, int rows) {
        String name = module + ".weight_scale";
        HostTensor scales = tensors.find(name);
        if (scales != null && scales.elementCount() == 1) scales = new HostTensor(scales.type(), new long[] {1, 1}, scales.data());
        if (scales != null && scales.shape().length == 1 && scales.shape()[0] == rows) scales = new HostTensor(scales.type(), new long[] {rows, 1}, scales.data());
        if (scales == null || scales.shape().length != 2 || !Tensors.FLOATS.contains(scales.type())
                || scales.shape()[0] != rows && scales.elementCount() != 1 || scales.elementCount() == 0 || scales.shape()[1] > Integer.MAX_VALUE) {
            throw tensors.bad(name, "is %s; expected a matrix of %s with %d rows".formatted(scales == null ? "missing" : scales, Tensors.FLOATS, rows));
        }
        return scales;
    }

    @FunctionalInterface
    private interface Zeros {
        int zero(int row, int group);
    }

    private Zeros zeros(String module, int rows, int groups, int bits, boolean aligned) {
        String name = module + ".weight_zero_point";
        HostTensor stored = tensors.find(name);
        int half = 1 << bits - 1;
        if (stored == null) return (_, _) -> half;
        if (stored.type() == DataType.I8) {
            if (stored.elementCount() != (long) rows * groups && stored.elementCount() != 1) {
                throw tensors.bad(name, "is %s; expected [%d, %d]".formatted(stored, rows, groups));
            }
            int[] signed = stored.toInts();
            return (row, group) -> signed[signed.length == 1 ? 0 : row * groups + group] + half;
        }
        var packed = new Packed(tensors.matrix(name, Tensors.WORDS, Packed.length(bits, aligned, rows), groups), bits, true, aligned);
        return (row, group) -> packed.code(group, row);
    }

    private int @org.jspecify.annotations.Nullable [] order(String module, int columns, int groups) {
        String name = module + ".weight_g_idx";
        HostTensor stored = tensors.find(name);
        if (stored == null) return null;
        if (stored.type().isFloating() || stored.elementCount() != columns) throw tensors.bad(name, "is %s; expected %d integers".formatted(stored, columns));
        int[] order = stored.toInts();
        boolean trivial = columns % groups == 0;
        for (int column = 0; column < columns; column++) {
            if (order[column] < 0 || order[column] >= groups) throw tensors.bad(name, "names group %d of %d".formatted(order[column], groups));
            trivial = trivial && order[column] == column / (columns / groups);
        }
        return trivial ? null : order;
    }
}
