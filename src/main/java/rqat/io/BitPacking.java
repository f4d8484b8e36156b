package rqat.io;

/// Codes of 1 to 8 bits in words of 32, in the two orders that files use.
///
/// *Dense*: the codes are one little-endian stream of bits; bit i of the stream is bit `i mod 32` of word `i / 32`, so that a code of 3, 5, 6 or 7 bits
/// may begin in one word and end in the next. It is the order of GPTQ at every width, of compressed-tensors from version 0.18, and of MLX.
///
/// *Aligned*: a word holds `floor(32 / bits)` codes from its low end and leaves the other bits 0 (compressed-tensors 0.17). Where bits divide
/// 32 the two are the same.
public final class BitPacking {
    private static final int WORD_BITS = 32;

    private BitPacking() {}

    /// How many words `codes` codes fill, the last of them perhaps in part.
    ///
    /// @throws IllegalArgumentException unless `bits` is 1 to 8 and `codes` from 0 to 2^59
    public static long words(int bits, long codes) {
        check(bits);
        if (codes < 0 || codes > 1L << 59) throw new IllegalArgumentException("%d codes; expected 0 to 2^59".formatted(codes));
        return (codes * bits + WORD_BITS - 1) / WORD_BITS;
    }

    /// As [#words] in the aligned order.
    public static long alignedWords(int bits, long codes) {
        check(bits);
        int inWord = WORD_BITS / bits;
        return (codes + inWord - 1) / inWord;
    }

    /// Packs all of `codes` densely into the words of `packed`, as many as [#words] says; bits after the last code are 0.
    ///
    /// @throws IllegalArgumentException when a code is outside 0 to 2^bits - 1, or the lengths do not fit
    public static void pack(int bits, int[] codes, int[] packed) {
        checkLength(packed.length, words(bits, codes.length));
        int largest = (1 << bits) - 1;
        long waiting = 0;
        int waitingBits = 0;
        int word = 0;
        for (int i = 0; i < codes.length; i++) {
            if ((codes[i] & ~largest) != 0) throw outside(codes[i], i, largest);
            waiting |= (long) codes[i] << waitingBits;
            waitingBits += bits;
            if (waitingBits < WORD_BITS) continue;
            packed[word++] = (int) waiting;
            waiting >>>= WORD_BITS;
            waitingBits -= WORD_BITS;
        }
        if (waitingBits > 0) packed[word] = (int) waiting;
    }

    /// Fills `codes` from the dense words of `packed`, as many as [#words] says.
    public static void unpack(int bits, int[] packed, int[] codes) {
        checkLength(packed.length, words(bits, codes.length));
        int mask = (1 << bits) - 1;
        long waiting = 0;
        int waitingBits = 0, word = 0;
        for (int i = 0; i < codes.length; i++) {
            if (waitingBits < bits) {
                waiting |= (packed[word++] & 0xffffffffL) << waitingBits;
                waitingBits += WORD_BITS;
            }
            codes[i] = (int) waiting & mask;
            waiting >>>= bits;
            waitingBits -= bits;
        }
    }

    /// Fills `codes` from the aligned words of `packed`, as many as [#alignedWords] says.
    public static void unpackAligned(int bits, int[] packed, int[] codes) {
        checkLength(packed.length, alignedWords(bits, codes.length));
        int inWord = WORD_BITS / bits, mask = (1 << bits) - 1;
        for (int i = 0, word = 0; i < codes.length; word++) {
            int waiting = packed[word];
            for (int end = Math.min(codes.length, i + inWord); i < end; i++, waiting >>>= bits) codes[i] = waiting & mask;
        }
    }

    private static void check(int bits) {
        if (bits < 1 || bits > 8) throw new IllegalArgumentException("codes of %d bits; expected 1 to 8".formatted(bits));
    }

    private static void checkLength(int words, long expected) {
        if (words != expected) throw new IllegalArgumentException("%d words; expected %d".formatted(words, expected));
    }

    private static IllegalArgumentException outside(int code, int index, int largest) {
        return new IllegalArgumentException("code %d at %d; expected 0 to %d".formatted(code, index, largest));
    }
}
