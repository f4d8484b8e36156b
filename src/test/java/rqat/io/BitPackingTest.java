package rqat.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.math.BigInteger;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import rqat.Property;
import rqat.run.RandomStream;

class BitPackingTest {

    private static int[] codes(RandomStream random, int bits) {
        int[] codes = new int[random.nextInt(200)];
        Arrays.setAll(codes, _ -> random.nextInt(1 << bits));
        return codes;
    }

    /// The stream as one large number: code i is its bits from i * b on.
    @Test
    void denseWordsAreOneLittleEndianStreamOfBits() {
        Property.forAll(400, random -> {
            int bits = 1 + random.nextInt(8);
            int[] codes = codes(random, bits);
            BigInteger stream = BigInteger.ZERO;
            for (int i = 0; i < codes.length; i++) stream = stream.or(BigInteger.valueOf(codes[i]).shiftLeft(i * bits));
            int[] packed = new int[(int) BitPacking.words(bits, codes.length)];
            BitPacking.pack(bits, codes, packed);
            assertThat(packed).hasSize((codes.length * bits + 31) / 32);
            for (int word = 0; word < packed.length; word++) assertThat(packed[word]).isEqualTo(stream.shiftRight(32 * word).intValue());
            int[] read = new int[codes.length];
            BitPacking.unpack(bits, packed, read);
            assertThat(read).isEqualTo(codes);
        });
    }

    @Test
    void alignedWordsHoldWholeCodes() {
        Property.forAll(400, random -> {
            int bits = 1 + random.nextInt(8), inWord = 32 / bits;
            int[] codes = codes(random, bits);
            int[] packed = new int[(int) BitPacking.alignedWords(bits, codes.length)];
            assertThat(packed).hasSize((codes.length + inWord - 1) / inWord);
            for (int i = 0; i < codes.length; i++) packed[i / inWord] += (int) (codes[i] * (long) Math.pow(2, i % inWord * bits));
            int[] read = new int[codes.length];
            BitPacking.unpackAligned(bits, packed, read);
            assertThat(read).isEqualTo(codes);
        });
    }

    @Test
    void refusesCodesThatDoNotFit() {
        assertThatThrownBy(() -> BitPacking.pack(3, new int[] {7, 8}, new int[1])).hasMessage("code 8 at 1; expected 0 to 7");
        assertThatThrownBy(() -> BitPacking.pack(3, new int[] {-1}, new int[1])).hasMessage("code -1 at 0; expected 0 to 7");
        assertThatThrownBy(() -> BitPacking.pack(3, new int[11], new int[1])).hasMessage("1 words; expected 2");
        assertThatThrownBy(() -> BitPacking.words(9, 1)).hasMessageContaining("9 bits");
    }
}
