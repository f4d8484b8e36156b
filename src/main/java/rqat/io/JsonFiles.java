package rqat.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import rqat.Failure;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.TokenStreamLocation;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// JSON files as trees. Read with suspicion: duplicate keys, text after the value, deep nesting and absurd sizes are bad files.
public final class JsonFiles {

    private static final long MAXIMUM_BYTES = 100_000_000;
    private static final int MAXIMUM_DEPTH = 64;

    private static final JsonMapper JSON = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder().maxNestingDepth(MAXIMUM_DEPTH).build())
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private JsonFiles() {}

    /// Reads one JSON value of at most 100 MB.
    ///
    /// @throws Failure of kind BAD_FILE with file, line and column
    public static JsonNode read(Path file) {
        try {
            if (Files.size(file) > MAXIMUM_BYTES) {
                throw Failure.badFile("%s: has %,d bytes; expected at most %,d".formatted(file, Files.size(file), MAXIMUM_BYTES));
            }
            return parse(Files.readAllBytes(file), file.toString(), 1);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
    }

    /// Parses one JSON value out of a file called `name`, on whose line `line` (from 1) it begins.
    ///
    /// @throws Failure of kind BAD_FILE with file, line and column
    public static JsonNode parse(byte[] json, String name, long line) {
        try {
            JsonNode node = JSON.readTree(json);
            if (node.isMissingNode()) {
                throw Failure.badFile("%s:%d: found nothing; expected JSON".formatted(name, line));
            }
            return node;
        } catch (JacksonException e) {
            TokenStreamLocation location = e.getLocation();
            String place = location == null ? "" : ":%d:%d".formatted(line - 1 + location.getLineNr(), location.getColumnNr());
            throw Failure.badFile("%s%s: not valid JSON: %s".formatted(name, place, Failure.quote(reason(e))), e);
        }
    }

    /// Without the library's remarks on where the surrounding value began, which name its source in words of its own.
    private static String reason(JacksonException e) {
        return e.getOriginalMessage().replaceAll(" ?\\(start marker at .*", "");
    }

    /// Creates or replaces a file, indented.
    public static void write(Path file, JsonNode value) {
        AtomicFiles.write(file, text(value) + "\n");
    }

    /// A value as [#write] writes it, without the last line feed.
    static String text(JsonNode value) {
        return JSON.writer().with(SerializationFeature.INDENT_OUTPUT).writeValueAsString(value);
    }

    /// An object to fill.
    public static ObjectNode object() {
        return JSON.createObjectNode();
    }

    /// The value as it would be after writing and reading: numbers of the types that JSON parsing gives, so that trees from different
    /// sources compare.
    public static JsonNode normalised(JsonNode value) {
        return JSON.readTree(JSON.writeValueAsBytes(value));
    }
}
