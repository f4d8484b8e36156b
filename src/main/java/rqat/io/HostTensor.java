package rqat.io;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.function.Consumer;
import rqat.Failure;

/// A tensor in host memory: row-major, little-endian, without gaps. `data` may be heap memory, native memory or part of a mapped file,
/// at any alignment; it may be read-only, and is only valid as long as whoever owns it keeps it open.
///
/// Two tensors are equal when type, shape and every byte are (so NaN equals NaN and 0.0 differs from -0.0).
public record HostTensor(DataType type, long[] shape, MemorySegment data) implements TensorSource {

    /// Layouts that read a segment at any address; safetensors is little-endian by definition.
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    public HostTensor {
        shape = shape.clone();
        long expected = byteSize(type, shape);
        if (data.byteSize() != expected) {
            throw new IllegalArgumentException("%s %s needs %d bytes, not %d".formatted(type, describe(shape), expected, data.byteSize()));
        }
    }

    @Override
    public long[] shape() {
        return shape.clone();
    }

    @Override
    public void lend(Consumer<HostTensor> reader) {
        reader.accept(this);
    }

    @Override
    public long elementCount() {
        return data.byteSize() / type.byteSize();
    }

    /// A copy of the values as F32.
    public static HostTensor ofFloats(long[] shape, float... values) {
        return new HostTensor(DataType.F32, shape, littleEndian(MemorySegment.ofArray(values.clone())));
    }

    /// A copy of the values as I32.
    public static HostTensor ofInts(long[] shape, int... values) {
        return new HostTensor(DataType.I32, shape, littleEndian(MemorySegment.ofArray(values.clone())));
    }

    /// A copy of the values as I64.
    public static HostTensor ofLongs(long[] shape, long... values) {
        return new HostTensor(DataType.I64, shape, littleEndian(MemorySegment.ofArray(values.clone())));
    }

    /// A copy of raw little-endian bytes of any type.
    public static HostTensor ofBytes(DataType type, long[] shape, byte... bytes) {
        return new HostTensor(type, shape, MemorySegment.ofArray(bytes.clone()));
    }

    private static MemorySegment littleEndian(MemorySegment segment) {
        if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) {
            throw new IllegalStateException("rqat runs on little-endian machines only");
        }
        return segment;
    }

    /// The values as floats: exact from F32, F16 and BF16, rounded from F64.
    ///
    /// @throws Failure if the elements are not floating-point numbers
    public float[] toFloats() {
        if (!type.isFloating()) {
            throw Failure.badFile("tensor %s %s: expected F32, F16, BF16 or F64".formatted(type, describe(shape)));
        }
        float[] values = new float[intCount()];
        switch (type) {
            case F32 -> MemorySegment.copy(data, FLOAT, 0, values, 0, values.length);
            case F64 -> {
                for (int i = 0; i < values.length; i++) {
                    values[i] = (float) data.get(DOUBLE, 8L * i);
                }
            }
            case F16 -> {
                for (int i = 0; i < values.length; i++) {
                    values[i] = Float.float16ToFloat(data.get(SHORT, 2L * i));
                }
            }
            case BF16 -> {
                for (int i = 0; i < values.length; i++) {
                    values[i] = Float.intBitsToFloat(data.get(SHORT, 2L * i) << 16);
                }
            }
            case BOOL, U8, I8, I16, U32, I32, I64 -> throw new AssertionError(type);
        }
        return values;
    }

    /// The `count` elements from the flat index `from` on, as a tensor of one dimension over the same memory.
    public HostTensor part(long from, long count) {
        return new HostTensor(type, new long[] {count}, data.asSlice(from * type.byteSize(), count * type.byteSize()));
    }

    /// Lets the operating system take back what a mapped tensor has in memory; it is read again when it is touched. Nothing happens to others.
    public void unload() {
        if (data.isMapped() && data.byteSize() > 0) data.unload();
    }

    /// The values as ints: BOOL and U8 are unsigned, U32 and I64 must fit.
    ///
    /// @throws Failure if the elements are floating-point numbers or one does not fit an int
    public int[] toInts() {
        if (type.isFloating()) {
            throw Failure.badFile("tensor %s %s: expected BOOL, U8, I8, I16, U32, I32 or I64".formatted(type, describe(shape)));
        }
        int[] values = new int[intCount()];
        for (int i = 0; i < values.length; i++) {
            values[i] = switch (type) {
                case BOOL, U8 -> data.get(ValueLayout.JAVA_BYTE, i) & 0xff;
                case I8 -> data.get(ValueLayout.JAVA_BYTE, i);
                case I16 -> data.get(SHORT, 2L * i);
                case I32 -> data.get(INT, 4L * i);
                case U32 -> exactInt(data.get(INT, 4L * i) & 0xffffffffL, i);
                case I64 -> exactInt(data.get(LONG, 8L * i), i);
                case F16, BF16, F32, F64 -> throw new AssertionError(type);
            };
        }
        return values;
    }

    private int exactInt(long value, int index) {
        if (value != (int) value) {
            throw Failure.badFile("tensor %s %s: element %d is %d, expected an integer of 32 bits"
                    .formatted(type, describe(shape), index, value));
        }
        return (int) value;
    }

    private int intCount() {
        if (elementCount() > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException("%s %s does not fit a Java array".formatted(type, describe(shape)));
        }
        return (int) elementCount();
    }

    /// Bytes of a dense tensor.
    ///
    /// @throws IllegalArgumentException on a negative extent, or when the product of the extents (zeros left out, so that strides fit
    /// too) overflows 63 bits
    static long byteSize(DataType type, long[] shape) {
        long product = type.byteSize();
        boolean empty = false;
        for (long extent : shape) {
            if (extent < 0) {
                throw new IllegalArgumentException("negative extent in shape " + describe(shape));
            }
            empty |= extent == 0;
            if (extent > 1 && product > Long.MAX_VALUE / extent) {
                throw new IllegalArgumentException("shape " + describe(shape) + " has more bytes than 63 bits can count");
            }
            product *= Math.max(extent, 1);
        }
        return empty ? 0 : product;
    }

    /// The shape for a message, shortened when it is absurdly long.
    static String describe(long[] shape) {
        return shape.length <= 16
                ? Arrays.toString(shape)
                : "of " + shape.length + " dimensions " + Arrays.toString(Arrays.copyOf(shape, 16)) + "...";
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof HostTensor that && type == that.type && Arrays.equals(shape, that.shape) && data.mismatch(that.data) == -1;
    }

    @Override
    public int hashCode() {
        return 31 * type.hashCode() + Arrays.hashCode(shape);
    }

    @Override
    public String toString() {
        return type + " " + describe(shape);
    }
}
