package rqat.export;

import rqat.io.BitPacking;
import rqat.io.DataType;
import rqat.io.HostBuffer;
import rqat.io.TensorSource;

/// The tensors that containers are made of, out of a weight that is opened when their turn comes.
final class PackedTensors {
    private PackedTensors() {}

    /// Fills `into` with the numbers of a line.
    @FunctionalInterface
    private interface Lines {
        void line(Recoded.Codes open, int line, int[] into);
    }

    /// A value for a group of a row.
    @FunctionalInterface
    interface GroupValue {
        float of(Recoded.Codes open, int row, int group);
    }

    /// The codes of each row as one dense stream ([BitPacking]).
    ///
    /// @param down whether streams run down the columns of `[words, rows]`; otherwise along the rows of `[rows, words]`
    static TensorSource codes(Recoded weight, DataType type, boolean down) {
        return dense(weight, type, weight.rows(), weight.columns(), down, Recoded.Codes::codes);
    }

    /// The zero points of each group, `added` to each, as one dense stream, I32.
    ///
    /// @param down whether streams run down the columns of `[words, groups]`; otherwise along the rows of `[groups, words]`
    static TensorSource zeros(Recoded weight, int added, boolean down) {
        return dense(weight, DataType.I32, weight.groups(), weight.rows(), down, (open, group, into) -> {
            for (int row = 0; row < into.length; row++) into[row] = open.zero(row, group) + added;
        });
    }

    private static TensorSource dense(Recoded weight, DataType type, int lines, int length, boolean down, Lines numbers) {
        long count = BitPacking.words(weight.bits(), length);
        return HostBuffer.source(type, buffer -> {
            Recoded.Codes open = weight.open();
            int[] line = new int[length];
            int[] words = new int[(int) count];
            for (int i = 0; i < lines; i++) {
                numbers.line(open, i, line);
                BitPacking.pack(weight.bits(), line, words);
                for (int word = 0; word < words.length; word++) buffer.setWord(down ? (long) word * lines + i : (long) i * words.length + word, words[word]);
            }
        }, down ? new long[] {count, lines} : new long[] {lines, count});
    }

    /// A value for each of `groups` groups of each row, `[rows, groups]`.
    static TensorSource byRow(Recoded weight, DataType type, int groups, GroupValue value) {
        return HostBuffer.source(type, buffer -> {
            Recoded.Codes open = weight.open();
            for (int row = 0; row < weight.rows(); row++) {
                for (int group = 0; group < groups; group++) buffer.setFloat((long) row * groups + group, value.of(open, row, group));
            }
        }, weight.rows(), groups);
    }

    /// The scales, `[groups, rows]`.
    static TensorSource scalesByGroup(Recoded weight, DataType type) {
        return HostBuffer.source(type, buffer -> {
            Recoded.Codes open = weight.open();
            for (int group = 0; group < weight.groups(); group++) {
                for (int row = 0; row < weight.rows(); row++) buffer.setFloat((long) group * weight.rows() + row, open.scale(row, group));
            }
        }, weight.groups(), weight.rows());
    }
}
