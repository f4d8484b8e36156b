package rqat.text;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import rqat.Failure;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The JSON objects of a model directory, and how messages speak of what is in them.
final class JsonFile {

    private JsonFile() {}

    /// The object in `file`, or empty when there is no such file.
    static Optional<ObjectNode> readIfPresent(Path file) {
        return Files.exists(file) ? Optional.of(read(file)) : Optional.empty();
    }

    /// The object in `file`.
    static ObjectNode read(Path file) {
        JsonNode root = JsonFiles.read(file);
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
        String type = value.path("type").asString("");
        return switch (value.getNodeType()) {
            case ARRAY -> "an array of " + value.size();
            case OBJECT -> type.isEmpty() ? "an object with " + value.size() + " keys" : "an object of type " + Failure.quote(type);
            default -> Failure.quote(value.toString());
        };
    }
}
