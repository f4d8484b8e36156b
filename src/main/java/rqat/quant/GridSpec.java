package rqat.quant;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

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
    public ScalarType codeType() {
        return maximum() > Byte.MAX_VALUE ? ScalarType.Byte : ScalarType.Char;
    }

    /// Columns per group in a matrix of `columns` columns.
    public long groupColumns(long columns) {
        return groupSize == 0 ? columns : groupSize;
    }

    /// Refuses what cannot be quantised to this format.
    ///
    /// @param tensor its name, for the message
    /// @param weight `[R, C]`
    /// @throws Failure USAGE when the groups do not divide the columns, BAD_FILE when the weight is no matrix or has NaN or infinite values
    public void check(String tensor, Tensor weight) {
        if (weight.dim() != 2 || weight.numel() == 0) {
            throw Failure.badFile("%s has shape %s; expected a matrix".formatted(tensor, java.util.Arrays.toString(Tensors.shape(weight))));
        }
        long columns = weight.size(1);
        if (columns % groupColumns(columns) != 0) {
            throw Failure.usage("%s has %d columns, which groups of %d do not divide; choose a group size that divides them, or 0 for whole rows"
                    .formatted(tensor, columns, groupSize));
        }
        if (!Scope.get(() -> weight.isfinite().all().item_bool())) {
            throw Failure.badFile("%s holds NaN or infinite values; expected finite weights. Download or train the model again."
                    .formatted(tensor));
        }
    }
}
