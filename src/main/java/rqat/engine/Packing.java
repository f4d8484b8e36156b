package rqat.engine;

/// How weights lie in words of 32 bits: as many bits for each, 32 columns of one row at a time ([Panels]).
///
/// Codes of 5 to 7 bits are stored in 8. Floating-point weights are bfloat16 or float32.
enum Packing {
    TWO(2),
    THREE(3),
    FOUR(4),
    EIGHT(8),
    BFLOAT16(16),
    FLOAT32(32);

    /// Columns that are packed together.
    static final int BLOCK = 32;

    private final int bits;

    Packing(int bits) {
        this.bits = bits;
    }

    /// Bits of a weight, and words of a block.
    int bits() {
        return bits;
    }

    /// Whether it holds codes of a grid.
    boolean isCoded() {
        return bits <= 8;
    }

    /// Inputs that a block of weights meets: one for each column, and for codes one more, the sum of these, which meets the negative zero point.
    int inputs() {
        return isCoded() ? BLOCK + 1 : BLOCK;
    }

    /// The narrowest that holds codes of so many bits.
    static Packing ofBits(int bits) {
        return bits == 2 ? TWO : bits == 3 ? THREE : bits == 4 ? FOUR : EIGHT;
    }

    /// Where the code of a column of a block lies in its word, as the kernels read it: they mask it, leave it in its place, and so find it multiplied by two to this power. A code at the
    /// top of its word is shifted down instead, because the top bit is a sign.
    int shift(int column) {
        if (!isCoded()) return 0;
        int inWord = Integer.SIZE / bits, place = column % inWord;
        if (this == THREE) return column < 3 * inWord ? bits * place : 0;
        return place == inWord - 1 ? 0 : bits * place;
    }

    /// Puts the unsigned codes, or the bits of float32 values, of a block into its words.
    ///
    /// @param from  at least 32 from `at` on
    /// @param words as many as [#bits] says; overwritten
    void pack(int[] from, int at, int[] words) {
        switch (this) {
            case FLOAT32 -> System.arraycopy(from, at, words, 0, BLOCK);
            case BFLOAT16 -> {
                for (int word = 0; word < bits; word++) words[word] = from[at + 2 * word] >>> 16 | from[at + 2 * word + 1] & 0xffff0000;
            }
            case THREE -> {
                int first = from[at + 30], second = from[at + 31];
                for (int word = 0; word < 3; word++) {
                    words[word] = 0;
                    for (int i = 0; i < 10; i++) words[word] |= from[at + 10 * word + i] << 3 * i;
                }
                // The two bits at the top of each word are the last two codes.
                words[0] |= (first & 3) << 30;
                words[1] |= (first >>> 2 | (second & 1) << 1) << 30;
                words[2] |= second >>> 1 << 30;
            }
            case TWO, FOUR, EIGHT -> {
                int inWord = Integer.SIZE / bits;
                for (int word = 0; word < bits; word++) {
                    words[word] = 0;
                    for (int i = 0; i < inWord; i++) words[word] |= from[at + inWord * word + i] << bits * i;
                }
            }
        }
    }
}
