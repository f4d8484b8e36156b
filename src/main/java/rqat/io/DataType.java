package rqat.io;

import java.util.Arrays;
import java.util.Optional;

/// The element types that we read and write; the constant's name is its name in a safetensors header.
public enum DataType {
    BOOL(1), U8(1), I8(1), I16(2), U32(4), I32(4), I64(8), F16(2), BF16(2), F32(4), F64(8);

    private final int byteSize;

    DataType(int byteSize) {
        this.byteSize = byteSize;
    }

    /// Bytes per element.
    public int byteSize() {
        return byteSize;
    }

    /// Whether elements are floating-point numbers.
    public boolean isFloating() {
        return switch (this) {
            case F16, BF16, F32, F64 -> true;
            case BOOL, U8, I8, I16, U32, I32, I64 -> false;
        };
    }

    /// The value of this type nearest to `value`, half to even; beyond the largest it is infinite.
    ///
    /// @throws IllegalArgumentException unless elements are floating-point numbers
    public float round(float value) {
        return switch (this) {
            case F32, F64 -> value;
            case F16 -> Float.float16ToFloat(Float.floatToFloat16(value));
            case BF16 -> {
                int bits = Float.floatToRawIntBits(value);
                // Half a unit of what stays, less one bit where what stays is even.
                yield Float.isNaN(value) ? value : Float.intBitsToFloat((bits + 0x7fff + (bits >>> 16 & 1)) & 0xffff0000);
            }
            case BOOL, U8, I8, I16, U32, I32, I64 -> throw new IllegalArgumentException("rounding to " + this);
        };
    }

    /// The type of that safetensors name, if it is one of ours.
    public static Optional<DataType> named(String safetensorsName) {
        return Arrays.stream(values()).filter(type -> type.name().equals(safetensorsName)).findFirst();
    }
}
