package rqat.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.MemorySegment;
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
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.Property;
import rqat.run.RandomStream;

class SafetensorsTest {

    @TempDir
    Path directory;

    static HostTensor random(RandomStream random) {
        DataType type = DataType.values()[random.nextInt(DataType.values().length)];
        long[] shape = new long[random.nextInt(4)];
        for (int i = 0; i < shape.length; i++) {
            shape[i] = random.nextInt(6);
        }
        byte[] bytes = new byte[(int) HostTensor.byteSize(type, shape)];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) random.nextLong();
        }
        return HostTensor.ofBytes(type, shape, bytes);
    }

    static SequencedMap<String, HostTensor> randomTensors(RandomStream random) {
        SequencedMap<String, HostTensor> tensors = new LinkedHashMap<>();
        int count = random.nextInt(8);
        for (int i = 0; i < count; i++) {
            tensors.put("layer.%d.ü\"%s".formatted(random.nextInt(100), random.nextBoolean() ? "\uD83D\uDE00" : "weight"), random(random));
        }
        return tensors;
    }

    @Test
    void randomTensorsComeBackBitForBit() {
        Property.forAll(200, random -> {
            Map<String, HostTensor> tensors = randomTensors(random);
            Map<String, String> metadata = random.nextBoolean() ? Map.of() : Map.of("format", "pt", "ключ", "\n\u0000\"");
            Path file = directory.resolve("t.safetensors");
            SafetensorsWriter.write(file, tensors, metadata);
            try (SafetensorsFile read = SafetensorsFile.open(file)) {
                assertThat(read.tensors()).isEqualTo(tensors);
                assertThat(read.metadata()).isEqualTo(metadata);
                for (HostTensor tensor : read.tensors().values()) {
                    assertThat(tensor.data().address() % tensor.type().byteSize()).as("alignment").isZero();
                }
            }
        });
    }

    @Test
    void bytesDoNotDependOnTheOrderOfTheMap() throws IOException {
        RandomStream random = new RandomStream(1);
        for (int i = 0; i < 20; i++) {
            SequencedMap<String, HostTensor> tensors = randomTensors(random);
            SafetensorsWriter.write(directory.resolve("a"), tensors, Map.of("x", "1", "y", "2"));
            SafetensorsWriter.write(directory.resolve("b"), tensors.reversed(), new TreeMap<>(Map.of("y", "2", "x", "1")));
            assertThat(Files.mismatch(directory.resolve("a"), directory.resolve("b"))).isEqualTo(-1);
        }
    }

    /// The header by hand, from the format's description.
    @Test
    void headerIsWhatTheFormatSays() throws IOException {
        Path file = directory.resolve("t");
        SafetensorsWriter.write(file, Map.of("b", HostTensor.ofFloats(new long[] {2}, 1f, -2f), "a",
                HostTensor.ofBytes(DataType.U8, new long[] {1, 1}, (byte) 7),
                "c", HostTensor.ofInts(new long[] {}, 258)), Map.of("k", "v"));
        String json = "{\"__metadata__\":{\"k\":\"v\"},\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                + "\"c\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[8,12]},\"a\":{\"dtype\":\"U8\",\"shape\":[1,1],\"data_offsets\":[12,13]}}";
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        int headerBytes = (json.length() + 7) / 8 * 8;
        assertThat(bytes.getLong()).isEqualTo(headerBytes);
        byte[] header = new byte[headerBytes];
        bytes.get(header);
        assertThat(new String(header, StandardCharsets.UTF_8)).isEqualTo(json + " ".repeat(headerBytes - json.length()));
        assertThat(bytes.getFloat()).isEqualTo(1f);
        assertThat(bytes.getFloat()).isEqualTo(-2f);
        assertThat(bytes.getInt()).isEqualTo(258);
        assertThat(bytes.get()).isEqualTo((byte) 7);
        assertThat(bytes.hasRemaining()).isFalse();
    }

    /// As the reference implementation reads them.
    @ParameterizedTest
    @ValueSource(strings = {"{'__metadata__':null}", "{'__metadata__':{}}", "{}", "{'__metadata__':null,'a':{'dtype':'U8','shape':[0],'data_offsets':[0,0]}}"})
    void readsAHeaderWithoutMetadata(String header) throws IOException {
        try (SafetensorsFile file = SafetensorsFile.open(file(header.replace('\'', '"'), 0))) {
            assertThat(file.metadata()).isEmpty();
        }
    }

    private Path file(String header, int dataBytes) throws IOException {
        byte[] json = header.getBytes(StandardCharsets.UTF_8);
        ByteBuffer bytes = ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).put(json);
        return Files.write(directory.resolve("bad.safetensors"), bytes.array());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
        "4 | {'w':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}{}      | goes on after its JSON object",
        "4 | ['w']                                                         | does not begin with `{`",
        "4 |  {'w':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}        | not valid JSON",
        "4 | {'w':{'dtype':'F32','shape':[1],'data_offsets':[0,4]},'w':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}} | not valid JSON at byte 65: `Duplicate",
        "4 | {'w':{'dtype':'F32','dtype':'F32','shape':[1],'data_offsets':[0,4]}} | Duplicate",
        "4 | {'w':{'dtype':'F8_E4M3','shape':[4],'data_offsets':[0,4]}}    | `w`: dtype `F8_E4M3` is not supported; expected one of [BOOL, U8",
        "4 | {'w':{'dtype':7,'shape':[4],'data_offsets':[0,4]}}            | `w`: found an integer; expected a string as dtype",
        "4 | {'w':{'dtype':'F32','shape':[-1],'data_offsets':[0,4]}}       | `w`: shape holds `-1`; expected integers from 0",
        "4 | {'w':{'dtype':'F32','shape':[1.0],'data_offsets':[0,4]}}      | `w`: found a number that is no integer; expected integers in shape",
        "4 | {'w':{'dtype':'F32','shape':['1'],'data_offsets':[0,4]}}      | `w`: found a string; expected integers in shape",
        "4 | {'w':{'dtype':'F32','shape':[[1]],'data_offsets':[0,4]}}      | `w`: found an array; expected integers in shape",
        "4 | {'w':{'dtype':'F32','shape':1,'data_offsets':[0,4]}}          | `w`: found an integer; expected an array of integers as shape",
        "4 | {'w':{'dtype':'F32','shape':[99999999999999999999],'data_offsets':[0,4]}} | `w`: shape holds `99999999999999999999`",
        "4 | {'w':{'dtype':'F32','shape':[4611686018427387904,4611686018427387904],'data_offsets':[0,4]}} | `w`: shape [4611686018427387904, 4611686018427387904] has more bytes",
        "0 | {'w':{'dtype':'F32','shape':[0,4611686018427387904,4611686018427387904],'data_offsets':[0,0]}} | has more bytes",
        "4 | {'w':{'dtype':'F32','shape':[2],'data_offsets':[0,4]}}        | `w`: data_offsets [0, 4] hold 4 bytes; expected 8 for F32 [2]",
        "4 | {'w':{'dtype':'F32','shape':[1],'data_offsets':[4,0]}}        | `w`: data_offsets are [4, 0]; expected [begin, end]",
        "4 | {'w':{'dtype':'F32','shape':[1],'data_offsets':[0]}}          | `w`: data_offsets are [0]; expected [begin, end]",
        "4 | {'w':{'dtype':'F32','shape':[1],'data_offsets':[-4,0]}}       | `w`: data_offsets holds `-4`",
        "4 | {'w':{'dtype':'F32','shape':[1]}}                             | `w`: no data_offsets; expected dtype, shape and data_offsets",
        "4 | {'w':{'dtype':'F32','shape':[1],'data_offsets':[0,4],'strides':[1]}} | `w`: unknown field `strides`",
        "4 | {'w':null}                                                    | `w`: found null; expected an object with dtype",
        "4 | {'w':{'dtype':'F32','shape':[2],'data_offsets':[0,8]}}        | `w`: its bytes end at 8 of the data section, which has only 4",
        "8 | {'w':{'dtype':'F32','shape':[1],'data_offsets':[4,8]}}        | `w`: its bytes begin at 4; expected 0",
        "5 | {'w':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}        | 1 bytes follow the last tensor; expected none",
        "8 | {'v':{'dtype':'F32','shape':[1],'data_offsets':[0,4]},'w':{'dtype':'F32','shape':[1],'data_offsets':[2,6]}} | `w`: its bytes begin at 2; expected 4",
        "3 | {}                                                            | 3 bytes follow the last tensor",
        "0 | {'__metadata__':{'a':1}}                                      | `__metadata__`: found an integer; expected a string as the value of `a`",
        "0 | {'__metadata__':{'a':null}}                                   | `__metadata__`: found null; expected a string as the value of `a`",
        "0 | {'__metadata__':[]}                                           | `__metadata__`: found an array; expected an object of strings",
        "4 | {'\\ud800':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}  | surrogate",
        "4 | {'\\udc00':{'dtype':'F32','shape':[1],'data_offsets':[0,4]}}  | surrogate",
        "0 | {'__metadata__':{'a':'\\udc00'}}  | surrogate",
        "4 | {'\\u001b[2J':{'dtype':'F32','shape':[2],'data_offsets':[0,4]}}  | `\\u001b[2J`: data_offsets",
    })
    void badHeadersSayWhatIsWrong(int dataBytes, String header, String message) throws IOException {
        Path file = file(header.replace('\'', '"'), dataBytes);
        assertBadFile(() -> SafetensorsFile.open(file), file.toString(), message);
    }

    private static void assertBadFile(ThrowingCallable call, String... parts) {
        assertThatThrownBy(call).isInstanceOfSatisfying(Failure.class, failure -> {
            assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE);
            assertThat(failure.getMessage()).contains(parts).doesNotContain("\u001b");
        });
    }

    @Test
    void filesThatAreNoSafetensorsSayWhatIsWrong() throws IOException {
        Path file = directory.resolve("x.safetensors");
        assertBadFile(() -> SafetensorsFile.open(file), "cannot read", file.toString(), "no such file");
        assertBadFile(() -> SafetensorsFile.open(directory), "found a directory");
        Files.write(file, new byte[0]);
        assertBadFile(() -> SafetensorsFile.open(file), "the file has 0 bytes; expected at least the 8 bytes");
        Files.write(file, new byte[] {1, 0, 0, 0, 0, 0, 0, 0});
        assertBadFile(() -> SafetensorsFile.open(file),
                "the header length is 1 bytes; expected at most 100000000 and inside the file of 8 bytes");
        Files.write(file, new byte[] {-1, -1, -1, -1, -1, -1, -1, -1, '{'});
        assertBadFile(() -> SafetensorsFile.open(file), "the header length is 18446744073709551615 bytes");
        Files.writeString(file, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
        assertBadFile(() -> SafetensorsFile.open(file), "Git LFS pointer");
        Files.write(file, new byte[8]);
        assertBadFile(() -> SafetensorsFile.open(file), "does not begin with `{`");
    }

    @Test
    void deeplyNestedHeadersAreRefused() throws IOException {
        Path file = file("{\"w\":{\"shape\":" + "[".repeat(1_000_000), 0);
        assertBadFile(() -> SafetensorsFile.open(file), "`w`: found an array; expected integers in shape");
    }

    /// Every corruption either loads to the same tensors (spaces, escapes), loads as another valid file, or is a bad file; never anything else.
    @Test
    void everyCorruptionIsABadFileOrHarmless() {
        Property.forAll(600, random -> {
            SequencedMap<String, HostTensor> tensors = randomTensors(random);
            Path file = directory.resolve("c.safetensors");
            SafetensorsWriter.write(file, tensors, Map.of("format", "pt"));
            byte[] bytes = Files.readAllBytes(file);
            int headerEnd = 8 + (int) ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
            byte[] corrupt = switch (random.nextInt(4)) {
                case 0 -> Arrays.copyOf(bytes, random.nextInt(bytes.length));
                case 1 -> Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(9));
                case 2 -> flipped(bytes, random, headerEnd);
                default -> replacedDigit(bytes, random, headerEnd);
            };
            Files.write(file, corrupt);
            Throwable thrown = catchThrowable(() -> {
                try (SafetensorsFile read = SafetensorsFile.open(file)) {
                    long total = 0;
                    for (HostTensor tensor : read.tensors().values()) {
                        assertThat(tensor.data().toArray(ValueLayout.JAVA_BYTE)).hasSize((int) tensor.byteSize());
                        total += tensor.byteSize();
                    }
                    assertThat(8 + ByteBuffer.wrap(corrupt).order(ByteOrder.LITTLE_ENDIAN).getLong() + total).isEqualTo(corrupt.length);
                }
            });
            if (thrown != null) {
                assertThat(thrown).isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind())
                        .isEqualTo(Failure.Kind.BAD_FILE));
                assertThat(thrown).hasMessageContaining(file.toString());
            }
            if (corrupt.length != bytes.length) {
                assertThat(thrown).as("a file of another length").isNotNull();
            }
        });
    }

    private static byte[] flipped(byte[] bytes, RandomStream random, int headerEnd) {
        byte[] corrupt = bytes.clone();
        corrupt[random.nextInt(headerEnd)] ^= (byte) (1 << random.nextInt(8));
        return corrupt;
    }

    private static byte[] replacedDigit(byte[] bytes, RandomStream random, int headerEnd) {
        byte[] corrupt = bytes.clone();
        String interesting = "0123456789-{}[],:\"\\e. \u0000";
        corrupt[8 + random.nextInt(headerEnd - 8)] = (byte) interesting.charAt(random.nextInt(interesting.length()));
        return corrupt;
    }

    @Test
    void producersAreAskedOneByOneAndHeldToTheirWord() throws IOException {
        List<String> asked = new ArrayList<>();
        SequencedMap<String, TensorSource> sources = new LinkedHashMap<>();
        for (String name : List.of("c", "a", "b")) {
            sources.put(name, TensorSource.of(DataType.F32, new long[] {1}, () -> {
                asked.add(name);
                return HostTensor.ofFloats(new long[] {1}, name.charAt(0));
            }));
        }
        Path file = directory.resolve("p.safetensors");
        SafetensorsWriter.write(file, sources, Map.of());
        assertThat(asked).containsExactly("a", "b", "c");
        byte[] before = Files.readAllBytes(file);

        sources.put("z", TensorSource.of(DataType.F32, new long[] {2}, () -> HostTensor.ofFloats(new long[] {1}, 0f)));
        assertThatThrownBy(() -> SafetensorsWriter.write(file, sources, Map.of())).isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("z was announced as F32 [2]");
        assertThat(Files.readAllBytes(file)).as("the old file stays").isEqualTo(before);
        try (var files = Files.list(directory)) {
            assertThat(files).as("no temporary file is left").containsExactly(file);
        }
    }

    /// A sparse file: its 3 GiB take no room on the disk.
    @Test
    void tensorsMayLieBeyondTwoGigabytes() throws IOException {
        long size = 3L << 30;
        Path file = file("{\"a\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]},\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[%d,%d]}}"
                .formatted(size, size, size, size + 2), 0);
        try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
            sparse.seek(sparse.length() + size);
            sparse.write(new byte[] {5, 6});
        }
        try (SafetensorsFile read = SafetensorsFile.open(file)) {
            assertThat(read.tensors().get("a").elementCount()).isEqualTo(size);
            assertThat(read.tensors().get("b").toInts()).containsExactly(5, 6);
            assertThatThrownBy(() -> read.tensors().get("a").toInts()).hasMessageContaining("does not fit a Java array");
        }
    }

    @Test
    void tensorsAreGoneAfterClose() {
        Path file = directory.resolve("t");
        SafetensorsWriter.write(file, Map.of("w", HostTensor.ofFloats(new long[] {1}, 1)), Map.of());
        SafetensorsFile read = SafetensorsFile.open(file);
        HostTensor tensor = read.tensors().get("w");
        read.close();
        assertThatThrownBy(tensor::toFloats).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void valuesWiden() {
        assertThat(HostTensor.ofBytes(DataType.F16, new long[] {4}, bytes(0x3c00, 0xc000, 0x0001, 0x7c00)).toFloats())
                .containsExactly(1f, -2f, 0x1p-24f, Float.POSITIVE_INFINITY);
        assertThat(HostTensor.ofBytes(DataType.BF16, new long[] {3}, bytes(0x3f80, 0xc000, 0x0001)).toFloats())
                .containsExactly(1f, -2f, Float.intBitsToFloat(0x10000));
        ByteBuffer doubles = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN).putDouble(0.1).putDouble(-1e300);
        assertThat(HostTensor.ofBytes(DataType.F64, new long[] {2}, doubles.array()).toFloats())
                .containsExactly(0.1f, Float.NEGATIVE_INFINITY);
        assertThat(HostTensor.ofBytes(DataType.U8, new long[] {2}, (byte) 255, (byte) 1).toInts()).containsExactly(255, 1);
        assertThat(HostTensor.ofBytes(DataType.I8, new long[] {2}, (byte) 255, (byte) 1).toInts()).containsExactly(-1, 1);
        assertThat(HostTensor.ofBytes(DataType.I16, new long[] {2}, bytes(0x8000, 0x0102)).toInts()).containsExactly(-32768, 258);
        assertThat(HostTensor.ofBytes(DataType.BOOL, new long[] {2}, (byte) 0, (byte) 1).toInts()).containsExactly(0, 1);
        assertThat(HostTensor.ofLongs(new long[] {2}, -5, 6).toInts()).containsExactly(-5, 6);
        assertBadFile(() -> HostTensor.ofLongs(new long[] {1}, 1L << 31).toInts(), "element 0 is 2147483648");
        assertBadFile(() -> HostTensor.ofFloats(new long[] {1}, 1).toInts(), "tensor F32 [1]: expected BOOL, U8");
        assertBadFile(() -> HostTensor.ofInts(new long[] {1}, 1).toFloats(), "tensor I32 [1]: expected F32");
    }

    private static byte[] bytes(int... halves) {
        ByteBuffer buffer = ByteBuffer.allocate(2 * halves.length).order(ByteOrder.LITTLE_ENDIAN);
        for (int half : halves) {
            buffer.putShort((short) half);
        }
        return buffer.array();
    }

    @Test
    void lengthAndShapeMustAgree() {
        assertThatThrownBy(() -> new HostTensor(DataType.F32, new long[] {2}, MemorySegment.ofArray(new byte[7])))
                .isInstanceOf(IllegalArgumentException.class).hasMessage("F32 [2] needs 8 bytes, not 7");
        assertThatThrownBy(() -> new HostTensor(DataType.F32, new long[] {-1}, MemorySegment.ofArray(new byte[0])))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("negative");
        long[] shape = {1};
        HostTensor tensor = HostTensor.ofFloats(shape, 3f);
        shape[0] = 9;
        tensor.shape()[0] = 9;
        assertThat(tensor.shape()).containsExactly(1);
    }
}
