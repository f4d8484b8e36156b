package rqat.io;

import java.util.List;

/// A value of a GGUF file's metadata, with the type that it has there.
///
/// @param type    of this value
/// @param content a Long (all whole numbers; unsigned ones of 64 bits by their bits), a Double (both floats), a Boolean, a String, or for arrays an
///                [Elements]
public record GgufValue(Type type, Object content) {

    /// The types by their numbers in files, from 0.
    public enum Type {
        UINT8(1),
        INT8(1),
        UINT16(2),
        INT16(2),
        UINT32(4),
        INT32(4),
        FLOAT32(4),
        BOOL(1),
        STRING(8),
        ARRAY(12),
        UINT64(8),
        INT64(8),
        FLOAT64(8);

        private final int smallestBytes;

        Type(int smallestBytes) {
            this.smallestBytes = smallestBytes;
        }

        /// Bytes that a value takes at least.
        int smallestBytes() {
            return smallestBytes;
        }

        /// Whether values are whole numbers.
        public boolean isWhole() {
            return switch (this) {
                case UINT8, INT8, UINT16, INT16, UINT32, INT32, UINT64, INT64 -> true;
                case FLOAT32, FLOAT64, BOOL, STRING, ARRAY -> false;
            };
        }
    }

    /// The elements of an array: contents as above, all of one type.
    public record Elements(Type type, List<Object> contents) {
        public Elements {
            contents = List.copyOf(contents);
        }
    }

    /// A text.
    public static GgufValue of(String text) {
        return new GgufValue(Type.STRING, text);
    }

    /// True or false.
    public static GgufValue of(boolean value) {
        return new GgufValue(Type.BOOL, value);
    }

    /// A count, an id or a size: an unsigned number of 32 bits.
    public static GgufValue of(int value) {
        if (value < 0) throw new IllegalArgumentException("%d as an unsigned number".formatted(value));
        return new GgufValue(Type.UINT32, (long) value);
    }

    /// A number of 32 bits.
    public static GgufValue of(float value) {
        return new GgufValue(Type.FLOAT32, (double) value);
    }

    /// Texts.
    public static GgufValue ofTexts(List<String> texts) {
        return new GgufValue(Type.ARRAY, new Elements(Type.STRING, List.copyOf(texts)));
    }

    /// Signed numbers of 32 bits.
    public static GgufValue ofWholeNumbers(List<Integer> numbers) {
        return new GgufValue(Type.ARRAY, new Elements(Type.INT32, numbers.stream().<Object>map(Integer::longValue).toList()));
    }
}
