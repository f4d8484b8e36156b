package rqat.engine;

/// In what keys and values are kept.
public enum CacheFormat {
    /// As they are.
    FLOAT32(32),
    /// Rounded to float16; beyond its range, to its largest value.
    FLOAT16(16),
    /// Rounded to 256 levels between the smallest and the largest of a token's head.
    INT8(8),
    /// Rounded to 16 levels between the smallest and the largest of a token's head.
    INT4(4);

    private final int bits;

    CacheFormat(int bits) {
        this.bits = bits;
    }

    /// Of a value.
    public int bits() {
        return bits;
    }

    /// Whether values are levels between two numbers.
    boolean isLevels() {
        return bits <= 8;
    }
}
