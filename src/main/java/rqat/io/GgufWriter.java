package rqat.io;

import java.io.ByteArrayOutputStream;
import java.io.DataOutput;
import java.io.DataOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.SequencedMap;

/// Writes GGUF files of version 3, streamed and atomically: a tensor's bytes are asked for when their turn comes.
public final class GgufWriter {
    /// llama.cpp keeps names in 64 bytes with a 0 at the end.
    private static final int MAXIMUM_NAME_BYTES = 63;

    private GgufWriter() {}

    /// A tensor that is about to be written.
    ///
    /// @param shape   outermost extent first
    /// @param content writes as many bytes as type and shape need: the blocks, row after row
    public record Source(GgmlType type, long[] shape, AtomicFiles.Content content) {
        public Source {
            shape = shape.clone();
            if (shape.length > GgufFile.MAXIMUM_DIMENSIONS) {
                throw new IllegalArgumentException("%d dimensions; expected at most %d".formatted(shape.length, GgufFile.MAXIMUM_DIMENSIONS));
            }
            type.byteSize(shape);
        }

        @Override
        public long[] shape() {
            return shape.clone();
        }

        /// Bytes of the whole tensor.
        public long byteSize() {
            return type.byteSize(shape);
        }
    }

    /// Creates or replaces one file, with metadata and tensors in the order of the maps.
    ///
    /// @throws rqat.Failure of kind FAILED if it cannot be written, with the bytes needed and free when the disk is full
    public static void write(Path file, SequencedMap<String, GgufValue> metadata, SequencedMap<String, Source> tensors) {
        if (metadata.containsKey(GgufFile.ALIGNMENT)) throw new IllegalArgumentException(GgufFile.ALIGNMENT + " is ours to choose");
        int alignment = GgufFile.DEFAULT_ALIGNMENT;
        byte[] header = header(metadata, tensors, alignment);
        long dataBytes = tensors.values().stream().mapToLong(tensor -> GgufFile.padded(tensor.byteSize(), alignment)).sum();
        AtomicFiles.write(file, header.length + dataBytes, out -> {
            out.write(header);
            for (var entry : tensors.entrySet()) {
                var counted = new Counted(out);
                entry.getValue().content().writeTo(counted);
                long expected = entry.getValue().byteSize();
                if (counted.bytes != expected) {
                    throw new IllegalStateException("%s was announced with %d bytes but has %d".formatted(entry.getKey(), expected, counted.bytes));
                }
                out.write(new byte[(int) (GgufFile.padded(expected, alignment) - expected)]);
            }
        });
    }

    private static byte[] header(SequencedMap<String, GgufValue> metadata, SequencedMap<String, Source> tensors, int alignment) {
        var bytes = new ByteArrayOutputStream();
        try {
            var out = new LittleEndian(new DataOutputStream(bytes));
            out.number(GgufFile.MAGIC);
            out.number(3);
            out.longNumber(tensors.size());
            out.longNumber(metadata.size());
            for (var entry : metadata.entrySet()) {
                out.text(entry.getKey());
                out.number(entry.getValue().type().ordinal());
                out.value(entry.getValue().type(), entry.getValue().content());
            }
            long offset = 0;
            for (var entry : tensors.entrySet()) {
                String name = entry.getKey();
                if (name.getBytes(StandardCharsets.UTF_8).length > MAXIMUM_NAME_BYTES) {
                    throw new IllegalArgumentException("the tensor name %s is longer than %d bytes".formatted(name, MAXIMUM_NAME_BYTES));
                }
                long[] shape = entry.getValue().shape();
                out.text(name);
                out.number(shape.length);
                for (int i = shape.length - 1; i >= 0; i--) out.longNumber(shape[i]);
                out.number(entry.getValue().type().id());
                out.longNumber(offset);
                offset += GgufFile.padded(entry.getValue().byteSize(), alignment);
            }
            bytes.write(new byte[(int) (GgufFile.padded(bytes.size(), alignment) - bytes.size())]);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return bytes.toByteArray();
    }

    /// Values as a GGUF file has them.
    private record LittleEndian(DataOutput out) {
        void number(int value) throws IOException {
            out.writeInt(Integer.reverseBytes(value));
        }

        void longNumber(long value) throws IOException {
            out.writeLong(Long.reverseBytes(value));
        }

        void text(String text) throws IOException {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            longNumber(bytes.length);
            out.write(bytes);
        }

        void value(GgufValue.Type type, Object content) throws IOException {
            switch (type) {
                case UINT8, INT8 -> out.writeByte(((Long) content).intValue());
                case UINT16, INT16 -> out.writeShort(Short.reverseBytes(((Long) content).shortValue()));
                case UINT32, INT32 -> number(((Long) content).intValue());
                case UINT64, INT64 -> longNumber((Long) content);
                case FLOAT32 -> number(Float.floatToRawIntBits(((Double) content).floatValue()));
                case FLOAT64 -> longNumber(Double.doubleToRawLongBits((Double) content));
                case BOOL -> out.writeByte((Boolean) content ? 1 : 0);
                case STRING -> text((String) content);
                case ARRAY -> {
                    var elements = (GgufValue.Elements) content;
                    number(elements.type().ordinal());
                    longNumber(elements.contents().size());
                    for (Object element : elements.contents()) value(elements.type(), element);
                }
            }
        }
    }

    /// Counts what goes through.
    private static final class Counted extends FilterOutputStream {
        private long bytes;

        Counted(OutputStream out) {
            super(out);
        }

        @Override
        public void write(int b) throws IOException {
            out.write(b);
            bytes++;
        }

        @Override
        public void write(byte[] source, int from, int length) throws IOException {
            out.write(source, from, length);
            bytes += length;
        }
    }
}
