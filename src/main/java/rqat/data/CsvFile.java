package rqat.data;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.AtomicFiles;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Comma-separated values as RFC 4180 writes them, in UTF-8: the first record names the columns; a field in double quotes may hold commas,
/// line breaks and doubled quotes. All values are texts.
final class CsvFile {
    private static final int LONGEST_RECORD = 1 << 26;

    private final Path file;
    private final BufferedReader in;
    private long line = 1;
    /// Where the record that was read last begins.
    private long first;

    private CsvFile(Path file, BufferedReader in) {
        this.file = file;
        this.in = in;
    }

    static Stream<Row> rows(Path file) {
        try {
            var decoder = StandardCharsets.UTF_8.newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT);
            var csv = new CsvFile(file, new BufferedReader(new InputStreamReader(Files.newInputStream(file), decoder), 1 << 16));
            List<String> columns = csv.header();
            return RowStream.of(() -> csv.row(columns), csv::close);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
    }

    private List<String> header() {
        List<String> columns = record();
        if (columns == null) throw Failure.badFile("%s: empty; expected a line of column names".formatted(file));
        if (columns.getFirst().startsWith("\uFEFF")) columns.set(0, columns.getFirst().substring(1));
        if (new HashSet<>(columns).size() < columns.size()) {
            throw Failure.badFile("%s:1: column names repeat: %s".formatted(file, Failure.quote(columns.toString())));
        }
        return columns;
    }

    private @Nullable Row row(List<String> columns) {
        List<String> values = record();
        if (values == null) return null;
        if (values.size() != columns.size()) {
            throw Failure.badFile("%s:%d: %d fields; expected %d, one for each column of the first line"
                    .formatted(file, first, values.size(), columns.size()));
        }
        ObjectNode fields = JsonNodeFactory.instance.objectNode();
        for (int i = 0; i < values.size(); i++) fields.put(columns.get(i), values.get(i));
        return new Row(file.toString(), first, fields);
    }

    /// The fields of the next record; null at the end of the file. An empty line between records is no record.
    private @Nullable List<String> record() {
        try {
            int c = in.read();
            while (c == '\n' || c == '\r') {
                if (c == '\n') line++;
                c = in.read();
            }
            if (c < 0) return null;
            first = line;
            var fields = new ArrayList<String>();
            var field = new StringBuilder();
            int size = 0;
            boolean quoted = false;
            boolean closed = false;
            while (true) {
                if (++size > LONGEST_RECORD) {
                    throw Failure.badFile("%s:%d: the record is longer than %,d characters; is a quote missing?".formatted(file, first, LONGEST_RECORD));
                }
                if (quoted) {
                    if (c < 0) throw Failure.badFile("%s:%d: a quoted field is never closed".formatted(file, first));
                    if (c == '\n') line++;
                    if (c != '"') {
                        field.append((char) c);
                    } else {
                        quoted = false;
                        closed = true;
                    }
                } else if (c == '"' && closed) {
                    field.append('"');
                    quoted = true;
                    closed = false;
                } else if (c == '"' && field.isEmpty()) {
                    quoted = true;
                } else if (c == ',' || c == '\n' || c < 0 || c == '\r' && peek() == '\n') {
                    fields.add(field.toString());
                    field.setLength(0);
                    closed = false;
                    if (c == '\r') in.read();
                    if (c != ',') {
                        if (c >= 0) line++;
                        return fields;
                    }
                } else if (closed) {
                    throw Failure.badFile("%s:%d: text after the closing quote of a field; write a quote inside a field twice".formatted(file, line));
                } else {
                    field.append((char) c);
                }
                c = in.read();
            }
        } catch (CharacterCodingException e) {
            throw Failure.badFile("%s:%d: not UTF-8; convert the file".formatted(file, line), e);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
    }

    private int peek() throws IOException {
        in.mark(1);
        int c = in.read();
        if (c >= 0) in.reset();
        return c;
    }

    private void close() {
        try {
            in.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
