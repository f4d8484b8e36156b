package rqat.run;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.SequencedMap;
import java.util.zip.CRC32C;
import rqat.io.AtomicFiles;

/// Metrics for TensorBoard: a file of `Event` protocol buffers in the record framing of TFRecord. It is derived from `metrics.jsonl` as a
/// whole, at the end of a stage and whenever it resumes, so the two cannot disagree.
///
/// A record is the length of its data (8 bytes, little-endian), the masked CRC-32C of these 8 bytes, the data and the data's masked
/// CRC-32C. The first event states `brain.Event:2`; each step is one event of simple scalar values.
public final class TensorBoardWriter {

    private static final int DOUBLE = 1;
    private static final int VARINT = 0;
    private static final int BYTES = 2;
    private static final int FLOAT = 5;

    private TensorBoardWriter() {}

    /// Creates or replaces the directory's event file, whose name does not depend on time or machine.
    public static void write(Path directory, List<Metrics.Row> rows) {
        AtomicFiles.write(directory.resolve("events.out.tfevents.0.rqat"), out -> {
            ByteArrayOutputStream version = new ByteArrayOutputStream();
            double start = rows.isEmpty() ? 0 : wallTime(rows.getFirst());
            writeDouble(version, 1, start);
            writeBytes(version, 3, "brain.Event:2".getBytes(StandardCharsets.UTF_8));
            writeRecord(out, version.toByteArray());
            for (Metrics.Row row : rows) {
                writeRecord(out, event(row));
            }
        });
    }

    private static double wallTime(Metrics.Row row) {
        return row.times().getOrDefault("at", 0.0);
    }

    /// `Event { wall_time = 1, step = 2, summary = 5 }`.
    private static byte[] event(Metrics.Row row) throws IOException {
        ByteArrayOutputStream summary = new ByteArrayOutputStream();
        writeValues(summary, "", row.values());
        writeValues(summary, "time/", row.times());
        ByteArrayOutputStream event = new ByteArrayOutputStream();
        writeDouble(event, 1, wallTime(row));
        writeVarint(event, 2 << 3 | VARINT);
        writeVarint(event, row.step());
        writeBytes(event, 5, summary.toByteArray());
        return event.toByteArray();
    }

    /// `Summary { repeated Value { tag = 1, simple_value = 2 } value = 1 }`.
    private static void writeValues(OutputStream summary, String prefix, SequencedMap<String, Double> values) throws IOException {
        for (var entry : values.entrySet()) {
            if (prefix.equals("time/") && entry.getKey().equals("at")) {
                continue;
            }
            ByteArrayOutputStream value = new ByteArrayOutputStream();
            writeBytes(value, 1, (prefix + entry.getKey()).getBytes(StandardCharsets.UTF_8));
            writeVarint(value, 2 << 3 | FLOAT);
            value.write(littleEndian(4).putFloat(entry.getValue().floatValue()).array());
            writeBytes(summary, 1, value.toByteArray());
        }
    }

    private static void writeDouble(OutputStream out, int field, double value) throws IOException {
        writeVarint(out, field << 3 | DOUBLE);
        out.write(littleEndian(8).putDouble(value).array());
    }

    private static void writeBytes(OutputStream out, int field, byte[] bytes) throws IOException {
        writeVarint(out, field << 3 | BYTES);
        writeVarint(out, bytes.length);
        out.write(bytes);
    }

    private static void writeVarint(OutputStream out, long value) throws IOException {
        for (; (value & ~0x7fL) != 0; value >>>= 7) {
            out.write((int) (value & 0x7f | 0x80));
        }
        out.write((int) value);
    }

    private static void writeRecord(OutputStream out, byte[] data) throws IOException {
        byte[] length = littleEndian(8).putLong(data.length).array();
        out.write(length);
        out.write(littleEndian(4).putInt(maskedChecksum(length)).array());
        out.write(data);
        out.write(littleEndian(4).putInt(maskedChecksum(data)).array());
    }

    /// Rotated and offset, so that the checksum of data that contains checksums stays meaningful.
    static int maskedChecksum(byte[] data) {
        CRC32C checksum = new CRC32C();
        checksum.update(data);
        return Integer.rotateRight((int) checksum.getValue(), 15) + 0xa282ead8;
    }

    private static ByteBuffer littleEndian(int bytes) {
        return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
}
