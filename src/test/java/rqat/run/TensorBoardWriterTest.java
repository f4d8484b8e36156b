package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TensorBoardWriterTest {

    @TempDir
    Path directory;

    /// CRC-32C by its definition: bit by bit, polynomial 0x1EDC6F41 reflected.
    private static int checksum(byte[] data) {
        int crc = -1;
        for (byte b : data) {
            crc ^= b & 0xff;
            for (int bit = 0; bit < 8; bit++) {
                crc = (crc >>> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
            }
        }
        return ~crc;
    }

    private static int unmask(int masked) {
        return Integer.rotateLeft(masked - 0xa282ead8, 15);
    }

    private record Field(int number, Object value) {}

    private static List<Field> fields(byte[] message) {
        ByteBuffer in = ByteBuffer.wrap(message).order(ByteOrder.LITTLE_ENDIAN);
        List<Field> fields = new ArrayList<>();
        while (in.hasRemaining()) {
            long key = varint(in);
            Object value = switch ((int) (key & 7)) {
                case 0 -> varint(in);
                case 1 -> in.getDouble();
                case 2 -> {
                    byte[] bytes = new byte[(int) varint(in)];
                    in.get(bytes);
                    yield bytes;
                }
                case 5 -> in.getFloat();
                default -> throw new AssertionError("wire type " + key);
            };
            fields.add(new Field((int) (key >>> 3), value));
        }
        return fields;
    }

    private static long varint(ByteBuffer in) {
        long value = 0;
        for (int shift = 0; ; shift += 7) {
            byte b = in.get();
            value |= (b & 0x7fL) << shift;
            if (b >= 0) {
                return value;
            }
        }
    }

    @Test
    void everyStepIsAnEventOfScalars() throws IOException {
        Metrics.Row first = new Metrics.Row(1, new LinkedHashMap<>(Map.of("loss", 0.5)), new LinkedHashMap<>(Map.of("at", 1.75e9)));
        Metrics.Row second = new Metrics.Row(300, new LinkedHashMap<>(Map.of("reward/mean", Double.NaN)),
                new LinkedHashMap<>(Map.of("at", 1.75e9 + 2, "step", 0.25)));
        TensorBoardWriter.write(directory, List.of(first, second));
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(directory.resolve("events.out.tfevents.0.rqat")))
                .order(ByteOrder.LITTLE_ENDIAN);
        List<List<Field>> events = new ArrayList<>();
        while (file.hasRemaining()) {
            byte[] length = new byte[8];
            file.get(length);
            assertThat(unmask(file.getInt())).isEqualTo(checksum(length));
            byte[] data = new byte[(int) ByteBuffer.wrap(length).order(ByteOrder.LITTLE_ENDIAN).getLong()];
            file.get(data);
            assertThat(unmask(file.getInt())).isEqualTo(checksum(data));
            events.add(fields(data));
        }
        assertThat(events).hasSize(3);
        assertThat(events.get(0).get(0)).isEqualTo(new Field(1, 1.75e9));
        assertThat(events.get(0).get(1).number()).isEqualTo(3);
        assertThat((byte[]) events.get(0).get(1).value()).isEqualTo("brain.Event:2".getBytes(StandardCharsets.US_ASCII));

        assertThat(events.get(1).subList(0, 2)).containsExactly(new Field(1, 1.75e9), new Field(2, 1L));
        assertThat(scalars(events.get(1).get(2))).isEqualTo(Map.of("loss", 0.5f));
        assertThat(events.get(2).subList(0, 2)).containsExactly(new Field(1, 1.75e9 + 2), new Field(2, 300L));
        assertThat(scalars(events.get(2).get(2))).isEqualTo(Map.of("reward/mean", Float.NaN, "time/step", 0.25f));
    }

    private static Map<String, Float> scalars(Field summary) {
        assertThat(summary.number()).isEqualTo(5);
        Map<String, Float> scalars = new LinkedHashMap<>();
        for (Field value : fields((byte[]) summary.value())) {
            assertThat(value.number()).isEqualTo(1);
            List<Field> parts = fields((byte[]) value.value());
            assertThat(parts).extracting(Field::number).containsExactly(1, 2);
            scalars.put(new String((byte[]) parts.get(0).value(), StandardCharsets.UTF_8), (Float) parts.get(1).value());
        }
        return scalars;
    }

    /// RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 8a9136aa.
    @Test
    void theChecksumIsCastagnolis() {
        assertThat(checksum(new byte[32])).isEqualTo(0x8a9136aa);
        assertThat(unmask(TensorBoardWriter.maskedChecksum(new byte[32]))).isEqualTo(0x8a9136aa);
    }

    @Test
    void equalMetricsGiveEqualFiles() throws IOException {
        Metrics.Row row = new Metrics.Row(1, new LinkedHashMap<>(Map.of("loss", 0.5)), new LinkedHashMap<>());
        TensorBoardWriter.write(directory.resolve("a"), List.of(row));
        TensorBoardWriter.write(directory.resolve("b"), List.of(row));
        assertThat(Files.mismatch(directory.resolve("a/events.out.tfevents.0.rqat"), directory.resolve("b/events.out.tfevents.0.rqat")))
                .isEqualTo(-1);
        TensorBoardWriter.write(directory.resolve("c"), List.of());
    }
}
