package rqat.data;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/// The one text in a Python pickle that holds nothing else. A pickle is a program; this reads the single form that pickling a `str` gives
/// (protocols 2 to 5: header, optional frame, the text, its memo entry, stop) and refuses everything else, so nothing is ever executed.
final class PickledText {
    private static final int PROTOCOL = 0x80;
    private static final int FRAME = 0x95;
    private static final int SHORT_TEXT = 0x8c;
    private static final int TEXT = 0x58;
    private static final int LONG_TEXT = 0x8d;
    private static final int MEMOIZE = 0x94;
    private static final int PUT = 0x71;
    private static final int LONG_PUT = 0x72;
    private static final int STOP = 0x2e;

    private PickledText() {}

    /// @throws IllegalArgumentException saying what is not as it should be
    static String read(byte[] pickle) {
        ByteBuffer bytes = ByteBuffer.wrap(pickle).order(ByteOrder.LITTLE_ENDIAN);
        require(next(bytes) == PROTOCOL, "no protocol header");
        int protocol = next(bytes);
        require(protocol >= 2 && protocol <= 5, "protocol " + protocol);
        int code = next(bytes);
        if (code == FRAME) {
            require(bytes.remaining() >= 8, "it ends early");
            long frame = bytes.getLong();
            require(frame == bytes.remaining(), "a frame of " + frame + " bytes where " + bytes.remaining() + " are left");
            code = next(bytes);
        }
        long length = switch (code) {
            case SHORT_TEXT -> next(bytes);
            case TEXT -> bytes.remaining() >= 4 ? Integer.toUnsignedLong(bytes.getInt()) : -1;
            case LONG_TEXT -> bytes.remaining() >= 8 ? bytes.getLong() : -1;
            default -> throw new IllegalArgumentException("opcode 0x%02x; only a text may be pickled".formatted(code));
        };
        require(length >= 0 && length <= bytes.remaining(), "a text of " + length + " bytes where " + bytes.remaining() + " are left");
        ByteBuffer text = bytes.slice(bytes.position(), (int) length);
        bytes.position(bytes.position() + (int) length);
        code = next(bytes);
        if (code == MEMOIZE) {
            code = next(bytes);
        } else if (code == PUT) {
            next(bytes);
            code = next(bytes);
        } else if (code == LONG_PUT) {
            for (int i = 0; i < 4; i++) next(bytes);
            code = next(bytes);
        }
        require(code == STOP, "opcode 0x%02x after the text".formatted(code));
        require(!bytes.hasRemaining(), bytes.remaining() + " bytes after its end");
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(text).toString();
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("a text that is not UTF-8", e);
        }
    }

    private static int next(ByteBuffer bytes) {
        require(bytes.hasRemaining(), "it ends early");
        return bytes.get() & 0xff;
    }

    private static void require(boolean holds, String found) {
        if (!holds) throw new IllegalArgumentException(found);
    }
}
