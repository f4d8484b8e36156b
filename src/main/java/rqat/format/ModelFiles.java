package rqat.format;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// What a model directory holds beside its weights.
public final class ModelFiles {
    /// The files that go along with a model, whatever becomes of its weights; the configuration comes last, so that a directory with one is complete.
    public static final List<String> NAMES = List.of(
            "tokenizer.json",
            "tokenizer_config.json",
            "tokenizer.model",
            "special_tokens_map.json",
            "added_tokens.json",
            "vocab.json",
            "merges.txt",
            "chat_template.jinja",
            "chat_template.json",
            "generation_config.json",
            "LICENSE",
            "NOTICE",
            "config.json");

    private ModelFiles() {}

    /// Copies those that `source` has into `target` byte for byte, but for a `config.json` that is changed.
    ///
    /// @throws Failure BAD_FILE when one cannot be read, FAILED when one cannot be written
    public static void copy(Path source, Path target, Consumer<ObjectNode> change) {
        for (String name : NAMES) {
            Path file = source.resolve(name);
            if (!Files.isRegularFile(file)) continue;
            if (name.equals("config.json")) {
                JsonNode config = JsonFiles.read(file);
                if (!(config instanceof ObjectNode object)) throw Failure.badFile(file + ": expected a JSON object");
                ObjectNode changed = object.deepCopy();
                change.accept(changed);
                if (!changed.equals(object)) {
                    JsonFiles.write(target.resolve(name), changed);
                    continue;
                }
            }
            try {
                byte[] bytes = Files.readAllBytes(file);
                AtomicFiles.write(target.resolve(name), bytes);
            } catch (IOException e) {
                throw AtomicFiles.failure("read", file, e);
            }
        }
    }
}
