package rqat.recipe;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import rqat.Failure;
import rqat.format.ModelFiles;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.io.SafetensorsWriter;
import rqat.model.ModelConfig;
import rqat.text.Tokenizer;
import rqat.train.Initialiser;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// A model of a published shape with random weights: what costs memory and time is real, what it says is not. For trying a recipe on a
/// machine before a real model is there.
public final class RandomModel {
    /// The published shapes that come with the program, from the models' own `config.json`.
    public static final List<String> SHAPES = List.of("qwen3-0.6b", "qwen3-4b", "r1-distill-qwen-1.5b");

    private static final List<String> TOKENIZER_FILES = List.of(
            "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "generation_config.json");
    private static final List<String> SPECIAL_IDS = List.of("bos_token_id", "eos_token_id", "pad_token_id");

    private RandomModel() {}

    private record Settings(long seed, JsonNode configuration) {}

    /// Writes a model directory in bfloat16, tensor by tensor and shard by shard, so that it needs memory for its largest tensor only.
    ///
    /// @param configuration of [#configuration]
    /// @param tokenizer     a model directory whose tokenizer files are taken; its ids must be in the shape's vocabulary
    public static void write(Session session, JsonNode configuration, Path tokenizer, Path out) {
        session.produce("init", new Settings(session.seed(), configuration), Session.inputs("tokenizer", tokenizer.resolve("tokenizer.json")), out, work -> {
            Path directory = work.directory();
            for (String name : TOKENIZER_FILES) {
                Path file = tokenizer.resolve(name);
                if (Files.isRegularFile(file)) AtomicFiles.write(directory.resolve(name), read(file));
            }
            ModelFiles.copyTemplates(tokenizer, directory);
            ObjectNode adapted = (ObjectNode) configuration.deepCopy();
            JsonNode ids = JsonFiles.read(tokenizer.resolve("config.json"));
            for (String id : SPECIAL_IDS) {
                if (ids.has(id)) adapted.set(id, ids.get(id));
            }
            JsonFiles.write(directory.resolve("config.json"), adapted);
            ModelConfig config = ModelConfig.load(directory);
            int vocabulary = Tokenizer.load(directory).size();
            if (vocabulary > config.vocabularySize()) {
                throw Failure.usage("the tokenizer of %s has %,d ids; the shape has %,d vocabulary rows"
                        .formatted(tokenizer, vocabulary, config.vocabularySize()));
            }
            SafetensorsWriter.writeCheckpoint(
                    directory,
                    Initialiser.checkpoint(config, session.seed()),
                    Map.of("format", "pt"),
                    SafetensorsWriter.DEFAULT_MAXIMUM_SHARD_BYTES);
        });
    }

    /// The `config.json` of one of [#SHAPES], or that of a model directory.
    ///
    /// @throws Failure USAGE when it is neither
    public static JsonNode configuration(String like) {
        if (SHAPES.contains(like)) {
            String name = like + ".json";
            try (InputStream source = RandomModel.class.getResourceAsStream(name)) {
                if (source == null) throw new IllegalStateException("no resource " + name);
                return JsonFiles.parse(source.readAllBytes(), name, 1);
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        }
        Path file = Path.of(like).resolve("config.json");
        if (!Files.isRegularFile(file)) {
            throw Failure.usage("%s is no shape and no model directory; expected one of %s, or a directory with a config.json"
                    .formatted(Failure.quote(like), String.join(", ", SHAPES)));
        }
        return JsonFiles.read(file);
    }

    private static byte[] read(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
    }
}
