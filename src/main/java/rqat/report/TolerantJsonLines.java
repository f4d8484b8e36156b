package rqat.report;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Reads files of one JSON object per line as a crash may have left them: a line that is torn, too long or not an object is skipped and
/// counted, never an error. Memory is bounded by the longest line.
final class TolerantJsonLines {

    private static final int MAX_LINE = 4_000_000;
    private static final JsonMapper MAPPER = new JsonMapper();

    private TolerantJsonLines() {}

    /// Passes on every readable object in order.
    ///
    /// @return what to tell the reader of the report, null when every line was read
    static @Nullable String read(Path file, Consumer<JsonNode> objects) {
        int lines = 0;
        int bad = 0;
        boolean lastIsBad = false;
        try (var reader = new BufferedReader(new InputStreamReader(Files.newInputStream(file), StandardCharsets.UTF_8))) {
            for (String line = line(reader); line != null; line = line(reader)) {
                if (line.isBlank()) {
                    continue;
                }
                lines++;
                JsonNode object = parse(line);
                lastIsBad = object == null;
                if (object == null) {
                    bad++;
                } else {
                    objects.accept(object);
                }
            }
        } catch (IOException e) {
            return "could not be read to its end: " + (e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage());
        }
        if (bad == 0) {
            return null;
        }
        return bad == 1 && lastIsBad ? "its last line is incomplete and was left out"
                : "%d of %d lines are not JSON objects and were left out".formatted(bad, lines);
    }

    private static @Nullable JsonNode parse(String line) {
        try {
            JsonNode node = MAPPER.readTree(line);
            return node.isObject() ? node : null;
        } catch (JacksonException e) {
            return null;
        }
    }

    /// The next line, null at the end; of a line longer than the limit only its beginning, which then does not parse.
    private static @Nullable String line(Reader reader) throws IOException {
        int c = reader.read();
        if (c < 0) {
            return null;
        }
        var line = new StringBuilder();
        for (; c >= 0 && c != '\n'; c = reader.read()) {
            if (line.length() < MAX_LINE) {
                line.append((char) c);
            }
        }
        return line.toString();
    }
}
