package rqat.text;

import java.nio.charset.StandardCharsets;

/// The byte-level alphabet of GPT-2: each of the 256 bytes is written as one visible character, so that a vocabulary of
/// strings can spell any byte sequence. Printable Latin-1 bytes stand for themselves; the other 68 follow from U+0100 on.
final class ByteAlphabet {

    private static final char[] CHARACTERS = new char[256];
    /// The byte for each character of the alphabet, -1 for other characters below U+0144.
    private static final int[] BYTES = new int[0x144];

    static {
        java.util.Arrays.fill(BYTES, -1);
        char next = 0x100;
        for (int b = 0; b < 256; b++) {
            boolean visible = b > 0x20 && b < 0x7F || b > 0xA0 && b != 0xAD;
            CHARACTERS[b] = visible ? (char) b : next++;
            BYTES[CHARACTERS[b]] = b;
        }
    }

    private ByteAlphabet() {}

    /// The character that stands for the byte `b` (0..255).
    static char character(int b) {
        return CHARACTERS[b];
    }

    /// The alphabet's spelling of `bytes`.
    static String spell(byte[] bytes) {
        char[] characters = new char[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            characters[i] = CHARACTERS[bytes[i] & 0xFF];
        }
        return new String(characters);
    }

    /// The bytes that a vocabulary entry decodes to: those it spells, or its own UTF-8 when any character is outside the
    /// alphabet (as in added tokens such as `<｜User｜>`).
    static byte[] bytes(String token) {
        byte[] bytes = new byte[token.length()];
        for (int i = 0; i < bytes.length; i++) {
            char c = token.charAt(i);
            if (c >= BYTES.length || BYTES[c] < 0) {
                return token.getBytes(StandardCharsets.UTF_8);
            }
            bytes[i] = (byte) BYTES[c];
        }
        return bytes;
    }
}
