package rqat.foreign;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import rqat.Failure;
import rqat.format.CodedWeight;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.io.DataType;
import rqat.io.HostTensor;

/// Makes a [CodedWeight] of what a container holds: codes and zero points from 0 and scales of any sign.
///
/// Some tools choose negative scales (AutoRound, llama.cpp) and some leave a scale of 0 for a group of zeros; ours are positive. A group with a negative scale is
/// turned over, `s (q - z) = -s ((m - q) - (m - z))` with `m = 2^bits - 1`, and one with a scale of 0 becomes all zero points: no value changes. Where every zero point
/// is `2^(bits - 1)` then, the grid is symmetric.
final class Assembly {
    private final Path file;
    private final String name;
    private final int bits;
    private final int rows;
    private final int columns;
    private final int groupColumns;
    private final byte[] codes;
    private final byte[] zeros;
    private final float[] scales;

    /// @param file         where it stands, for messages
    /// @param groupColumns columns that share a scale, which divide the columns
    /// @throws Failure BAD_FILE when the bits are not 2 to 8, or a Java array does not hold the codes
    Assembly(Path file, String name, int bits, int rows, int columns, int groupColumns) {
        this.file = file;
        this.name = name;
        this.bits = bits;
        this.rows = rows;
        this.columns = columns;
        this.groupColumns = groupColumns;
        if (bits < 2 || bits > 8) throw bad("codes of %d bits; expected 2 to 8".formatted(bits));
        if ((long) rows * columns > Integer.MAX_VALUE - 8) throw bad("%d rows of %d codes; expected less than 2^31 codes".formatted(rows, columns));
        codes = new byte[rows * columns];
        zeros = new byte[rows * groups()];
        scales = new float[rows * groups()];
    }

    private int groups() {
        return columns / groupColumns;
    }

    void code(int row, int column, int code) {
        codes[row * columns + column] = (byte) code;
    }

    void codes(int row, int[] values) {
        for (int column = 0, at = row * columns; column < columns; column++) codes[at + column] = (byte) values[column];
    }

    /// @throws Failure BAD_FILE when it is none of the grid's codes
    void zero(int row, int group, int zero) {
        if (zero < 0 || zero >= 1 << bits) throw bad("a zero point of %d; expected 0 to %d".formatted(zero, (1 << bits) - 1));
        zeros[row * groups() + group] = (byte) zero;
    }

    void scale(int row, int group, float scale) {
        scales[row * groups() + group] = scale;
    }

    /// The weight.
    ///
    /// @param type of the scales in the file
    /// @throws Failure BAD_FILE when a scale is not finite or smaller than its type's usable numbers
    CodedWeight weight(DataType type) {
        ScaleType scaleType = switch (type) {
            case F16 -> ScaleType.FLOAT16;
            case BF16 -> ScaleType.BFLOAT16;
            case F32 -> ScaleType.FLOAT32;
            case BOOL, U8, I8, I16, U32, I32, I64, F64 -> throw bad("scales of type %s; expected F16, BF16 or F32".formatted(type));
        };
        int half = 1 << bits - 1, largest = (1 << bits) - 1;
        boolean symmetric = true;
        for (int group = 0; group < scales.length; group++) {
            float scale = scales[group];
            if (scale == 0) {
                scales[group] = scaleType.smallest();
                zeros[group] = (byte) half;
                fill(group, half);
            } else if (scale < 0) {
                scales[group] = -scale;
                zeros[group] = (byte) (largest - (zeros[group] & 0xff));
                turn(group, largest);
            }
            if (!(scales[group] >= scaleType.smallest() && scales[group] <= scaleType.largest())) {
                throw bad("a scale of %s; expected a finite %s number, in size at least %s".formatted(scale, type, scaleType.smallest()));
            }
            symmetric &= (zeros[group] & 0xff) == half;
        }
        if (symmetric) {
            for (int i = 0; i < codes.length; i++) codes[i] = (byte) ((codes[i] & 0xff) - half);
        }
        var spec = new GridSpec(bits, groupColumns == columns ? 0 : groupColumns, symmetric, scaleType);
        long[] shape = {rows, columns}, groupShape = {rows, groups()};
        return new CodedWeight(
                name, spec, rows, columns,
                new HostTensor(spec.codeType(), shape, MemorySegment.ofArray(codes)),
                new HostTensor(DataType.F32, groupShape, MemorySegment.ofArray(scales)),
                symmetric ? null : new HostTensor(spec.codeType(), groupShape, MemorySegment.ofArray(zeros)));
    }

    private void fill(int group, int code) {
        for (int i = group * groupColumns, end = i + groupColumns; i < end; i++) codes[i] = (byte) code;
    }

    private void turn(int group, int largest) {
        for (int i = group * groupColumns, end = i + groupColumns; i < end; i++) codes[i] = (byte) (largest - (codes[i] & 0xff));
    }

    private Failure bad(String what) {
        return Failure.badFile("%s: %s has %s".formatted(file, Failure.quote(name), what));
    }
}
