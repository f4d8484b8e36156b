package rqat.format;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.DataType;
import rqat.io.HostTensor;

/// A quantised weight matrix as codes on a grid, `weight = scale * (code - zero)`: of a directory of ours, mapped and read when asked for, or
/// of a file of others. What [rqat.quant.Grid] makes of the same codes is the same to the last bit.
///
/// @param name    of the weight, as in the checkpoint
/// @param spec    the format of its grid
/// @param rows    outputs, R
/// @param columns inputs, C
/// @param codes   `[R, C]`, in [GridSpec#codeType]
/// @param scales  `[R, groups]`, F32
/// @param zeros   `[R, groups]`, in [GridSpec#codeType]; null for a symmetric grid, whose zero point is 0
public record CodedWeight(String name, GridSpec spec, int rows, int columns, HostTensor codes, HostTensor scales, @Nullable HostTensor zeros) {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /// Checks types and shapes; [#verify] checks values.
    ///
    /// @throws IllegalArgumentException when they do not belong together
    public CodedWeight {
        long width = spec.groupColumns(columns);
        if (rows < 1 || columns < 1 || columns % width != 0) {
            throw new IllegalArgumentException("%s is %d x %d, which groups of %d columns do not divide".formatted(name, rows, columns, width));
        }
        require(codes, spec.codeType(), name + ".codes", rows, columns);
        require(scales, DataType.F32, name + ".scale", rows, columns / width);
        if (spec.symmetric() != (zeros == null)) {
            throw new IllegalArgumentException("%s is %s zero points".formatted(name, spec.symmetric() ? "symmetric, and has" : "asymmetric, and lacks"));
        }
        if (zeros != null) require(zeros, spec.codeType(), name + ".zero", rows, columns / width);
    }

    private static void require(HostTensor tensor, DataType type, String name, long... shape) {
        if (tensor.type() != type || !Arrays.equals(tensor.shape(), shape)) {
            throw new IllegalArgumentException("%s is %s; expected %s %s".formatted(name, tensor, type, Arrays.toString(shape)));
        }
    }

    /// Groups of columns in a row.
    public int groups() {
        return (int) (columns / spec.groupColumns(columns));
    }

    /// One code.
    public int code(int row, int column) {
        return small(codes, (long) row * columns + column);
    }

    /// The scale of a group of a row.
    public float scale(int row, int group) {
        return scales.data().get(FLOAT, 4L * ((long) row * groups() + group));
    }

    /// The zero point of a group of a row.
    public int zero(int row, int group) {
        return zeros == null ? 0 : small(zeros, (long) row * groups() + group);
    }

    private int small(HostTensor tensor, long index) {
        int value = tensor.data().get(ValueLayout.JAVA_BYTE, index);
        return spec.codeType() == DataType.U8 ? value & 0xff : value;
    }

    /// The codes of a row.
    ///
    /// @param into at least [#columns] long
    public void codes(int row, int[] into) {
        byte[] bytes = row(row);
        int mask = spec.codeType() == DataType.U8 ? 0xff : -1;
        for (int column = 0; column < columns; column++) into[column] = bytes[column] & mask;
    }

    private byte[] row(int row) {
        byte[] bytes = new byte[columns];
        MemorySegment.copy(codes.data(), ValueLayout.JAVA_BYTE, (long) row * columns, bytes, 0, columns);
        return bytes;
    }

    /// The weights of a row, in float32.
    ///
    /// @param into at least [#columns] long
    public void dequantise(int row, float[] into) {
        byte[] bytes = row(row);
        int mask = spec.codeType() == DataType.U8 ? 0xff : -1;
        int groups = groups(), width = columns / groups;
        for (int group = 0, column = 0; group < groups; group++) {
            float scale = scale(row, group);
            int zero = zero(row, group);
            for (int end = column + width; column < end; column++) into[column] = ((bytes[column] & mask) - zero) * scale;
        }
    }

    /// Reads everything once and makes sure that codes and zero points are on the grid and scales are positive values of their dtype.
    ///
    /// @param source where the weight comes from, for the message
    /// @throws Failure BAD_FILE naming the first value that is not
    public void verify(Object source) {
        int groups = groups();
        int[] codes = new int[columns];
        for (int row = 0; row < rows; row++) {
            for (int group = 0; group < groups; group++) {
                float scale = scale(row, group);
                if (!(scale > 0) || spec.scaleType().round(scale) != scale) {
                    throw bad(source, ".scale", row, group, String.valueOf(scale), "positive " + spec.scaleType() + " numbers");
                }
                int zero = zero(row, group);
                if (zero < spec.minimum() || zero > spec.maximum()) throw bad(source, ".zero", row, group, String.valueOf(zero), range());
            }
            codes(row, codes);
            for (int column = 0; column < columns; column++) {
                int code = codes[column];
                if (code < spec.minimum() || code > spec.maximum()) throw bad(source, ".codes", row, column, String.valueOf(code), range());
            }
        }
    }

    private String range() {
        return "values from %d to %d".formatted(spec.minimum(), spec.maximum());
    }

    private Failure bad(Object source, String part, int row, int column, String found, String expected) {
        return Failure.badFile("%s: %s holds %s at [%d, %d]; expected %s. The file is damaged; write it again."
                .formatted(source, Failure.quote(name + part), found, row, column, expected));
    }
}
