package rqat.foreign;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.DataType;
import rqat.io.GgufFile;
import rqat.io.GgufTensor;
import rqat.io.HostTensor;
import rqat.io.JsonFiles;
import rqat.model.ModelConfig;
import rqat.model.Rope;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// A GGUF file as a model directory: `config.json` and the tokenizer's files rebuilt from its metadata, and `model.gguf`, a link to the file itself.
public final class GgufDirectory {
    /// The weights of such a directory.
    public static final String WEIGHTS = "model.gguf";

    private GgufDirectory() {}

    /// The directory of `file`, made below `cache` where it is not there yet.
    ///
    /// @throws Failure BAD_FILE when it is no GGUF file of a model that we support, FAILED when nothing can be written
    public static Path of(Path file, Path cache) {
        Path absolute;
        String key;
        try {
            absolute = file.toRealPath();
            key = AtomicFiles.sha256("%s\n%d\n%s".formatted(absolute, Files.size(absolute), Files.getLastModifiedTime(absolute))).substring(0, 16);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
        Path directory = cache.resolve(file.getFileName() + "-" + key);
        if (Files.isDirectory(directory)) return directory;
        try (GgufFile gguf = GgufFile.open(file)) {
            ObjectNode config = config(gguf);
            ObjectNode tokenizer = GgufTokenizer.tokenizer(gguf), configuration = GgufTokenizer.configuration(gguf), generation = GgufTokenizer.generation(gguf);
            AtomicFiles.writeDirectory(directory, made -> {
                Files.createSymbolicLink(made.resolve(WEIGHTS), absolute);
                JsonFiles.write(made.resolve("config.json"), config);
                JsonFiles.write(made.resolve("tokenizer.json"), tokenizer);
                JsonFiles.write(made.resolve("tokenizer_config.json"), configuration);
                JsonFiles.write(made.resolve("generation_config.json"), generation);
            });
        } catch (Failure e) {
            // Another process was faster.
            if (Files.isDirectory(directory, LinkOption.NOFOLLOW_LINKS)) return directory;
            throw e;
        }
        return directory;
    }

    /// `config.json`.
    static ObjectNode config(GgufFile file) {
        String architecture = file.text("general.architecture").orElse("");
        if (!Map.of("qwen2", 1, "qwen3", 1, "llama", 1).containsKey(architecture)) {
            throw bad(file, "general.architecture is %s; rqat supports qwen2, qwen3 and llama".formatted(Failure.quote(architecture)));
        }
        int parts = file.wholeNumber("split.count").orElse(1);
        if (parts > 1) throw bad(file, "one of %d parts; merge them into one file first (llama-gguf-split --merge)".formatted(parts));
        var keys = new Keys(file, architecture + ".");
        GgufTensor embedding = file.tensors().get("token_embd.weight");
        if (embedding == null) throw bad(file, "tensor token_embd.weight is missing");
        ObjectNode config = JsonNodeFactory.instance.objectNode();
        config.putArray("architectures").add(switch (architecture) {
            case "qwen2" -> "Qwen2ForCausalLM";
            case "qwen3" -> "Qwen3ForCausalLM";
            default -> "LlamaForCausalLM";
        });
        config.put("model_type", architecture);
        config.put("vocab_size", embedding.shape()[0]);
        int hidden = keys.count("embedding_length"), heads = keys.count("attention.head_count");
        config.put("hidden_size", hidden);
        config.put("intermediate_size", keys.count("feed_forward_length"));
        config.put("num_hidden_layers", keys.count("block_count"));
        config.put("num_attention_heads", heads);
        config.put("num_key_value_heads", file.wholeNumber(architecture + ".attention.head_count_kv").orElse(heads));
        int width = file.wholeNumber(architecture + ".attention.key_length").orElse(hidden / Math.max(1, heads));
        int values = file.wholeNumber(architecture + ".attention.value_length").orElse(width);
        if (values != width || width < 2) throw bad(file, "keys of length %d and values of length %d; expected the same, 2 or more".formatted(width, values));
        config.put("head_dim", width);
        config.put("hidden_act", "silu");
        config.put("max_position_embeddings", keys.count("context_length"));
        config.put("rms_norm_eps", keys.number("attention.layer_norm_rms_epsilon"));
        config.put("rope_theta", file.number(architecture + ".rope.freq_base").map(GgufDirectory::shortest).orElse(10000.0));
        scaling(file, keys, config, width);
        boolean queryBias = file.tensors().containsKey("blk.0.attn_q.bias");
        config.put("attention_bias", queryBias);
        if (architecture.equals("llama")) config.put("mlp_bias", file.tensors().containsKey("blk.0.ffn_gate.bias"));
        config.put("tie_word_embeddings", !file.tensors().containsKey("output.weight"));
        config.put("torch_dtype", "float16");
        return config;
    }

    private static void scaling(GgufFile file, Keys keys, ObjectNode config, int width) {
        String type = keys.text("rope.scaling.type").orElse("none");
        GgufTensor factors = file.tensors().get(GgufNames.ROTARY_FACTORS);
        if (factors != null) {
            if (!type.equals("none")) throw bad(file, "both %s and rope.scaling.type %s; expected one of them".formatted(GgufNames.ROTARY_FACTORS, Failure.quote(type)));
            llama3(file, factors, config, width);
            return;
        }
        switch (type) {
            case "none" -> config.putNull("rope_scaling");
            case "linear" -> config.putObject("rope_scaling").put("rope_type", "linear").put("factor", keys.number("rope.scaling.factor"));
            case "yarn" -> yarn(file, keys, config.putObject("rope_scaling"));
            default -> throw bad(file, "rope.scaling.type is %s; rqat supports none, linear and yarn".formatted(Failure.quote(type)));
        }
    }

    private static void yarn(GgufFile file, Keys keys, ObjectNode scaling) {
        double factor = keys.number("rope.scaling.factor");
        scaling.put("rope_type", "yarn").put("factor", factor).put("original_max_position_embeddings", keys.count("rope.scaling.original_context_length"));
        // llama.cpp multiplies by its own factor and by the one of the paper.
        keys.optional("rope.scaling.attn_factor").filter(attention -> attention != 1)
                .ifPresent(attention -> scaling.put("attention_factor", attention * (1 + 0.1 * Math.log(factor))));
        keys.optional("rope.scaling.yarn_beta_fast").ifPresent(turns -> scaling.put("beta_fast", turns));
        keys.optional("rope.scaling.yarn_beta_slow").ifPresent(turns -> scaling.put("beta_slow", turns));
    }

    /// Llama 3's scaling, of which the file has the result only: the factor is the largest divisor, the bounds are those of all published models, and the original
    /// length is the power of 2 that gives the divisors that are there.
    private static void llama3(GgufFile file, GgufTensor factors, ObjectNode config, int width) {
        if (!factors.type().name().equals("F32") || factors.shape().length != 1 || factors.shape()[0] != width / 2) {
            throw bad(file, "tensor %s is %s; expected F32 [%d]".formatted(GgufNames.ROTARY_FACTORS, factors, width / 2));
        }
        float[] stored = new HostTensor(DataType.F32, factors.shape(), factors.data()).toFloats();
        double factor = 1;
        for (float value : stored) factor = Math.max(factor, value);
        double theta = config.path("rope_theta").asDouble();
        float[] plain = new Rope(theta, new Rope.None()).inverseFrequencies(width);
        for (int original = 1 << 5; original <= 1 << 20; original *= 2) {
            float[] scaled = new Rope(theta, new Rope.Llama3(factor, 1, 4, original)).inverseFrequencies(width);
            boolean same = true;
            for (int i = 0; i < scaled.length; i++) same &= Math.abs(plain[i] / scaled[i] - stored[i]) <= 1e-4 * factor;
            if (same) {
                config.putObject("rope_scaling")
                        .put("rope_type", "llama3")
                        .put("factor", factor)
                        .put("low_freq_factor", 1.0)
                        .put("high_freq_factor", 4.0)
                        .put("original_max_position_embeddings", original);
                return;
            }
        }
        throw bad(file, "tensor %s holds factors that are not those of Llama 3's scaling, the only ones that rqat computes".formatted(GgufNames.ROTARY_FACTORS));
    }

    /// The decimal number that was meant where float32 has its nearest neighbour: 1e-6 for 9.99999997e-7.
    private static double shortest(double value) {
        return value == (float) value ? Double.parseDouble(String.format(Locale.ROOT, "%s", (float) value)) : value;
    }

    /// The metadata under an architecture's prefix that must be there.
    private record Keys(GgufFile file, String prefix) {
        int count(String key) {
            int value = file.wholeNumber(prefix + key).orElse(0);
            if (value < 1) throw bad(file, "%s%s is %s; expected a positive number".formatted(prefix, key, value == 0 ? "missing or 0" : value));
            return value;
        }

        double number(String key) {
            return shortest(file.number(prefix + key).orElseThrow(() -> bad(file, prefix + key + " is missing; expected a number")));
        }

        Optional<Double> optional(String key) {
            return file.number(prefix + key).map(GgufDirectory::shortest);
        }

        Optional<String> text(String key) {
            return file.text(prefix + key);
        }
    }

    private static Failure bad(GgufFile file, String what) {
        return Failure.badFile(file.path() + ": " + what);
    }
}
