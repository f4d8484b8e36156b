package rqat.text;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import rqat.Failure;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// JSON files of a model directory, read whole and complained about by file, place and found value.
final class JsonFile {

    /// The largest published tokenizer.json is about 35 MB.
    private static final long MAXIMUM_BYTES = 256L << 20;

    private static final JsonMapper MAPPER = JsonMapper.builder()
            .enable(DeserializationFeature.FAIL_ON_READING_DUP_TREE_KEY)
            .build();

    private JsonFile() {}

    /// The object in `file`, or empty when there is no such file.
    static Optional<ObjectNode> readIfPresent(Path file) {
        return Files.exists(file) ? Optional.of(read(file)) : Optional.empty();
    }

    /// The object in `file`.
    static ObjectNode read(Path file) {
        JsonNode root;
        try {
            if (!Files.isRegularFile(file)) {
                throw Failure.badFile(file + ": no such file; expected one in the Hugging Face layout");
            }
            if (Files.size(file) > MAXIMUM_BYTES) {
                throw Failure.badFile(file + ": " + Files.size(file) + " bytes; expected at most " + MAXIMUM_BYTES);
            }
            root = MAPPER.readTree(Files.readAllBytes(file));
        } catch (JacksonException e) {
            int line = e.getLocation() == null ? 1 : Math.max(1, e.getLocation().getLineNr());
            throw Failure.badFile(
                    "%s:%d: not valid JSON (%s); is the file complete?".formatted(file, line, e.getOriginalMessage()), e);
        } catch (IOException e) {
            throw Failure.badFile(file + ": cannot be read (" + e + ")", e);
        }
        if (root instanceof ObjectNode object) {
            return object;
        }
        throw Failure.badFile(file + ": expected a JSON object, found " + describe(root));
    }

    /// A value as it appears in a message: a short excerpt, or for something large only what kind of thing it is.
    static String describe(JsonNode value) {
        if (value.isMissingNode()) {
            return "missing";
        }
        if (value.isContainer()) {
            String type = value.path("type").asString("");
            return value.isArray()
                    ? "an array of " + value.size()
                    : type.isEmpty() ? "an object with " + value.size() + " keys" : "an object of type " + excerpt(type);
        }
        return excerpt(value.toString());
    }

    private static String excerpt(String text) {
        return text.length() <= 60 ? text : text.substring(0, 60) + "...";
    }
}
