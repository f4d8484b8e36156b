package rqat.export;

import rqat.format.CodedWeight;

/// The codes of a weight as a container counts them: from 0, in as many bits as the container has.
///
///     weight = scale * (code - zero)
///
/// Either the grid as it is, where symmetric codes are shifted by `2^(bits - 1)`; or *centred*: the steps `code - zero` in a symmetric grid of more bits, which
/// holds them without a zero point of their own.
final class Recoded {
    private final CodedWeight weight;
    private final int bits;
    private final boolean centred;

    private Recoded(CodedWeight weight, int bits, boolean centred) {
        this.weight = weight;
        this.bits = bits;
        this.centred = centred;
    }

    /// The grid as it is.
    static Recoded of(CodedWeight weight) {
        return new Recoded(weight, weight.spec().bits(), weight.spec().symmetric());
    }

    /// The steps in a symmetric grid of `bits` bits.
    ///
    /// @throws Unfit when a step is outside -2^(bits-1) to 2^(bits-1) - 1
    static Recoded centred(CodedWeight weight, int bits) {
        var recoded = new Recoded(weight, bits, true);
        if (!weight.spec().symmetric() || weight.spec().bits() > bits) recoded.checkSteps();
        return recoded;
    }

    private void checkSteps() {
        int half = 1 << bits - 1;
        for (int row = 0; row < rows(); row++) {
            for (int column = 0; column < columns(); column++) {
                int step = step(row, column);
                if (step < -half || step >= half) {
                    throw new Unfit("%s: code %d with zero point %d, a step of %d, which %d symmetric bits do not hold"
                            .formatted(name(), weight.code(row, column), weight.zero(row, column / groupColumns()), step, bits));
                }
            }
        }
    }

    /// The tensor's name.
    String name() {
        return weight.name();
    }

    /// Bits of a code.
    int bits() {
        return bits;
    }

    /// Whether every zero point is `2^(bits - 1)`.
    boolean symmetric() {
        return centred;
    }

    /// Output features.
    int rows() {
        return weight.rows();
    }

    /// Input features.
    int columns() {
        return weight.columns();
    }

    /// Columns that share a scale.
    int groupColumns() {
        return (int) weight.spec().groupColumns(columns());
    }

    /// Groups of a row.
    int groups() {
        return columns() / groupColumns();
    }

    /// Columns that share a scale as the source says it, 0 for whole rows.
    int groupSize() {
        return weight.spec().groupSize();
    }

    /// `code - zero`.
    int step(int row, int column) {
        return weight.code(row, column) - weight.zero(row, column / groupColumns());
    }

    /// The code, from 0 to `2^bits - 1`.
    int code(int row, int column) {
        return centred ? step(row, column) + (1 << bits - 1) : weight.code(row, column);
    }

    /// The zero point, from 0 to `2^bits - 1`.
    int zero(int row, int group) {
        return centred ? 1 << bits - 1 : weight.zero(row, group);
    }

    /// The scale as it is in the source.
    float scale(int row, int group) {
        return weight.scale(row, group);
    }

    /// Fills `into`, one element a column, with the codes of a row.
    void codes(int row, int[] into) {
        for (int column = 0; column < into.length; column++) into[column] = code(row, column);
    }

    /// Refuses a width of which `divisor` is no part.
    void require(String container, String what, int width, int divisor) {
        if (width % divisor != 0) throw new Unfit("%s has %d %s, which %s needs in multiples of %d".formatted(name(), width, what, container, divisor));
    }
}
