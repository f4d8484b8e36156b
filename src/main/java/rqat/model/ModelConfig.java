package rqat.model;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import rqat.Failure;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;

/// What the decoder needs to know of a model, read from the `config.json` of a Hugging Face checkpoint. Both the published key style
/// (`rope_theta`, `torch_dtype`) and that of transformers 5 (`rope_parameters`, `dtype`) are understood. What the decoder cannot compute
/// exactly (sliding windows, other activations, unknown rotary scalings) is refused, never ignored.
///
/// @param family           the model family, for export and templates only
/// @param headDimension    width of one head; not always `hiddenSize / heads` (Qwen3)
/// @param queryKeyNorm     RMS norms on queries and keys per head (Qwen3)
/// @param attentionBias    biases on query, key and value maps (Qwen2)
/// @param outputBias       bias on the output map
/// @param mlpBias          biases on gate, up and down
/// @param tiedEmbeddings   the head is the embedding matrix
public record ModelConfig(
        Family family,
        int vocabularySize,
        int hiddenSize,
        int intermediateSize,
        int layers,
        int heads,
        int keyValueHeads,
        int headDimension,
        int maxPositions,
        double normEpsilon,
        Rope rope,
        boolean queryKeyNorm,
        boolean attentionBias,
        boolean outputBias,
        boolean mlpBias,
        boolean tiedEmbeddings) {

    /// Name of the embedding matrix, `[V, hidden]`.
    public static final String EMBEDDING = "model.embed_tokens.weight";
    /// Name of the last norm, `[hidden]`.
    public static final String FINAL_NORM = "model.norm.weight";
    private static final String HEAD = "lm_head.weight";

    /// The supported families; the `model_type` of `config.json` is the lower-case name.
    public enum Family {
        QWEN2,
        QWEN3,
        LLAMA
    }

    /// Checks what cannot be checked key by key.
    public ModelConfig {
        if (heads % keyValueHeads != 0) {
            throw new IllegalArgumentException(
                    "num_attention_heads %d is not a multiple of num_key_value_heads %d".formatted(heads, keyValueHeads));
        }
        if (headDimension % 2 != 0) throw new IllegalArgumentException("head_dim %d is odd".formatted(headDimension));
    }

    /// Reads `config.json` in `modelDirectory`.
    ///
    /// @throws Failure BAD_FILE when it is missing, not JSON, lacks a key, or describes a model that is not supported
    public static ModelConfig load(Path modelDirectory) {
        Path file = modelDirectory.resolve("config.json");
        if (!Files.isRegularFile(file)) {
            throw Failure.badFile(("%s: no config.json there. Expected a Hugging Face model directory (config.json, tokenizer.json,"
                            + " *.safetensors); check the path.")
                    .formatted(modelDirectory));
        }
        return new Reader(file, JsonFiles.read(file)).read();
    }

    /// This configuration with a head of its own.
    public ModelConfig untied() {
        return new ModelConfig(
                family, vocabularySize, hiddenSize, intermediateSize, layers, heads, keyValueHeads, headDimension, maxPositions, normEpsilon,
                rope, queryKeyNorm, attentionBias, outputBias, mlpBias, false);
    }

    /// Name of the norm before attention in block `layer`, `[hidden]`.
    public static String attentionNorm(int layer) {
        return "model.layers." + layer + ".input_layernorm.weight";
    }

    /// Name of the norm before the MLP in block `layer`, `[hidden]`.
    public static String mlpNorm(int layer) {
        return "model.layers." + layer + ".post_attention_layernorm.weight";
    }

    /// Name of the per-head query norm in block `layer`, `[headDimension]`.
    public static String queryNorm(int layer) {
        return "model.layers." + layer + ".self_attn.q_norm.weight";
    }

    /// Name of the per-head key norm in block `layer`, `[headDimension]`.
    public static String keyNorm(int layer) {
        return "model.layers." + layer + ".self_attn.k_norm.weight";
    }

    /// Name of the matrix that makes logits: the embedding when they are tied.
    public String head() {
        return tiedEmbeddings ? EMBEDDING : HEAD;
    }

    /// Whether this family gives `linear` a bias.
    public boolean hasBias(Linear linear) {
        return switch (linear) {
            case QUERY, KEY, VALUE -> attentionBias;
            case OUTPUT -> outputBias;
            case GATE, UP, DOWN -> mlpBias;
        };
    }

    /// Rows (output width) of `linear`.
    public int outputs(Linear linear) {
        return switch (linear) {
            case QUERY -> heads * headDimension;
            case KEY, VALUE -> keyValueHeads * headDimension;
            case OUTPUT, DOWN -> hiddenSize;
            case GATE, UP -> intermediateSize;
        };
    }

    /// Columns (input width) of `linear`.
    public int inputs(Linear linear) {
        return switch (linear) {
            case QUERY, KEY, VALUE, GATE, UP -> hiddenSize;
            case OUTPUT -> heads * headDimension;
            case DOWN -> intermediateSize;
        };
    }

    /// Every tensor of the checkpoint with its shape, in the order of the forward pass.
    public SequencedMap<String, long[]> tensors() {
        var shapes = new LinkedHashMap<String, long[]>();
        shapes.put(EMBEDDING, new long[] {vocabularySize, hiddenSize});
        for (int layer = 0; layer < layers; layer++) {
            shapes.put(attentionNorm(layer), new long[] {hiddenSize});
            if (queryKeyNorm) {
                shapes.put(queryNorm(layer), new long[] {headDimension});
                shapes.put(keyNorm(layer), new long[] {headDimension});
            }
            shapes.put(mlpNorm(layer), new long[] {hiddenSize});
            for (Linear linear : Linear.values()) {
                shapes.put(linear.weight(layer), new long[] {outputs(linear), inputs(linear)});
                if (hasBias(linear)) shapes.put(linear.bias(layer), new long[] {outputs(linear)});
            }
        }
        shapes.put(FINAL_NORM, new long[] {hiddenSize});
        if (!tiedEmbeddings) shapes.put(HEAD, new long[] {vocabularySize, hiddenSize});
        return shapes;
    }

    /// Number of parameters, tied ones once.
    public long parameters() {
        return tensors().values().stream()
                .mapToLong(shape -> Arrays.stream(shape).reduce(1, Math::multiplyExact))
                .sum();
    }

    /// The keys of one `config.json`, with errors that name file and key.
    private record Reader(Path file, JsonNode json) {
        ModelConfig read() {
            if (!json.isObject()) throw bad("the top level is not an object");
            Family family = family();
            if (flag("use_sliding_window", false)) throw bad("use_sliding_window is true; sliding-window attention is not supported");
            String activation = json.path("hidden_act").asString("silu");
            if (!activation.equals("silu")) throw bad("hidden_act is `%s`; only `silu` is supported".formatted(activation));
            int hidden = size("hidden_size");
            int heads = size("num_attention_heads");
            boolean attentionBias = flag("attention_bias", family == Family.QWEN2);
            try {
                return new ModelConfig(
                        family,
                        size("vocab_size"),
                        hidden,
                        size("intermediate_size"),
                        size("num_hidden_layers"),
                        heads,
                        has("num_key_value_heads") ? size("num_key_value_heads") : heads,
                        has("head_dim") ? size("head_dim") : hidden / heads,
                        size("max_position_embeddings"),
                        positive(json, "rms_norm_eps"),
                        rope(),
                        family == Family.QWEN3,
                        attentionBias,
                        attentionBias && family != Family.QWEN2,
                        flag("mlp_bias", false),
                        flag("tie_word_embeddings", false));
            } catch (IllegalArgumentException e) {
                throw bad(e.getMessage());
            }
        }

        private Family family() {
            String type = json.path("model_type").asString("");
            for (Family family : Family.values()) {
                if (family.name().equalsIgnoreCase(type)) return family;
            }
            Set<String> known = Arrays.stream(Family.values())
                    .map(family -> family.name().toLowerCase(java.util.Locale.ROOT))
                    .collect(Collectors.toCollection(TreeSet::new));
            throw bad("model_type is `%s`; supported are %s".formatted(type, String.join(", ", known)));
        }

        private Rope rope() {
            // transformers 5 folds base and scaling into one object; before, they were two keys.
            JsonNode parameters = json.path("rope_parameters");
            JsonNode scaling = parameters.isObject() ? parameters : json.path("rope_scaling");
            double theta = parameters.isObject() ? positive(parameters, "rope_theta") : positive(json, "rope_theta");
            if (!scaling.isObject()) return new Rope(theta, new Rope.None());
            String type = scaling.path("rope_type").asString(scaling.path("type").asString("default"));
            return new Rope(theta, switch (type) {
                case "default" -> new Rope.None();
                case "linear" -> new Rope.Uniform(positive(scaling, "factor"));
                case "llama3" -> new Rope.Llama3(
                        positive(scaling, "factor"),
                        positive(scaling, "low_freq_factor"),
                        positive(scaling, "high_freq_factor"),
                        positive(scaling, "original_max_position_embeddings"));
                default -> throw bad("rotary scaling `%s` is not supported; supported are default, linear, llama3".formatted(type));
            });
        }

        private boolean has(String key) {
            return !json.path(key).isMissingNode() && !json.path(key).isNull();
        }

        private int size(String key) {
            JsonNode node = json.path(key);
            if (!node.isIntegralNumber() || !node.canConvertToInt() || node.asInt() < 1 || node.asInt() > 100_000_000) {
                throw bad("`%s` is %s; expected a positive integer".formatted(key, shown(node)));
            }
            return node.asInt();
        }

        private double positive(JsonNode parent, String key) {
            JsonNode node = parent.path(key);
            if (!node.isNumber() || !(node.asDouble() > 0)) {
                throw bad("`%s` is %s; expected a positive number".formatted(key, shown(node)));
            }
            return node.asDouble();
        }

        private boolean flag(String key, boolean otherwise) {
            if (!has(key)) return otherwise;
            JsonNode node = json.path(key);
            if (!node.isBoolean()) throw bad("`%s` is %s; expected true or false".formatted(key, shown(node)));
            return node.asBoolean();
        }

        private static String shown(JsonNode node) {
            return node.isMissingNode() ? "missing" : node.toString();
        }

        private Failure bad(String what) {
            return Failure.badFile(file + ": " + what);
        }
    }

    /// The shapes of [#tensors] as text, for messages.
    static String shown(Map.Entry<String, long[]> tensor) {
        return tensor.getKey() + " " + Arrays.toString(tensor.getValue());
    }
}
