package rqat.engine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import rqat.format.CodedWeight;
import rqat.format.GridSpec;
import rqat.io.HostTensor;

/// A matrix whose weights are ordered for [Kernels]: a panel is [Kernels#PANEL] rows; of each block of 32 columns it holds the words of [Packing] one after another, each word of all its rows. The last
/// panel is filled up with rows of weight 0. Outside the Java heap, where the arena says.
final class PackedMatrix {
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;

    private final Layout layout;
    private final int rows;
    private final MemorySegment data;
    /// `[panels, groups, PANEL]`; empty where weights are values.
    private final MemorySegment scales;
    private final MemorySegment negativeZeros;

    private PackedMatrix(Arena arena, Layout layout, int rows) {
        this.layout = layout;
        this.rows = rows;
        this.data = arena.allocate(panels() * panelBytes(), 64);
        long parameters = layout.packing().isCoded() ? 4L * panels() * layout.groups() * Kernels.PANEL : 0;
        this.scales = arena.allocate(parameters, 64);
        this.negativeZeros = arena.allocate(parameters, 64);
    }

    /// The codes of a quantised weight.
    ///
    /// @param source where it comes from, for messages
    /// @throws rqat.Failure BAD_FILE when a code or zero point is not on its grid, or a scale is no positive number of its dtype
    static PackedMatrix of(CodedWeight weight, Object source, Workers workers, Arena arena) {
        GridSpec grid = weight.spec();
        var layout = new Layout(Packing.ofBits(grid.bits()), weight.columns(), weight.columns() / weight.groups());
        var matrix = new PackedMatrix(arena, layout, weight.rows());
        int minimum = grid.minimum(), largest = grid.maximum() - minimum;
        workers.run(matrix.panels(), (panel, _) -> {
            int[] codes = new int[layout.columns()], words = new int[layout.packing().bits()];
            for (int lane = 0; lane < Kernels.PANEL && panel * Kernels.PANEL + lane < weight.rows(); lane++) {
                int row = panel * Kernels.PANEL + lane;
                weight.codes(row, codes);
                int outside = 0;
                for (int i = 0; i < codes.length; i++) {
                    codes[i] -= minimum;
                    outside |= codes[i] | largest - codes[i];
                }
                for (int group = 0; group < layout.groups(); group++) {
                    float scale = weight.scale(row, group);
                    int zero = weight.zero(row, group) - minimum;
                    outside |= zero | largest - zero | (scale > 0 && grid.scaleType().round(scale) == scale ? 0 : -1);
                    matrix.setGrid(panel, lane, group, scale, zero);
                }
                // Finds the value again, and says where it is.
                if (outside < 0) weight.verify(source);
                matrix.setRow(panel, lane, codes, words);
            }
        });
        return matrix;
    }

    /// Values, as bfloat16 or float32.
    ///
    /// @param tensor  `[rows, columns]`, floating-point
    /// @param packing [Packing#BFLOAT16], to which values are rounded, or [Packing#FLOAT32]
    static PackedMatrix of(HostTensor tensor, Packing packing, Workers workers, Arena arena) {
        int rows = Math.toIntExact(tensor.shape()[0]), columns = Math.toIntExact(tensor.shape()[1]);
        var layout = new Layout(packing, columns, columns);
        var matrix = new PackedMatrix(arena, layout, rows);
        workers.run(matrix.panels(), (panel, _) -> {
            int[] bits = new int[columns], words = new int[packing.bits()];
            for (int lane = 0; lane < Kernels.PANEL && panel * Kernels.PANEL + lane < rows; lane++) {
                float[] values = tensor.part((long) (panel * Kernels.PANEL + lane) * columns, columns).toFloats();
                for (int i = 0; i < columns; i++) bits[i] = Float.floatToRawIntBits(packing == Packing.BFLOAT16 ? rqat.io.DataType.BF16.round(values[i]) : values[i]);
                matrix.setRow(panel, lane, bits, words);
            }
        });
        return matrix;
    }

    /// Values rounded to codes of 8 bits: symmetric, a scale for each 128 columns of a row, or for each row where that does not divide it.
    ///
    /// @param tensor `[rows, columns]`, floating-point
    static PackedMatrix rounded(HostTensor tensor, Workers workers, Arena arena) {
        int rows = Math.toIntExact(tensor.shape()[0]), columns = Math.toIntExact(tensor.shape()[1]);
        var layout = new Layout(Packing.EIGHT, columns, columns % Layout.CHUNK == 0 ? Layout.CHUNK : columns);
        var matrix = new PackedMatrix(arena, layout, rows);
        workers.run(matrix.panels(), (panel, _) -> {
            int[] codes = new int[columns], words = new int[layout.packing().bits()];
            for (int lane = 0; lane < Kernels.PANEL && panel * Kernels.PANEL + lane < rows; lane++) {
                float[] values = tensor.part((long) (panel * Kernels.PANEL + lane) * columns, columns).toFloats();
                for (int group = 0; group < layout.groups(); group++) {
                    int from = group * layout.groupWidth(), end = from + layout.groupWidth();
                    float largest = 0;
                    for (int i = from; i < end; i++) largest = Math.max(largest, Math.abs(values[i]));
                    float scale = Math.max(largest / 127, Float.MIN_NORMAL);
                    for (int i = from; i < end; i++) codes[i] = 128 + (int) Math.rint(values[i] / scale);
                    matrix.setGrid(panel, lane, group, scale, 128);
                }
                matrix.setRow(panel, lane, codes, words);
            }
        });
        return matrix;
    }

    private void setGrid(int panel, int lane, int group, float scale, int zero) {
        long at = (long) (panel * layout.groups() + group) * Kernels.PANEL + lane;
        scales.setAtIndex(FLOAT, at, scale);
        negativeZeros.setAtIndex(FLOAT, at, -zero);
    }

    private void setRow(int panel, int lane, int[] row, int[] words) {
        int[] block = new int[Packing.BLOCK];
        for (int group = 0; group < layout.groups(); group++) {
            int blocks = layout.blocks() / layout.groups();
            for (int i = 0; i < blocks; i++) {
                int from = group * layout.groupWidth() + i * Packing.BLOCK, count = Math.min(Packing.BLOCK, (group + 1) * layout.groupWidth() - from);
                System.arraycopy(row, from, block, 0, count);
                // The inputs of what fills a block up are 0.
                java.util.Arrays.fill(block, count, Packing.BLOCK, 0);
                layout.packing().pack(block, 0, words);
                long at = panel * panelBytes() + blockBytes() * (group * blocks + i) + 4L * lane;
                for (int word = 0; word < words.length; word++) data.set(INT, at + 4L * Kernels.PANEL * word, words[word]);
            }
        }
    }

    private long blockBytes() {
        return 4L * layout.packing().bits() * Kernels.PANEL;
    }

    private long panelBytes() {
        return layout.blocks() * blockBytes();
    }

    Layout layout() {
        return layout;
    }

    /// Outputs.
    int rows() {
        return rows;
    }

    int panels() {
        return (rows + Kernels.PANEL - 1) / Kernels.PANEL;
    }

    /// Outputs with those that fill the last panel up: what a row of results takes.
    int width() {
        return panels() * Kernels.PANEL;
    }

    /// Of memory, scales and zero points included.
    long bytes() {
        return data.byteSize() + scales.byteSize() + negativeZeros.byteSize();
    }

    /// What a thread needs while it multiplies.
    static final class Scratch {
        final float[] tile = new float[Layout.CHUNK / Packing.BLOCK * (Packing.BLOCK + 1) * Kernels.PANEL];
        final float[] sums = new float[Kernels.ROWS * Kernels.PANEL];
    }

    /// The outputs of one panel for `count` rows of inputs: `result[r] = W x[r]`.
    ///
    /// @param into row `r` from `to + r * stride` on, the panel's outputs at their places in it; overwritten
    void multiply(int panel, Activations inputs, int count, float[] into, int to, int stride, Scratch scratch) {
        int first = to + panel * Kernels.PANEL;
        for (int row = 0; row < count; row++) java.util.Arrays.fill(into, first + row * stride, first + row * stride + Kernels.PANEL, 0);
        for (int chunk = 0; chunk < layout.chunks(); chunk++) {
            long at = panel * panelBytes() + layout.firstBlock(chunk) * blockBytes();
            int blocks = layout.blocks(chunk), width = layout.packing().inputs(), from = layout.firstBlock(chunk) * width;
            long grid = 4L * (panel * layout.groups() + layout.group(chunk)) * Kernels.PANEL;
            if (count == 1) {
                Kernels.dot(layout.packing(), data, at, blocks, negativeZeros, grid, inputs.values(), from, scratch.sums);
                add(grid, 0, 1, into, first, stride, scratch);
                continue;
            }
            Kernels.decode(layout.packing(), data, at, blocks, negativeZeros, grid, scratch.tile);
            for (int row = 0; row < count; row += Kernels.ROWS) {
                int together = Math.min(Kernels.ROWS, count - row);
                Kernels.multiply(scratch.tile, blocks * width, inputs.values(), row * inputs.stride() + from, inputs.stride(), together, scratch.sums);
                add(grid, row, together, into, first, stride, scratch);
            }
        }
    }

    private void add(long grid, int row, int count, float[] into, int first, int stride, Scratch scratch) {
        for (int i = 0; i < count; i++) {
            int to = first + (row + i) * stride;
            if (layout.packing().isCoded()) Kernels.addScaled(scratch.sums, i * Kernels.PANEL, scales, grid, into, to);
            else Kernels.add(scratch.sums, i * Kernels.PANEL, into, to);
        }
    }
}
