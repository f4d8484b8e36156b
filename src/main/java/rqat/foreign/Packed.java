package rqat.foreign;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import rqat.io.BitPacking;
import rqat.io.HostTensor;

/// Codes in the words of a matrix `[rows, columns]` of 32-bit integers, taken out one at a time.
final class Packed {
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final MemorySegment words;
    private final long columns;
    private final int bits;
    private final boolean down;
    private final boolean aligned;

    /// @param words   the matrix
    /// @param bits    of a code
    /// @param down    whether a stream runs down a column; otherwise it runs along a row
    /// @param aligned whether a code stays within a word, so that a word holds `floor(32 / bits)` of them; otherwise a stream has no gaps
    Packed(HostTensor words, int bits, boolean down, boolean aligned) {
        this.words = words.data();
        this.columns = words.shape()[1];
        this.bits = bits;
        this.down = down;
        this.aligned = aligned;
    }

    /// Words that a stream of `codes` codes takes.
    static int length(int bits, boolean aligned, int codes) {
        return (int) (aligned ? BitPacking.alignedWords(bits, codes) : BitPacking.words(bits, codes));
    }

    /// Code `index` of stream `stream`.
    int code(int stream, int index) {
        int mask = (1 << bits) - 1;
        if (aligned) return word(stream, index / (32 / bits)) >>> index % (32 / bits) * bits & mask;
        long bit = (long) index * bits;
        int word = (int) (bit >> 5), shift = (int) (bit & 31);
        long both = word(stream, word) & 0xffffffffL;
        if (shift + bits > 32) both |= (long) word(stream, word + 1) << 32;
        return (int) (both >>> shift) & mask;
    }

    /// Fills `into` with the codes of a stream from its beginning.
    void codes(int stream, int[] into) {
        int[] packed = new int[length(bits, aligned, into.length)];
        for (int position = 0; position < packed.length; position++) packed[position] = word(stream, position);
        if (aligned) BitPacking.unpackAligned(bits, packed, into);
        else BitPacking.unpack(bits, packed, into);
    }

    private int word(int stream, int position) {
        return words.get(INT, 4 * (down ? position * columns + stream : stream * columns + position));
    }
}
