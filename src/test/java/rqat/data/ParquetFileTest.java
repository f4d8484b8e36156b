package rqat.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.Property;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Files that DuckDB wrote from `rows.sql` beside them; the expected rows are that query worked out here. Files by pyarrow are read in
/// [ExerciseTest].
class ParquetFileTest {
    private static final Path FILES = Path.of("src/test/resources/rqat/data/parquet");
    private static final JsonMapper JSON = new JsonMapper();

    @TempDir
    private Path directory;

    @ParameterizedTest
    @CsvSource({"plain, 100", "snappy, 2500", "gzip, 2500", "zstd, 2500"})
    void nestedRowsAreReadInOrderWhateverTheCodecAndTheRowGroups(String name, int count) {
        List<Row> rows = read(FILES.resolve(name + ".parquet"));
        assertThat(rows).hasSize(count);
        for (int i = 0; i < count; i++) {
            assertThat(rows.get(i).number()).isEqualTo(i + 1);
            assertThat(rows.get(i).fields().toString()).isEqualTo(expected(i).toString());
        }
    }

    private static JsonNode expected(int i) {
        var row = JSON.createObjectNode();
        row.put("n", (long) i);
        row.put("problem", i % 11 == 0 ? null : "Problem " + i + ": é∑\n\"\\");
        List<String> generations = i % 3 == 0 ? null : list(i % 4, j -> j == 2 ? null : "think " + j + " of " + i);
        row.set("generations", JSON.valueToTree(generations));
        List<Boolean> flags = i % 7 == 0 ? null : list(i % 3, j -> (i + j) % 5 == 0 ? null : (i + j) % 2 == 0);
        row.set("flags", JSON.valueToTree(flags));
        var messages = i % 6 == 0 ? null : list(i % 4, j -> {
            var message = JSON.createObjectNode();
            message.put("content", i % 5 == 0 ? null : "message " + j + " of " + i);
            return message.put("role", List.of("user", "assistant").get(j % 2));
        });
        row.set("messages", JSON.valueToTree(messages));
        row.set("nested", i % 4 == 0 ? JSON.nullNode() : JSON.readTree("{\"tags\": [\"a%d\", null], \"deep\": [[%d, null], [], null]}".formatted(i, i)));
        row.put("source", List.of("math", "code", "logic").get(i % 3));
        row.set("pairs", JSON.valueToTree(Map.of("k" + i, (long) i)));
        row.put("eighths", i / 8.0);
        row.put("byte", i % 256);
        return row.put("day", LocalDate.of(2024, 1, 1).plusDays(i).toString());
    }

    private static <T> List<T> list(int size, java.util.function.IntFunction<T> element) {
        var list = new ArrayList<T>();
        for (int j = 0; j < size; j++) list.add(element.apply(j));
        return list;
    }

    @Test
    void otherKindsOfValuesKeepWhatTheySay() {
        Row row = read(FILES.resolve("kinds.parquet")).getFirst();
        assertThat(row.text("text")).isEqualTo("text");
        assertThat(row.fields().get("bytes").binaryValue()).containsExactly(0xff, 0xfe);
        assertThat(row.text("id")).isEqualTo("6ccd780c-baba-1026-9564-5b8c656024db");
        assertThat(row.text("time")).isEqualTo("2024-02-03T04:05:06.789");
        assertThat(row.fields().get("nan").doubleValue()).isNaN();
        assertThat(row.text("u32")).isEqualTo("4000000000");
        assertThat(row.text("u64")).isEqualTo("18000000000000000000");
        assertThat(row.text("i8")).isEqualTo("-5");
    }

    @Test
    void aFileWithoutRowsHasNone() {
        assertThat(read(FILES.resolve("empty.parquet"))).isEmpty();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            brotli.parquet        | column `n` is compressed with BROTLI; expected one of [GZIP, SNAPPY, UNCOMPRESSED, ZSTD]
            unsigned-list.parquet | unsigned numbers of 32 bits inside a list
            """)
    void whatWouldBeReadWronglyOrNotAtAllIsRefused(String name, String message) {
        assertThatThrownBy(() -> read(FILES.resolve(name))).isInstanceOf(Failure.class).hasMessageContaining(name).hasMessageContaining(message);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4})
    void aTruncatedFileIsABadFile(int quarters) throws IOException {
        byte[] whole = Files.readAllBytes(Path.of("src/test/resources/rqat/data/OpenR1-Math-220k/data/train-00000-of-00001.parquet"));
        Path file = write(Arrays.copyOf(whole, whole.length * quarters / 4 - 1));
        assertThatThrownBy(() -> read(file)).isInstanceOf(Failure.class).hasMessageContaining(file.toString()).hasMessageContaining("download");
    }

    @Test
    void aTextThatIsNotUtf8IsRefused() throws IOException {
        byte[] bytes = Files.readAllBytes(FILES.resolve("plain.parquet"));
        String latin = new String(bytes, StandardCharsets.ISO_8859_1);
        bytes[latin.indexOf("Problem 7:")] = (byte) 0xff;
        Path file = write(bytes);
        assertThatThrownBy(() -> read(file)).isInstanceOf(Failure.class).hasMessageContaining(file + ":8").hasMessageContaining("UTF-8");
    }

    /// A column that ends a byte early: Hardwood alone would ask for the missing page for ever.
    @Test
    @Timeout(value = 1, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void aPageWithoutBytesIsABadFile() throws IOException {
        byte[] bytes = Files.readAllBytes(FILES.resolve("kinds.parquet"));
        assertThat(bytes[359]).isEqualTo(zigzag(25));
        bytes[359] = zigzag(24);
        assertThatThrownBy(() -> read(write(bytes))).isInstanceOf(Failure.class).hasMessageContaining("cannot be read as Parquet");
    }

    private static byte zigzag(int n) {
        return (byte) (2 * n);
    }

    /// Whatever bytes are wrong: rows, for values carry no checksum, or one message.
    @Test
    @Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void damageNeverDoesMoreThanFail() {
        List<byte[]> wholes = Stream.of("kinds", "zstd").map(name -> bytes(FILES.resolve(name + ".parquet"))).toList();
        int[] failed = {0};
        Property.forAll(150, random -> {
            byte[] damaged = wholes.get(random.nextInt(wholes.size())).clone();
            int from = random.nextBoolean() ? 0 : damaged.length - 600;
            for (int j = random.nextInt(4); j >= 0; j--) damaged[from + random.nextInt(damaged.length - from)] = (byte) random.nextInt(256);
            failed[0] += fails(damaged);
        });
        assertThat(failed[0]).isGreaterThan(50);
    }

    private int fails(byte[] damaged) throws IOException {
        try {
            read(write(damaged));
            return 0;
        } catch (Failure e) {
            assertThat(e.kind()).isEqualTo(Failure.Kind.BAD_FILE);
            return 1;
        }
    }

    private static byte[] bytes(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private Path write(byte[] bytes) throws IOException {
        return Files.write(directory.resolve("data.parquet"), bytes);
    }

    private static List<Row> read(Path file) {
        try (Stream<Row> rows = RowFiles.rows(file)) {
            return rows.toList();
        }
    }
}
