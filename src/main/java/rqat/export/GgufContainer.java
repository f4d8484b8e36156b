package rqat.export;

import java.util.Arrays;
import java.util.function.Supplier;
import rqat.format.CodedWeight;
import rqat.io.DataType;
import rqat.io.GgmlType;

/// The block formats of a GGUF file ([GgmlType]), in which a scale is a float16 number for each 32 or 64 elements:
///
/// | type | holds | bits per weight |
/// |---|---|---|
/// | Q2_0 | steps `code - zero` from -2 to 1: symmetric 2 bits, with the negative scale as its d | 2.25 |
/// | Q4_0 | steps from -8 to 7: symmetric 4 bits and everything of 2 and 3 bits | 4.5 |
/// | Q4_1 | codes of 4 bits whose `-scale * zero` is a float16 number | 5 |
/// | Q8_0 | steps from -128 to 127 | 8.5 |
///
/// @param bits 2, 4 or 8 for Q2_0, Q4_0 or Q8_0; 16 or 32 for dequantised weights; 0 for the smallest of Q4_0, Q4_1 and Q8_0 that holds a weight: llama.cpp's
///             builds before July 2026 do not know Q2_0, and on x86 it is slow
record GgufContainer(int bits) {
    private static final DataType SCALES = DataType.F16;

    /// A weight in its type.
    record Fit(GgmlType type, Recoded weight) {
        /// Bytes of a row.
        int rowBytes() {
            return (int) type.byteSize(weight.columns());
        }

        /// What readers dequantise a row to.
        ///
        /// @param open the codes of this weight
        void values(Recoded.Codes open, int row, float[] into) {
            int[] codes = new int[into.length];
            if (type == GgmlType.Q4_1) open.codes(row, codes);
            else open.steps(row, codes);
            for (int group = 0, column = 0; group < weight.groups(); group++) {
                float scale = SCALES.round(open.scale(row, group)), minimum = type == GgmlType.Q4_1 ? minimum(open, row, group) : 0;
                for (int end = column + weight.groupColumns(); column < end; column++) into[column] = scale * codes[column] + minimum;
            }
        }

        private static float minimum(Recoded.Codes open, int row, int group) {
            return SCALES.round(-SCALES.round(open.scale(row, group)) * open.zero(row, group));
        }

        /// Fills `bytes` with the blocks of a row.
        ///
        /// @param open the codes of this weight
        void blocks(Recoded.Codes open, int row, int[] codes, byte[] bytes) {
            open.codes(row, codes);
            Arrays.fill(bytes, (byte) 0);
            int length = type.blockLength();
            for (int block = 0; block * length < codes.length; block++) {
                int at = block * type.blockBytes(), from = block * length;
                int group = from / weight.groupColumns();
                float scale = open.scale(row, group);
                putHalf(bytes, at, type == GgmlType.Q2_0 ? -scale : scale);
                switch (type) {
                    case Q4_0 -> putNibbles(codes, from, bytes, at + 2);
                    case Q4_1 -> {
                        putHalf(bytes, at + 2, minimum(open, row, group));
                        putNibbles(codes, from, bytes, at + 4);
                    }
                    case Q8_0 -> {
                        for (int i = 0; i < length; i++) bytes[at + 2 + i] = (byte) (codes[from + i] - 128);
                    }
                    case Q2_0 -> {
                        for (int i = 0; i < length; i++) bytes[at + 2 + i / 4] |= (byte) (3 - codes[from + i] << 2 * (i % 4));
                    }
                    case F32, F16, BF16 -> throw new IllegalStateException("blocks of " + type);
                }
            }
        }

        private static void putHalf(byte[] bytes, int at, float value) {
            short half = Float.floatToFloat16(value);
            bytes[at] = (byte) half;
            bytes[at + 1] = (byte) (half >> 8);
        }

        private static void putNibbles(int[] codes, int from, byte[] bytes, int at) {
            for (int i = 0; i < 16; i++) bytes[at + i] = (byte) (codes[from + i] | codes[from + 16 + i] << 4);
        }
    }

    /// Whether weights are written dequantised.
    boolean dequantises() {
        return bits >= 16;
    }

    /// What a weight becomes.
    ///
    /// @param source gives the weight again when its codes are written
    /// @throws Unfit when bits, groups or shape do not fit
    Fit fit(CodedWeight weight, Supplier<CodedWeight> source) {
        int own = weight.spec().bits();
        return switch (bits) {
            case 2 -> {
                if (!weight.spec().symmetric() || own != 2) {
                    throw new Unfit("%s has %s codes of %d bits; Q2_0 holds symmetric ones of 2 bits"
                            .formatted(weight.name(), weight.spec().symmetric() ? "symmetric" : "asymmetric", own));
                }
                yield in(GgmlType.Q2_0, Recoded.of(weight, source));
            }
            case 4 -> in(GgmlType.Q4_0, Recoded.centred(weight, 4, source));
            case 8 -> in(GgmlType.Q8_0, Recoded.centred(weight, 8, source));
            case 0 -> {
                if (own > 4) yield in(GgmlType.Q8_0, Recoded.centred(weight, 8, source));
                if (own == 4 && !weight.spec().symmetric()) yield in(GgmlType.Q4_1, Recoded.of(weight, source));
                yield in(GgmlType.Q4_0, Recoded.centred(weight, 4, source));
            }
            default -> throw new IllegalStateException("blocks of %d bits".formatted(bits));
        };
    }

    private static Fit in(GgmlType type, Recoded weight) {
        weight.require(type.name(), "columns", weight.columns(), type.blockLength());
        if (weight.groupColumns() % type.blockLength() != 0) {
            throw new Unfit("%s has groups of %d columns; %s has a scale for each %d and multiples of that"
                    .formatted(weight.name(), weight.groupColumns(), type, type.blockLength()));
        }
        return new Fit(type, weight);
    }
}
