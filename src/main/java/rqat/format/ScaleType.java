package rqat.format;

import rqat.io.DataType;

/// The dtype in which an export format stores scales. Scales take its precision before anything is divided by them, so that the codes
/// fit the numbers that will be served.
public enum ScaleType {
    // Up to 2^119 so that every code times the scale is finite.
    FLOAT32(DataType.F32, Float.MIN_NORMAL, 0x1p119f),
    BFLOAT16(DataType.BF16, Float.MIN_NORMAL, 0x1p119f),
    FLOAT16(DataType.F16, 0x1p-24f, 65504);

    private final DataType type;
    private final float smallest;
    private final float largest;

    ScaleType(DataType type, float smallest, float largest) {
        this.type = type;
        this.smallest = smallest;
        this.largest = largest;
    }

    /// The dtype in files.
    public DataType type() {
        return type;
    }

    /// The smallest usable scale: positive, and normal but for float16.
    public float smallest() {
        return smallest;
    }

    /// The largest usable scale.
    public float largest() {
        return largest;
    }

    /// `scale` rounded to this dtype (half to even), at least the smallest and at most the largest usable value; NaN stays NaN.
    public float round(float scale) {
        return type.round(Math.clamp(scale, smallest, largest));
    }
}
