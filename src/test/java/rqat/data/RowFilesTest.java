package rqat.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.Property;

class RowFilesTest {
    @TempDir
    private Path directory;

    @Test
    void jsonLinesKeepTheirLineNumbers() throws IOException {
        Path file = write("a.jsonl", "{\"a\": \"x\"}\r\n\n  \n{\"a\": 7, \"b\": [true, null]}");
        List<Row> rows = read(file);
        assertThat(rows).extracting(Row::number).containsExactly(1L, 4L);
        assertThat(rows.get(0).text("missing", "a")).isEqualTo("x");
        assertThat(rows.get(1).text("a")).isEqualTo("7");
        assertThat(rows.get(1).flags("b")).containsExactly(true, false);
        assertThat(rows.get(1).place()).isEqualTo(file + ":4");
    }

    @Test
    void linesLongerThanAnyBufferArriveWhole() throws IOException {
        String text = "é".repeat(200_000);
        Path file = write("long.jsonl", "{\"t\":\"%s\"}\n{\"t\":\"\"}\n".formatted(text));
        assertThat(read(file)).extracting(row -> row.text("t")).containsExactly(text, "");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            a.jsonl | {"a":1}\\n[1]           | a.jsonl:2
            a.jsonl | {"a":1}\\n{"a":         | a.jsonl:2
            a.jsonl | {"a":1}\\n{"a":1,"a":2} | a.jsonl:2
            a.json  | {"a":1}                | expected an array of objects
            a.json  | [{"a":1}, 2]           | a.json:2
            a.csv   | a,b\\n1,2\\n3          | a.csv:3: 1 fields; expected 2
            a.csv   | a,b\\n1,"2             | a.csv:2: a quoted field is never closed
            a.csv   | a,b\\n1,"2"3           | a.csv:2: text after the closing quote
            a.csv   | a,a\\n1,2              | column names repeat
            a.xlsx  | zip                    | unknown kind of data file
            a.parquet | PAR1                 | cannot be read as Parquet
            """)
    void aBadFileIsNamedWithItsLine(String name, String content, String message) throws IOException {
        Path file = write(name, content.replace("\\n", "\n"));
        assertThatThrownBy(() -> read(file)).isInstanceOf(Failure.class).hasMessageContaining(message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"a.jsonl", "a.csv", "a.parquet", "a.txt", "a.json"})
    void aMissingFileIsABadFile(String name) {
        assertThatThrownBy(() -> read(directory.resolve(name)))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContaining(name);
    }

    @ParameterizedTest
    @ValueSource(strings = {"a.txt", "a.csv", "a.jsonl"})
    void textThatIsNotUtf8IsRefused(String name) throws IOException {
        Path file = directory.resolve(name);
        Files.write(file, new byte[] {'{', '"', 'a', '"', ':', '"', (byte) 0xff, '"', '}', '\n', 'b', '\n'});
        assertThatThrownBy(() -> read(file)).isInstanceOf(Failure.class).hasMessageContaining("UTF-8");
    }

    @Test
    void aWrongColumnIsNamedWithWhatThereIs() throws IOException {
        Row row = read(write("a.jsonl", "{\"question\": [1], \"other\": null}")).getFirst();
        assertThatThrownBy(() -> row.text("problem")).hasMessageContaining("a.jsonl:1: no column `problem`").hasMessageContaining("question, other");
        assertThatThrownBy(() -> row.text("question")).hasMessageContaining("column `question` is `[1]`; expected a text");
        assertThatThrownBy(() -> row.texts("other")).hasMessageContaining("expected a list");
        assertThat(row.flags("other")).isEmpty();
    }

    @Test
    void csvFieldsMayHoldEverything() throws IOException {
        Path file = write("a.csv", "\uFEFFid,text\r\n1,\"two\r\nlines, a comma and \"\"quotes\"\"\"\r\n\r\n2,\n3,\"\"\"\"\n4,plain \"quoted\" inside");
        List<Row> rows = read(file);
        assertThat(rows).extracting(row -> row.text("text"))
                .containsExactly("two\r\nlines, a comma and \"quotes\"", "", "\"", "plain \"quoted\" inside");
        assertThat(rows).extracting(Row::number).containsExactly(2L, 5L, 6L, 7L);
    }

    @Test
    void whatIsWrittenAsCsvIsReadBack() {
        Property.forAll(200, random -> {
            var values = new ArrayList<String>();
            var text = new StringBuilder("v\n");
            for (int i = 0; i < 5; i++) {
                var value = new StringBuilder("x");
                for (int c = random.nextInt(12); c > 0; c--) value.append("ab\",\n\ré".charAt(random.nextInt(7)));
                values.add(value.toString());
                text.append('"').append(value.toString().replace("\"", "\"\"")).append(random.nextBoolean() ? "\"\n" : "\"\r\n");
            }
            assertThat(read(write("p.csv", text.toString()))).extracting(row -> row.text("v")).containsExactlyElementsOf(values);
        });
    }

    @Test
    void plainTextIsARowALine() throws IOException {
        assertThat(read(write("a.txt", "one\n\n three \n"))).extracting(row -> row.text("text")).containsExactly("one", "", " three ");
    }

    private Path write(String name, String content) throws IOException {
        return Files.writeString(directory.resolve(name), content, StandardCharsets.UTF_8);
    }

    private static List<Row> read(Path file) {
        try (Stream<Row> rows = RowFiles.rows(file)) {
            return rows.toList();
        }
    }
}
