package rqat.data;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// Data files as streams of rows: JSON Lines, JSON arrays, CSV, Parquet, and plain text with a row a line (column `text`). Rows are read one
/// at a time, so that a file may be larger than memory; the streams hold files open and must be closed.
public final class RowFiles {

    /// What file names may end in.
    public static final List<String> EXTENSIONS = List.of("jsonl", "ndjson", "json", "csv", "parquet", "txt");

    /// LiveCodeBench has lines of tens of megabytes.
    private static final int LONGEST_LINE = 1 << 28;

    private RowFiles() {}

    /// Whether the name of a file ends as one that [#rows] reads.
    public static boolean isReadable(Path file) {
        return EXTENSIONS.contains(extension(file));
    }

    /// The rows of a file; failures while reading are [Failure]s of kind BAD_FILE with file and line.
    public static Stream<Row> rows(Path file) {
        return switch (extension(file)) {
            case "jsonl", "ndjson" -> jsonLines(file).map(row -> object(row.file(), row.number(), row.fields()));
            case "json" -> array(file);
            case "csv" -> CsvFile.rows(file);
            case "parquet" -> ParquetFile.rows(file);
            case "txt" -> lines(file).map(line -> new Row(line.name, line.number, JsonNodeFactory.instance.objectNode().put("text", line.text())));
            default -> throw Failure.usage("%s: unknown kind of data file; expected a name that ends in one of %s".formatted(file, EXTENSIONS));
        };
    }

    /// The lines of a JSONL file, whatever it is called, without blank ones; `fields` is whatever JSON value a line holds. Fails as [#rows].
    public static Stream<Row> jsonLines(Path file) {
        return lines(file).filter(line -> !line.isBlank()).map(line -> new Row(line.name, line.number, line.json()));
    }

    private static Row object(String name, long number, JsonNode value) {
        if (!value.isObject()) {
            throw Failure.badFile("%s:%d: found %s; expected a JSON object".formatted(name, number, Failure.quote(value.toString())));
        }
        return new Row(name, number, value);
    }

    private static Stream<Row> array(Path file) {
        JsonNode values = JsonFiles.read(file);
        if (!values.isArray()) {
            throw Failure.badFile("%s: found a JSON %s; expected an array of objects (one object a line is called .jsonl)"
                    .formatted(file, values.getNodeType().toString().toLowerCase(Locale.ROOT)));
        }
        long[] number = {0};
        return values.valueStream().map(value -> object(file.toString(), ++number[0], value));
    }

    private static String extension(Path file) {
        String name = file.getFileName().toString();
        return name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
    }

    /// A line of a file, without its line feed.
    private record Line(String name, long number, byte[] bytes) {
        boolean isBlank() {
            for (byte b : bytes) {
                if (b != ' ' && b != '\t' && b != '\r') return false;
            }
            return true;
        }

        JsonNode json() {
            return JsonFiles.parse(bytes, name, number);
        }

        String text() {
            try {
                return StandardCharsets.UTF_8.newDecoder()
                        .onMalformedInput(CodingErrorAction.REPORT)
                        .onUnmappableCharacter(CodingErrorAction.REPORT)
                        .decode(ByteBuffer.wrap(bytes))
                        .toString();
            } catch (CharacterCodingException e) {
                throw Failure.badFile("%s:%d: not UTF-8; convert the file".formatted(name, number), e);
            }
        }
    }

    private static Stream<Line> lines(Path file) {
        try {
            var reader = new LineReader(file, Files.newInputStream(file));
            return RowStream.of(reader::next, reader::close);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
    }

    /// Cuts a stream of bytes at line feeds.
    private static final class LineReader {
        private final Path file;
        private final InputStream in;
        private final byte[] buffer = new byte[1 << 16];
        private int position;
        private int end;
        private long number;

        LineReader(Path file, InputStream in) {
            this.file = file;
            this.in = in;
        }

        @Nullable Line next() {
            var line = new ByteArrayOutputStream();
            try {
                while (true) {
                    if (position == end) {
                        end = Math.max(0, in.read(buffer));
                        position = 0;
                        if (end == 0) return line.size() == 0 ? null : new Line(file.toString(), ++number, line.toByteArray());
                    }
                    int feed = position;
                    while (feed < end && buffer[feed] != '\n') feed++;
                    if (line.size() > LONGEST_LINE - (feed - position)) {
                        throw Failure.badFile("%s:%d: the line is longer than %,d bytes; is this a text file?"
                                .formatted(file, number + 1, LONGEST_LINE));
                    }
                    line.write(buffer, position, feed - position);
                    boolean whole = feed < end;
                    position = whole ? feed + 1 : feed;
                    if (whole) return new Line(file.toString(), ++number, line.toByteArray());
                }
            } catch (IOException e) {
                throw AtomicFiles.failure("read", file, e);
            }
        }

        void close() {
            try {
                in.close();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
