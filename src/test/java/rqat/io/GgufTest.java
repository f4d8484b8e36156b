package rqat.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.Property;
import rqat.run.RandomStream;

class GgufTest {

    @TempDir
    Path directory;

    private static Object scalar(GgufValue.Type type, RandomStream random) {
        return switch (type) {
            case UINT8 -> random.nextLong() & 0xff;
            case INT8 -> (long) (byte) random.nextLong();
            case UINT16 -> random.nextLong() & 0xffff;
            case INT16 -> (long) (short) random.nextLong();
            case UINT32 -> random.nextLong() & 0xffffffffL;
            case INT32 -> (long) (int) random.nextLong();
            case UINT64, INT64 -> random.nextLong();
            case FLOAT32 -> (double) (float) random.nextGaussian();
            case FLOAT64 -> random.nextGaussian();
            case BOOL -> random.nextBoolean();
            case STRING -> "ü\uD83D\uDE00\u0000\"".substring(random.nextInt(2) * 3 % 5 == 0 ? 0 : 1, random.nextBoolean() ? 3 : 5);
            case ARRAY -> throw new AssertionError();
        };
    }

    private static GgufValue value(RandomStream random, int depth) {
        GgufValue.Type[] types = GgufValue.Type.values();
        GgufValue.Type type = types[random.nextInt(types.length)];
        if (type != GgufValue.Type.ARRAY) return new GgufValue(type, scalar(type, random));
        GgufValue.Type elementType = types[random.nextInt(types.length)];
        if (depth == 3 && elementType == GgufValue.Type.ARRAY) elementType = GgufValue.Type.UINT16;
        var contents = new ArrayList<Object>();
        for (int i = random.nextInt(4); i > 0; i--) {
            GgufValue nested = elementType == GgufValue.Type.ARRAY ? value(random, depth + 1) : null;
            contents.add(nested == null ? scalar(elementType, random)
                    : nested.type() == GgufValue.Type.ARRAY ? nested.content() : new GgufValue.Elements(GgufValue.Type.BOOL, List.of()));
        }
        return new GgufValue(type, new GgufValue.Elements(elementType, contents));
    }

    private record Content(SequencedMap<String, GgufValue> metadata, SequencedMap<String, GgufWriter.Source> tensors, SequencedMap<String, byte[]> bytes) {
        static Content random(RandomStream random) {
            var content = new Content(new LinkedHashMap<>(), new LinkedHashMap<>(), new LinkedHashMap<>());
            for (int i = random.nextInt(6); i > 0; i--) content.metadata.put("key." + i + ".ö", value(random, 0));
            for (int i = random.nextInt(5); i > 0; i--) {
                GgmlType type = GgmlType.values()[random.nextInt(GgmlType.values().length)];
                long[] shape = new long[1 + random.nextInt(4)];
                Arrays.setAll(shape, _ -> 1 + random.nextInt(3));
                shape[shape.length - 1] *= type.blockLength();
                byte[] bytes = new byte[(int) type.byteSize(shape)];
                for (int k = 0; k < bytes.length; k++) bytes[k] = (byte) random.nextLong();
                content.tensors.put("blk." + i + ".weight", new GgufWriter.Source(type, shape, out -> out.write(bytes)));
                content.bytes.put("blk." + i + ".weight", bytes);
            }
            return content;
        }
    }

    @Test
    void randomFilesComeBackBitForBit() {
        Property.forAll(300, random -> {
            Content content = Content.random(random);
            Path path = directory.resolve("random.gguf");
            GgufWriter.write(path, content.metadata, content.tensors);
            try (GgufFile file = GgufFile.open(path)) {
                assertThat(new ArrayList<>(file.metadata().entrySet())).isEqualTo(new ArrayList<>(content.metadata.entrySet()));
                assertThat(file.tensors().sequencedKeySet()).containsExactlyElementsOf(content.tensors.keySet());
                file.tensors().forEach((name, tensor) -> {
                    assertThat(tensor.type()).isEqualTo(content.tensors.get(name).type());
                    assertThat(tensor.shape()).isEqualTo(content.tensors.get(name).shape());
                    assertThat(tensor.data().toArray(ValueLayout.JAVA_BYTE)).isEqualTo(content.bytes.get(name));
                });
            }
        });
    }

    /// Whatever happens to the bytes, a file is read or refused with a message: no other exception, no long wait, no large memory.
    @Test
    void damagedFilesAreReadOrRefused() {
        Property.forAll(2000, random -> {
            Content content = Content.random(random);
            Path path = directory.resolve("damaged.gguf");
            GgufWriter.write(path, content.metadata, content.tensors);
            byte[] bytes = Files.readAllBytes(path);
            switch (random.nextInt(3)) {
                case 0 -> bytes = Arrays.copyOf(bytes, random.nextInt(bytes.length));
                case 1 -> bytes[random.nextInt(bytes.length)] ^= (byte) (1 << random.nextInt(8));
                default -> {
                    long[] extremes = {-1, Long.MAX_VALUE, Long.MIN_VALUE, 1L << 32, 0x7fffffff, 0xffffffffL, 1, 0};
                    int at = random.nextInt(Math.max(1, bytes.length - 8));
                    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(at, extremes[random.nextInt(extremes.length)]);
                }
            }
            Files.write(path, bytes);
            try (GgufFile file = GgufFile.open(path)) {
                file.tensors().values().forEach(tensor -> tensor.data().toArray(ValueLayout.JAVA_BYTE));
            } catch (Failure e) {
                assertThat(e.kind()).isEqualTo(Failure.Kind.BAD_FILE);
                assertThat(e.getMessage()).startsWith(path.toString()).hasSizeLessThan(600);
            }
        });
    }

    /// The smallest file with a key and a tensor, byte by byte from the format's description.
    private byte[] minimal(Consumer<ByteBuffer> change) {
        ByteBuffer bytes = ByteBuffer.allocate(160).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put("GGUF".getBytes(StandardCharsets.US_ASCII)).putInt(3).putLong(1).putLong(1);
        bytes.putLong(1).put((byte) 'k').putInt(7).put((byte) 1); // 24: key k of type BOOL, true
        bytes.putLong(1).put((byte) 't').putInt(2).putLong(4).putLong(2).putInt(1).putLong(0); // 38: tensor t, F16, 2 rows of 4, at 0
        bytes.position(96).putShort((short) 0x3c00); // 79, padded to 96: 16 bytes
        bytes.position(112);
        change.accept(bytes);
        return Arrays.copyOf(bytes.array(), bytes.position());
    }

    private Path written(byte[] bytes) throws IOException {
        return Files.write(directory.resolve("bad.gguf"), bytes);
    }

    @Test
    void readsTheFormatAsItIsDescribed() throws IOException {
        try (GgufFile file = GgufFile.open(written(minimal(_ -> {})))) {
            assertThat(file.flag("k")).contains(true);
            assertThat(file.text("absent")).isEmpty();
            GgufTensor tensor = file.tensors().get("t");
            assertThat(tensor).hasToString("F16 [2, 4]");
            assertThat(tensor.data().toArray(ValueLayout.JAVA_BYTE)).startsWith(0, 0x3c).hasSize(16);
            assertThatThrownBy(() -> file.text("k")).hasMessageEndingWith("bad.gguf: `k` is BOOL `true`; expected a text");
            assertThatThrownBy(() -> file.wholeNumber("k")).hasMessageContaining("expected a whole number");
            assertThatThrownBy(() -> file.texts("k")).hasMessageContaining("expected an array of texts");
        }
    }

    private void assertRefused(Consumer<ByteBuffer> change, String message) throws IOException {
        Path path = written(minimal(change));
        assertThatThrownBy(() -> GgufFile.open(path)).isInstanceOf(Failure.class).hasMessageContaining(message);
    }

    @Test
    void saysWhatIsWrong() throws IOException {
        assertRefused(bytes -> bytes.put(0, (byte) 'g'), "does not begin with `GGUF`");
        assertRefused(bytes -> bytes.putInt(4, 1), "GGUF version 1; expected 2 or 3");
        assertRefused(bytes -> bytes.putInt(4, 0x03000000), "a big-endian GGUF file");
        assertRefused(bytes -> bytes.putLong(8, 1L << 40), "the number of tensors is 1099511627776, which cannot fit the 96 bytes that follow");
        assertRefused(bytes -> bytes.putLong(16, -1), "the number of metadata keys is 18446744073709551615, which cannot fit");
        assertRefused(bytes -> bytes.putLong(24, 1000), "the length of the name of metadata key 0 is 1000, which cannot fit");
        assertRefused(bytes -> bytes.put(32, (byte) 0xff), "the name of metadata key 0 is not UTF-8");
        assertRefused(bytes -> bytes.putInt(33, 13), "`k` has the type 13; expected 0 to 12");
        assertRefused(bytes -> bytes.put(37, (byte) 2), "`k` is a truth value of 2; expected 0 or 1");
        assertRefused(bytes -> bytes.putInt(47, 5), "`t` has 5 dimensions; expected 1 to 4");
        assertRefused(bytes -> bytes.putLong(51, 0), "`t`: extent 0 in shape [2, 0]; expected 1 or more");
        assertRefused(bytes -> bytes.putLong(51, Long.MAX_VALUE), "`t`: shape [2, 9223372036854775807] has more bytes than 63 bits can count");
        assertRefused(bytes -> bytes.putInt(67, 2), "`t`: rows of 4 elements, which blocks of 32 of Q4_0 do not divide");
        assertRefused(bytes -> bytes.putInt(67, 14), "`t` is of type Q6_K (14), which rqat does not read");
        assertRefused(bytes -> bytes.putInt(67, 142), "`t` is of type a fork's PQ2_0 (142), which rqat does not read");
        assertRefused(bytes -> bytes.putInt(67, 99), "`t` is of type 99, which rqat does not read");
        assertRefused(bytes -> bytes.putLong(71, 32), "`t` begins at 32 of the data; expected 0");
        assertRefused(bytes -> bytes.position(111), "`t` ends at byte 16 of the data, which has only 15 (a broken download?)");
        assertRefused(bytes -> bytes.position(20), "the file has 20 bytes; expected at least the 24");
        assertThatThrownBy(() -> GgufFile.open(written("version https://git-lfs.github.com/spec/v1".getBytes(StandardCharsets.US_ASCII))))
                .hasMessageContaining("Git LFS pointer");
        assertThatThrownBy(() -> GgufFile.open(directory)).hasMessageContaining("found a directory");
    }

    @Test
    void writerRefusesWhatReadersCannotTake() {
        var source = new GgufWriter.Source(GgmlType.F32, new long[] {1}, out -> out.write(new byte[3]));
        var tensors = new LinkedHashMap<String, GgufWriter.Source>();
        tensors.put("t", source);
        assertThatThrownBy(() -> GgufWriter.write(directory.resolve("t.gguf"), new LinkedHashMap<>(), tensors))
                .hasMessage("t was announced with 4 bytes but has 3");
        assertThat(directory.resolve("t.gguf")).doesNotExist();
        tensors.put("t".repeat(64), source);
        assertThatThrownBy(() -> GgufWriter.write(directory.resolve("t.gguf"), new LinkedHashMap<>(), tensors)).hasMessageContaining("longer than 63 bytes");
        assertThatThrownBy(() -> new GgufWriter.Source(GgmlType.Q4_0, new long[] {2, 33}, _ -> {})).hasMessageContaining("rows of 33 elements");
    }
}
