package rqat.format;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.Checkpoint;
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

    /// Where a model keeps further chat templates.
    private static final String TEMPLATES = "additional_chat_templates";
    /// Files that go along and decide nothing.
    private static final Set<String> UNREAD = Set.of("LICENSE", "NOTICE");

    private ModelFiles() {}

    /// One hash for what decides what a model computes: of its configuration, tokenizer, weights and codes, and of nothing else that may lie in
    /// its directory. SHA-256 of the lines `HASH  NAME` of these files, sorted by name; `quantization.json` counts without its provenance.
    ///
    /// @throws Failure BAD_FILE when a file cannot be read or the weights are damaged
    public static String sha256(Path modelDirectory) {
        var files = new TreeMap<String, Path>();
        for (String name : NAMES) {
            if (!UNREAD.contains(name) && Files.isRegularFile(modelDirectory.resolve(name))) files.put(name, modelDirectory.resolve(name));
        }
        Path templates = modelDirectory.resolve(TEMPLATES);
        for (Path file : files(templates, ".jinja")) files.put(TEMPLATES + "/" + file.getFileName(), file);
        // A directory without weights stands for a model that a server serves.
        if (!files(modelDirectory, ".safetensors").isEmpty()) {
            try (Checkpoint checkpoint = Checkpoint.open(modelDirectory)) {
                for (Path file : checkpoint.files()) files.put(modelDirectory.relativize(file).toString(), file);
            }
        }
        Path folder = modelDirectory.resolve(Description.FOLDER);
        for (Path file : files(folder, ".safetensors")) files.put(Description.FOLDER + "/" + file.getFileName(), file);
        var lines = new TreeMap<String, String>();
        files.forEach((name, file) -> lines.put(name, AtomicFiles.sha256(file)));
        Path description = folder.resolve(Description.FILE);
        if (Files.isRegularFile(description)) {
            JsonNode json = JsonFiles.read(description);
            if (json instanceof ObjectNode object) object.remove("provenance");
            lines.put(Description.FOLDER + "/" + Description.FILE, AtomicFiles.sha256(json.toString()));
        }
        return AtomicFiles.sha256(lines.entrySet().stream().map(line -> line.getValue() + "  " + line.getKey() + "\n").collect(Collectors.joining()));
    }

    private static List<Path> files(Path folder, String suffix) {
        if (!Files.isDirectory(folder)) return List.of();
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> !file.getFileName().toString().startsWith(".") && file.getFileName().toString().endsWith(suffix)).toList();
        } catch (IOException e) {
            throw AtomicFiles.failure("read", folder, e);
        }
    }

    /// Copies those that `source` has, further chat templates too, into `target` byte for byte, but for a `config.json` that is changed.
    ///
    /// @throws Failure BAD_FILE when one cannot be read, FAILED when one cannot be written
    public static void copy(Path source, Path target, Consumer<ObjectNode> change) {
        copyTemplates(source, target);
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
            copy(file, target.resolve(name));
        }
    }

    /// Copies the chat templates that `source` has beside its own one, byte for byte.
    ///
    /// @throws Failure BAD_FILE when one cannot be read, FAILED when one cannot be written
    public static void copyTemplates(Path source, Path target) {
        for (Path file : files(source.resolve(TEMPLATES), ".jinja")) copy(file, target.resolve(TEMPLATES).resolve(file.getFileName().toString()));
    }

    private static void copy(Path file, Path target) {
        try {
            AtomicFiles.write(target, Files.readAllBytes(file));
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
    }
}
