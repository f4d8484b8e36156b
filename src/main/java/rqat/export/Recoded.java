package rqat.export;

import java.util.function.Supplier;
import rqat.format.CodedWeight;

/// A weight as a container counts its codes: from 0, in as many bits as the container has.
///
///     weight = scale * (code - zero)
///
/// Either the grid as it is, where symmetric codes are shifted by `2^(bits - 1)`; or *centred*: the steps `code - zero` in a symmetric grid of more bits, which
/// holds them without a zero point of their own. Knows the weight's shape; its codes are there while somebody has it open.
///
/// @param name         of the tensor
/// @param bits         of a code
/// @param symmetric    whether every zero point is `2^(bits - 1)`
/// @param rows         output features
/// @param columns      input features
/// @param groupColumns columns that share a scale
/// @param groupSize    the same as the source says it, 0 for whole rows
record Recoded(String name, int bits, boolean symmetric, int rows, int columns, int groupColumns, int groupSize, Supplier<CodedWeight> source) {

    /// The grid as it is.
    static Recoded of(CodedWeight weight, Supplier<CodedWeight> source) {
        return of(weight, weight.spec().bits(), weight.spec().symmetric(), source);
    }

    /// In `bits` bits: the grid as it is where it has as many or `bits` is 0, centred otherwise.
    ///
    /// @throws Unfit as [#centred]
    static Recoded of(CodedWeight weight, int bits, Supplier<CodedWeight> source) {
        return bits == 0 || bits == weight.spec().bits() ? of(weight, source) : centred(weight, bits, source);
    }

    private static Recoded of(CodedWeight weight, int bits, boolean symmetric, Supplier<CodedWeight> source) {
        return new Recoded(
                weight.name(), bits, symmetric, weight.rows(), weight.columns(), weight.columns() / weight.groups(), weight.spec().groupSize(), source);
    }

    /// The steps in a symmetric grid of `bits` bits.
    ///
    /// @throws Unfit when a step is outside -2^(bits-1) to 2^(bits-1) - 1
    static Recoded centred(CodedWeight weight, int bits, Supplier<CodedWeight> source) {
        Recoded recoded = of(weight, bits, true, source);
        if (!weight.spec().symmetric() || weight.spec().bits() > bits) recoded.checkSteps(weight);
        return recoded;
    }

    private void checkSteps(CodedWeight weight) {
        int half = 1 << bits - 1;
        var codes = new Codes(this, weight);
        int[] steps = new int[columns];
        for (int row = 0; row < rows; row++) {
            codes.steps(row, steps);
            for (int column = 0; column < columns; column++) {
                if (steps[column] < -half || steps[column] >= half) {
                    throw new Unfit("%s: code %d with zero point %d, a step of %d, which %d symmetric bits do not hold"
                            .formatted(name, weight.code(row, column), weight.zero(row, column / groupColumns), steps[column], bits));
                }
            }
        }
    }

    /// Groups of a row.
    int groups() {
        return columns / groupColumns;
    }

    /// Refuses a width of which `divisor` is no part.
    void require(String container, String what, int width, int divisor) {
        if (width % divisor != 0) throw new Unfit("%s has %d %s, which %s needs in multiples of %d".formatted(name, width, what, container, divisor));
    }

    /// The codes, out of their source.
    Codes open() {
        return new Codes(this, source.get());
    }

    /// The codes of a weight.
    record Codes(Recoded grid, CodedWeight weight) {
        /// Fills `into`, one element a column, with `code - zero`.
        void steps(int row, int[] into) {
            weight.codes(row, into);
            subtract(row, into, 0);
        }

        private void subtract(int row, int[] into, int less) {
            for (int group = 0, column = 0; group < grid.groups(); group++) {
                int zero = weight.zero(row, group) - less;
                for (int end = column + grid.groupColumns; column < end; column++) into[column] -= zero;
            }
        }

        /// Fills `into` with the codes of a row, from 0 to `2^bits - 1`.
        void codes(int row, int[] into) {
            weight.codes(row, into);
            if (grid.symmetric) subtract(row, into, 1 << grid.bits - 1);
        }

        /// The zero point, from 0 to `2^bits - 1`.
        int zero(int row, int group) {
            return grid.symmetric ? 1 << grid.bits - 1 : weight.zero(row, group);
        }

        /// The scale as it is in the source.
        float scale(int row, int group) {
            return weight.scale(row, group);
        }
    }
}
