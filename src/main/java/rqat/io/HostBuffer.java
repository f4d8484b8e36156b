package rqat.io;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.function.Consumer;

/// The memory of one tensor while it is made, outside the Java heap; elements by their flat index.
public record HostBuffer(DataType type, MemorySegment data) {
    private static final int PART = 1 << 20;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /// A tensor that `filler` makes when its turn comes; it begins as zeros.
    public static TensorSource source(DataType type, Consumer<HostBuffer> filler, long... shape) {
        long bytes = HostTensor.byteSize(type, shape);
        return TensorSource.lent(type, shape, reader -> {
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment data = arena.allocate(bytes, 8);
                filler.accept(new HostBuffer(type, data));
                reader.accept(new HostTensor(type, shape, data));
            }
        });
    }

    /// Writes a 32-bit word.
    public void setWord(long index, int word) {
        data.set(INT, 4 * index, word);
    }

    /// Writes a 64-bit number.
    public void setLong(long index, long value) {
        data.set(LONG, 8 * index, value);
    }

    /// Writes a value rounded to the type, F16, BF16 or F32.
    public void setFloat(long index, float value) {
        switch (type) {
            case F16 -> data.set(SHORT, 2 * index, Float.floatToFloat16(value));
            case BF16 -> data.set(SHORT, 2 * index, (short) (Float.floatToRawIntBits(DataType.BF16.round(value)) >>> 16));
            case F32 -> data.set(FLOAT, 4 * index, value);
            case BOOL, U8, I8, I16, U32, I32, I64, F64 -> throw new IllegalStateException("a value into " + type);
        }
    }

    /// `source` with every value rounded to `type`; itself where it has that type.
    public static TensorSource rounded(TensorSource source, DataType type) {
        if (source.type() == type) return source;
        return source(type, buffer -> source.lend(tensor -> eachPart(tensor, (from, values) -> {
            for (int i = 0; i < values.length; i++) buffer.setFloat(from + i, values[i]);
        })), source.shape());
    }

    /// Values of a tensor from the flat index `from` on.
    @FunctionalInterface
    public interface Part {
        void accept(long from, float[] values);
    }

    /// Reads a tensor of floating-point numbers piece by piece, and lets it go.
    public static void eachPart(HostTensor tensor, Part consumer) {
        for (long from = 0; from < tensor.elementCount(); from += PART) {
            HostTensor part = tensor.part(from, Math.min(PART, tensor.elementCount() - from));
            consumer.accept(from, part.toFloats());
            part.unload();
        }
    }
}
