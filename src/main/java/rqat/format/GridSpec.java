package rqat.format;

import rqat.io.DataType;

/// The format of a grid: what an export format can hold, and nothing about how the values were found.
///
/// @param bits      2 to 8
/// @param groupSize columns that share a scale within a row; 0 = the whole row
/// @param symmetric codes are signed and the zero point is 0; otherwise codes start at 0 and every group has a zero point
/// @param scaleType dtype of the stored scales
public record GridSpec(int bits, int groupSize, boolean symmetric, ScaleType scaleType) {

    /// Checks the ranges.
    public GridSpec {
        if (bits < 2 || bits > 8) throw new IllegalArgumentException("bits is %d; expected 2 to 8".formatted(bits));
        if (groupSize < 0) {
            throw new IllegalArgumentException("groupSize is %d; expected columns per group, or 0 for whole rows".formatted(groupSize));
        }
    }

    /// The smallest code: `-2^(bits-1)` when symmetric, otherwise 0.
    public int minimum() {
        return symmetric ? -(1 << (bits - 1)) : 0;
    }

    /// The largest code: `2^(bits-1) - 1` when symmetric, otherwise `2^bits - 1`.
    public int maximum() {
        return symmetric ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
    }

    /// The 8-bit dtype that holds the codes and zero points: int8, or uint8 where asymmetric codes need all eight bits.
    public DataType codeType() {
        return maximum() > Byte.MAX_VALUE ? DataType.U8 : DataType.I8;
    }

    /// Columns per group in a matrix of `columns` columns.
    public long groupColumns(long columns) {
        return groupSize == 0 ? columns : groupSize;
    }
}
