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
import rqat.io.FoundFiles;
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
        for (float frequency : rope.inverseFrequencies(headDimension)) {
            if (!(frequency > 0) || Float.isInfinite(frequency)) {
                throw new IllegalArgumentException("the rotary embedding of %s has a frequency of %s".formatted(rope, frequency));
            }
        }
    }

    /// Reads `config.json` in `modelDirectory`.
    ///
    /// @throws Failure BAD_FILE when it is missing, not JSON, lacks a key, or describes a model that is not supported
    public static ModelConfig load(Path modelDirectory) {
        Path file = modelDirectory.resolve("config.json");
        if (!Files.isRegularFile(file)) {
            boolean weights = Files.exists(modelDirectory.resolve("model.safetensors")) || Files.exists(modelDirectory.resolve("model.safetensors.index.json"));
            throw Failure.badFile("%s: no config.json there; expected a Hugging Face model directory (config.json, tokenizer.json, *.safetensors): %s"
                    .formatted(modelDirectory, weights ? "found the weights; download the model's other files too" : FoundFiles.in(modelDirectory)));
        }
        return new Reader(new ConfigKeys(file, JsonFiles.read(file))).read();
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

    /// One `config.json`. What it leaves out is what transformers takes for the family.
    private record Reader(ConfigKeys keys) {
        private static final Set<String> SILU = Set.of("silu", "swish");

        ModelConfig read() {
            if (!keys.json().isObject()) throw keys.bad("the top level is not an object");
            Family family = family();
            String activation = keys.text("hidden_act", "silu");
            if (!SILU.contains(activation)) throw keys.bad("hidden_act is %s; only `silu` is supported".formatted(Failure.quote(activation)));
            int hidden = keys.size("hidden_size"), heads = keys.size("num_attention_heads"), layers = keys.size("num_hidden_layers");
            int maxPositions = keys.size("max_position_embeddings", family == Family.LLAMA ? 2_048 : 32_768);
            refuseSlidingWindows(layers, maxPositions);
            // Qwen2 has its three biases and Qwen3 no biases in the MLP, whatever the keys of other families say.
            boolean attentionBias = family == Family.QWEN2 || keys.flag("attention_bias", false);
            try {
                return new ModelConfig(
                        family,
                        keys.size("vocab_size"),
                        hidden,
                        keys.size("intermediate_size"),
                        layers,
                        heads,
                        keys.size("num_key_value_heads", heads),
                        headDimension(family, hidden, heads),
                        maxPositions,
                        keys.positive("rms_norm_eps", 1e-6),
                        RopeReader.read(keys),
                        family == Family.QWEN3,
                        attentionBias,
                        attentionBias && family != Family.QWEN2,
                        family == Family.LLAMA && keys.flag("mlp_bias", false),
                        keys.flag("tie_word_embeddings", false));
            } catch (IllegalArgumentException e) {
                throw keys.bad(e.getMessage());
            }
        }

        private Family family() {
            String type = keys.text("model_type", "");
            for (Family family : Family.values()) {
                if (family.name().equalsIgnoreCase(type)) return family;
            }
            Set<String> known = Arrays.stream(Family.values())
                    .map(family -> family.name().toLowerCase(java.util.Locale.ROOT))
                    .collect(Collectors.toCollection(TreeSet::new));
            throw keys.bad("model_type is %s; supported are %s".formatted(Failure.quote(type), String.join(", ", known)));
        }

        private int headDimension(Family family, int hidden, int heads) {
            return family == Family.QWEN3 && keys.json().path("head_dim").isMissingNode() ? 128 : keys.size("head_dim", Math.max(1, hidden / heads));
        }

        /// Refuses layers that see less than the whole text: those that `layer_types` calls sliding, or, where it is absent, those from `max_window_layers` on when
        /// `use_sliding_window` is true. A window of at least `max_position_embeddings` tokens is no window.
        private void refuseSlidingWindows(int layers, int maxPositions) {
            boolean used = keys.flag("use_sliding_window", false);
            long window = keys.json().path("sliding_window").isNull() ? maxPositions : keys.size("sliding_window", 4_096);
            boolean slides = used && (keys.json().path("max_window_layers").isNumber() ? keys.json().path("max_window_layers").asInt(0) : 28) < layers;
            if (keys.has("layer_types")) {
                slides = false;
                for (JsonNode type : keys.json().path("layer_types")) {
                    switch (type.asString("")) {
                        case "full_attention" -> {}
                        case "sliding_attention" -> slides = true;
                        default -> throw keys.bad("layer_types holds %s; only full attention is supported".formatted(Failure.quote(type.toString())));
                    }
                }
            }
            if (slides && (!used || window < maxPositions)) {
                throw keys.bad("some layers have sliding windows (use_sliding_window, sliding_window, layer_types); sliding-window attention is not supported");
            }
        }
    }

    /// The shapes of [#tensors] as text, for messages.
    static String shown(Map.Entry<String, long[]> tensor) {
        return tensor.getKey() + " " + Arrays.toString(tensor.getValue());
    }
}
