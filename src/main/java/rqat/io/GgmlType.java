package rqat.io;

import java.util.Arrays;
import java.util.Map;
import java.util.Optional;

/// How the elements of a tensor lie in a GGUF file: rows are cut into blocks of equal length and each block takes the same number of bytes.
/// These are the types that we read and write; llama.cpp has many more.
///
/// | type | block | bytes | value of code c |
/// |---|---|---|---|
/// | Q4_0 | 32 | float16 d; 16 bytes, element i in the low half of byte i, element i + 16 in its high half | d * (c - 8) |
/// | Q4_1 | 32 | float16 d, float16 m; codes as in Q4_0 | d * c + m |
/// | Q8_0 | 32 | float16 d; 32 int8 | d * c |
/// | Q2_0 | 64 | float16 d; 16 bytes, element i in bits 2 (i mod 4) of byte i / 4 | d * (c - 1) |
///
/// Three incompatible types go by the name Q2_0; this is llama.cpp's own, 42, of July 2026.
public enum GgmlType {
    F32(0, 1, 4),
    F16(1, 1, 2),
    Q4_0(2, 32, 18),
    Q4_1(3, 32, 20),
    Q8_0(8, 32, 34),
    BF16(30, 1, 2),
    Q2_0(42, 64, 18);

    /// Types of llama.cpp and its forks that we only know by name.
    private static final Map<Integer, String> OTHERS = Map.ofEntries(
            Map.entry(6, "Q5_0"), Map.entry(7, "Q5_1"), Map.entry(9, "Q8_1"), Map.entry(10, "Q2_K"), Map.entry(11, "Q3_K"),
            Map.entry(12, "Q4_K"), Map.entry(13, "Q5_K"), Map.entry(14, "Q6_K"), Map.entry(15, "Q8_K"), Map.entry(16, "IQ2_XXS"),
            Map.entry(17, "IQ2_XS"), Map.entry(18, "IQ3_XXS"), Map.entry(19, "IQ1_S"), Map.entry(20, "IQ4_NL"), Map.entry(21, "IQ3_S"),
            Map.entry(22, "IQ2_S"), Map.entry(23, "IQ4_XS"), Map.entry(24, "I8"), Map.entry(25, "I16"), Map.entry(26, "I32"),
            Map.entry(27, "I64"), Map.entry(28, "F64"), Map.entry(29, "IQ1_M"), Map.entry(34, "TQ1_0"), Map.entry(35, "TQ2_0"),
            Map.entry(39, "MXFP4"), Map.entry(40, "NVFP4"), Map.entry(41, "Q1_0"), Map.entry(53, "a fork's Q2_0"), Map.entry(142, "a fork's PQ2_0"));

    private final int id;
    private final int blockLength;
    private final int blockBytes;

    GgmlType(int id, int blockLength, int blockBytes) {
        this.id = id;
        this.blockLength = blockLength;
        this.blockBytes = blockBytes;
    }

    /// The number in files.
    public int id() {
        return id;
    }

    /// Elements of a block.
    public int blockLength() {
        return blockLength;
    }

    /// Bytes of a block.
    public int blockBytes() {
        return blockBytes;
    }

    /// Whether elements are codes with a scale per block.
    public boolean isQuantised() {
        return blockLength > 1;
    }

    /// Bytes of a tensor of this shape, outermost extent first.
    ///
    /// @throws IllegalArgumentException when there is no extent, one is not positive, blocks do not divide the rows, or 63 bits cannot count the bytes
    public long byteSize(long... shape) {
        if (shape.length == 0) throw new IllegalArgumentException("a tensor without dimensions");
        long rows = 1;
        for (int i = 0; i < shape.length; i++) {
            if (shape[i] < 1) throw new IllegalArgumentException("extent %d in shape %s; expected 1 or more".formatted(shape[i], HostTensor.describe(shape)));
            if (i < shape.length - 1) rows = multiply(rows, shape[i], shape);
        }
        long columns = shape[shape.length - 1];
        if (columns % blockLength != 0) {
            throw new IllegalArgumentException("rows of %d elements, which blocks of %d of %s do not divide".formatted(columns, blockLength, this));
        }
        return multiply(multiply(columns / blockLength, blockBytes, shape), rows, shape);
    }

    private static long multiply(long a, long b, long[] shape) {
        if (a > Long.MAX_VALUE / b) {
            throw new IllegalArgumentException("shape %s has more bytes than 63 bits can count".formatted(HostTensor.describe(shape)));
        }
        return a * b;
    }

    /// The type of that number, if it is one of ours.
    public static Optional<GgmlType> of(int id) {
        return Arrays.stream(values()).filter(type -> type.id == id).findFirst();
    }

    /// What to call a type of that number, ours or not.
    static String name(int id) {
        return of(id).map(Enum::name).orElseGet(() -> OTHERS.containsKey(id) ? OTHERS.get(id) + " (" + id + ")" : Integer.toUnsignedString(id));
    }
}
