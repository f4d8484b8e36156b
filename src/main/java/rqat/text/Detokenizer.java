package rqat.text;

/// Turns a stream of ids into text as soon as it is certain: a character whose bytes are spread over several tokens is held back
/// until its last byte arrives. One stream per instance; not thread-safe.
///
/// The pieces, joined, are exactly [Tokenizer#decode(int[], boolean)] of all ids. Bytes that are not UTF-8 become U+FFFD, one for each maximal
/// prefix of a valid character (Unicode 16, section 3.9, "substitution of maximal subparts"; Java's own decoder
/// counts encoded surrogates differently).
public final class Detokenizer {

    private final Tokenizer tokenizer;
    private final boolean skipSpecial;
    private int codePoint;
    private int missing;
    /// Bounds of the next continuation byte; narrower than 80..BF only directly after E0, ED, F0 and F4.
    private int lowest = 0x80;

    private int highest = 0xBF;

    Detokenizer(Tokenizer tokenizer, boolean skipSpecial) {
        this.tokenizer = tokenizer;
        this.skipSpecial = skipSpecial;
    }

    /// The text that `id` completes, often empty. An id outside the vocabulary adds nothing.
    public String push(int id) {
        StringBuilder text = new StringBuilder();
        push(id, text);
        return text.toString();
    }

    /// What is left at the end of the stream: U+FFFD when it stops inside a character, else nothing. The instance is fresh again.
    public String finish() {
        boolean incomplete = missing > 0;
        missing = 0;
        return incomplete ? "\uFFFD" : "";
    }

    void push(int id, StringBuilder text) {
        if (skipSpecial && tokenizer.isSkipped(id)) {
            return;
        }
        for (byte b : tokenizer.bytes(id)) {
            pushByte(b & 0xFF, text);
        }
    }

    private void pushByte(int b, StringBuilder text) {
        if (missing == 0) {
            start(b, text);
        } else if (b >= lowest && b <= highest) {
            codePoint = codePoint << 6 | b & 0x3F;
            lowest = 0x80;
            highest = 0xBF;
            if (--missing == 0) {
                text.appendCodePoint(codePoint);
            }
        } else {
            text.append('\uFFFD');
            missing = 0;
            start(b, text);
        }
    }

    private void start(int b, StringBuilder text) {
        lowest = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
        highest = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
        if (b < 0x80) {
            text.append((char) b);
        } else if (b >= 0xC2 && b <= 0xDF) {
            missing = 1;
            codePoint = b & 0x1F;
        } else if (b >= 0xE0 && b <= 0xEF) {
            missing = 2;
            codePoint = b & 0x0F;
        } else if (b >= 0xF0 && b <= 0xF4) {
            missing = 3;
            codePoint = b & 0x07;
        } else {
            text.append('\uFFFD');
        }
    }
}
