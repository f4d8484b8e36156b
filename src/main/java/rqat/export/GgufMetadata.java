package rqat.export;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeSet;
import rqat.Failure;
import rqat.foreign.GgufTokenizer;
import rqat.io.AtomicFiles;
import rqat.io.GgufValue;
import rqat.io.JsonFiles;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Rope;
import rqat.text.Tokenizer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// What a GGUF file says of a model beside its tensors: architecture, tokenizer and chat template, under the keys of llama.cpp's converter.
final class GgufMetadata {
    private final Path directory;
    private final ModelConfig config;
    private final SequencedMap<String, GgufValue> values = new LinkedHashMap<>();

    private GgufMetadata(Path directory, ModelConfig config) {
        this.directory = directory;
        this.config = config;
    }

    /// The metadata of the model in `directory`.
    ///
    /// @param name     what to call the model
    /// @param fileType llama.cpp's number for the type of most tensors
    /// @param licence  its SPDX-like name on the Hub, if known
    /// @throws Failure BAD_FILE when llama.cpp has no word for something that the model does
    static SequencedMap<String, GgufValue> of(Path directory, ModelConfig config, String name, int fileType, Optional<String> licence) {
        var metadata = new GgufMetadata(directory, config);
        metadata.architecture(name, fileType, licence);
        metadata.tokenizer();
        return metadata.values;
    }

    private void architecture(String name, int fileType, Optional<String> licence) {
        checkBiases();
        String family = config.family().name().toLowerCase(Locale.ROOT);
        put("general.architecture", family);
        put("general.type", "model");
        put("general.name", name);
        licence.ifPresent(text -> put("general.license", text));
        put("general.quantization_version", 2);
        put("general.file_type", fileType);
        put(family + ".block_count", config.layers());
        put(family + ".context_length", config.maxPositions());
        put(family + ".embedding_length", config.hiddenSize());
        put(family + ".feed_forward_length", config.intermediateSize());
        put(family + ".attention.head_count", config.heads());
        put(family + ".attention.head_count_kv", config.keyValueHeads());
        put(family + ".attention.key_length", config.headDimension());
        put(family + ".attention.value_length", config.headDimension());
        put(family + ".rope.dimension_count", config.headDimension());
        put(family + ".rope.freq_base", (float) config.rope().theta());
        put(family + ".attention.layer_norm_rms_epsilon", (float) config.normEpsilon());
        put(family + ".vocab_size", config.vocabularySize());
        switch (config.rope().scaling()) {
            // Llama 3's has no keys but a tensor of divisors.
            case Rope.None _, Rope.Llama3 _ -> {}
            case Rope.Uniform uniform -> {
                put(family + ".rope.scaling.type", "linear");
                put(family + ".rope.scaling.factor", (float) uniform.factor());
            }
            case Rope.Yarn yarn -> yarn(family, yarn);
        }
    }

    /// llama.cpp multiplies cosines and sines by `attn_factor (1 + 0.1 ln(factor))` and rounds the bounds of the blend outwards.
    private void yarn(String family, Rope.Yarn yarn) {
        if (!yarn.truncate()) throw Failure.badFile("%s: YaRN with truncate false; llama.cpp always truncates".formatted(directory));
        String scaling = family + ".rope.scaling.";
        put(scaling + "type", "yarn");
        put(scaling + "factor", (float) yarn.factor());
        put(scaling + "original_context_length", (int) yarn.originalPositions());
        put(scaling + "attn_factor", (float) (yarn.attentionFactor() / (1 + 0.1 * Math.log(yarn.factor()))));
        put(scaling + "yarn_beta_fast", (float) yarn.fastTurns());
        put(scaling + "yarn_beta_slow", (float) yarn.slowTurns());
    }

    /// The biases that llama.cpp's three architectures have; any other would make it refuse the file.
    private void checkBiases() {
        for (Linear linear : Linear.values()) {
            boolean inputs = linear == Linear.QUERY || linear == Linear.KEY || linear == Linear.VALUE;
            boolean fits = switch (config.family()) {
                case QWEN3 -> !config.hasBias(linear);
                case QWEN2 -> config.hasBias(linear) == inputs;
                case LLAMA -> true;
            };
            if (!fits) {
                throw Failure.badFile("%s: its %s map %s; llama.cpp's %s %s"
                        .formatted(directory, linear.name().toLowerCase(Locale.ROOT), config.hasBias(linear) ? "has a bias" : "has no bias", config.family(),
                                config.hasBias(linear) ? "has none" : "has one"));
            }
        }
    }

    /// The divisors of the rotary frequencies where they are scaled as in Llama 3, `[headDimension / 2]`.
    static Optional<float[]> rotaryFactors(ModelConfig config) {
        if (!(config.rope().scaling() instanceof Rope.Llama3 scaling)) return Optional.empty();
        float[] factors = new float[config.headDimension() / 2];
        double longest = scaling.originalPositions() / scaling.lowFrequencyFactor(), shortest = scaling.originalPositions() / scaling.highFrequencyFactor();
        for (int i = 0; i < factors.length; i++) {
            double wavelength = 2 * Math.PI * Math.pow(config.rope().theta(), 2.0 * i / config.headDimension());
            if (wavelength < shortest) factors[i] = 1;
            else if (wavelength > longest) factors[i] = (float) scaling.factor();
            else {
                double smooth = (scaling.originalPositions() / wavelength - scaling.lowFrequencyFactor())
                        / (scaling.highFrequencyFactor() - scaling.lowFrequencyFactor());
                factors[i] = (float) (1 / ((1 - smooth) / scaling.factor() + smooth));
            }
        }
        return Optional.of(factors);
    }

    private void tokenizer() {
        Tokenizer tokenizer = Tokenizer.load(directory);
        Path file = directory.resolve("tokenizer.json");
        JsonNode root = JsonFiles.read(file);
        int size = config.vocabularySize();
        if (tokenizer.size() > size) throw Failure.badFile("%s: %d tokens for %d rows of the embedding".formatted(file, tokenizer.size(), size));
        String[] tokens = new String[size];
        Integer[] types = new Integer[size];
        var ids = new LinkedHashMap<String, Integer>();
        root.path("model").path("vocab").properties().forEach(entry -> {
            int id = entry.getValue().asInt();
            tokens[id] = entry.getKey();
            types[id] = GgufTokenizer.NORMAL;
            ids.put(entry.getKey(), id);
        });
        for (JsonNode added : root.path("added_tokens")) {
            if (added.path("lstrip").asBoolean(false) || added.path("rstrip").asBoolean(false) || added.path("single_word").asBoolean(false)) {
                throw Failure.badFile("%s: the added token %s swallows or wants spaces around it, which a GGUF file cannot say"
                        .formatted(file, Failure.quote(added.path("content").asString(""))));
            }
            int id = added.path("id").asInt();
            tokens[id] = added.path("content").asString("");
            types[id] = added.path("special").asBoolean(false) ? GgufTokenizer.CONTROL : GgufTokenizer.USER_DEFINED;
            ids.put(tokens[id], id);
        }
        for (int id = 0; id < size; id++) {
            if (tokens[id] != null) continue;
            tokens[id] = "[PAD" + id + "]";
            types[id] = GgufTokenizer.UNUSED;
        }
        put("tokenizer.ggml.model", "gpt2");
        put("tokenizer.ggml.pre", splitter(file, root));
        values.put("tokenizer.ggml.tokens", GgufValue.ofTexts(Arrays.asList(tokens)));
        values.put("tokenizer.ggml.token_type", GgufValue.ofWholeNumbers(Arrays.asList(types)));
        var merges = new ArrayList<String>();
        for (JsonNode merge : root.path("model").path("merges")) {
            merges.add(merge.isArray() ? merge.get(0).asString("") + " " + merge.get(1).asString("") : merge.asString(""));
        }
        values.put("tokenizer.ggml.merges", GgufValue.ofTexts(merges));
        special(tokenizer, ids);
        template().ifPresent(text -> put("tokenizer.chat_template", text));
    }

    /// The name of the way in which the tokenizer cuts text.
    private static String splitter(Path file, JsonNode root) {
        JsonNode node = root.path("pre_tokenizer");
        boolean ignoresMerges = root.path("model").path("ignore_merges").asBoolean(false);
        List<JsonNode> steps = node.path("type").asString("").equals("Sequence") ? node.path("pretokenizers").valueStream().toList() : List.of(node);
        JsonNode last = steps.getLast();
        boolean byteLevel = last.path("type").asString("").equals("ByteLevel");
        String expression = null;
        if (steps.size() == 1 && byteLevel && last.path("use_regex").asBoolean(true)) expression = "";
        JsonNode split = steps.getFirst();
        boolean isolates = split.path("type").asString("").equals("Split") && split.path("behavior").asString("").equals("Isolated");
        if (steps.size() == 2 && byteLevel && isolates && !last.path("use_regex").asBoolean(true)) expression = split.path("pattern").path("Regex").asString("");
        for (Map.Entry<String, GgufTokenizer.Splitter> known : GgufTokenizer.SPLITTERS.entrySet()) {
            GgufTokenizer.Splitter splitter = known.getValue();
            if (splitter.expression().equals(expression) && splitter.ignoresMerges() == ignoresMerges) return known.getKey();
        }
        throw Failure.badFile("%s: cuts text in a way that has no name in GGUF files that rqat knows (%s). Export another format"
                .formatted(file, String.join(", ", GgufTokenizer.SPLITTERS.keySet())));
    }

    private void special(Tokenizer tokenizer, Map<String, Integer> ids) {
        int[] bare = tokenizer.encode("a"), full = tokenizer.encodeWithSpecial("a");
        int before = Collections.indexOfSubList(Arrays.stream(full).boxed().toList(), Arrays.stream(bare).boxed().toList());
        int after = full.length - bare.length - before;
        if (before < 0 || before > 1 || after > 1) {
            throw Failure.badFile("%s: its tokenizer puts %d tokens before and %d after a text; a GGUF file can say one of each".formatted(directory, before, after));
        }
        int begin = before == 1 ? full[0] : tokenizer.beginId().orElse(-1);
        if (begin >= 0) put("tokenizer.ggml.bos_token_id", begin);
        put("tokenizer.ggml.add_bos_token", before == 1);
        var stops = new TreeSet<>(tokenizer.stopIds());
        int first = after == 1 ? full[full.length - 1] : named("eos_token", ids).orElse(stops.isEmpty() ? -1 : stops.first());
        if (after == 1) put("tokenizer.ggml.add_eos_token", true);
        if (first >= 0) put("tokenizer.ggml.eos_token_id", first);
        stops.remove(first);
        List<String> more = List.of("eot", "eom");
        if (stops.size() > more.size()) throw Failure.badFile("%s: %d ids stop a text; a GGUF file can name three".formatted(directory, stops.size() + 1));
        for (String key : more) {
            if (!stops.isEmpty()) put("tokenizer.ggml." + key + "_token_id", stops.pollFirst());
        }
        tokenizer.padId().ifPresent(id -> put("tokenizer.ggml.padding_token_id", id));
    }

    private JsonNode tokenizerConfig() {
        Path file = directory.resolve("tokenizer_config.json");
        return Files.exists(file) ? JsonFiles.read(file) : JsonNodeFactory.instance.objectNode();
    }

    /// The id of the token that tokenizer_config.json gives under `key`.
    private Optional<Integer> named(String key, Map<String, Integer> ids) {
        JsonNode node = tokenizerConfig().path(key);
        return Optional.ofNullable(ids.get((node.isObject() ? node.path("content") : node).asString("")));
    }

    private Optional<String> template() {
        Path file = directory.resolve("chat_template.jinja");
        if (Files.exists(file)) {
            try {
                return Optional.of(Files.readString(file));
            } catch (java.io.IOException e) {
                throw AtomicFiles.failure("read", file, e);
            }
        }
        JsonNode node = tokenizerConfig().path("chat_template");
        if (node.isString()) return Optional.of(node.stringValue());
        for (JsonNode each : node) {
            if (each.path("name").asString("").equals("default")) return Optional.of(each.path("template").asString(""));
        }
        return Optional.empty();
    }

    private void put(String key, String text) {
        values.put(key, GgufValue.of(text));
    }

    private void put(String key, int number) {
        values.put(key, GgufValue.of(number));
    }

    private void put(String key, float number) {
        values.put(key, GgufValue.of(number));
    }

    private void put(String key, boolean flag) {
        values.put(key, GgufValue.of(flag));
    }
}
