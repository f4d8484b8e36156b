package rqat.export;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.Provenance;
import rqat.format.ScaleMode;
import rqat.model.ModelConfig;
import rqat.quant.ClipSearch;
import rqat.quant.ModelDirectory;
import rqat.quant.QuantisedModel;
import rqat.quant.Quantiser;
import rqat.quant.RoundToNearest;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Model directories of random weights with the embedded model's tokenizer.
public final class RandomModels {
    public static final List<String> FAMILIES = List.of("qwen3", "qwen2", "llama");

    private RandomModels() {}

    /// A `config.json` of two blocks.
    ///
    /// @param hidden       width of the residual stream
    /// @param intermediate width of the MLP
    public static String config(String family, int hidden, int intermediate) {
        return switch (family) {
            case "qwen3" -> common("qwen3", hidden, intermediate) + ", \"head_dim\": 32, \"tie_word_embeddings\": true}";
            case "qwen2" -> common("qwen2", hidden, intermediate) + ", \"tie_word_embeddings\": false}";
            case "llama" -> common("llama", hidden, intermediate) + """
                    , "tie_word_embeddings": false, "mlp_bias": true, "attention_bias": true,
                     "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                     "original_max_position_embeddings": 64}}""";
            default -> throw new IllegalArgumentException(family);
        };
    }

    private static String common(String family, int hidden, int intermediate) {
        return """
                {"model_type": "%s", "vocab_size": 448, "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": 2,
                 "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-6,
                 "rope_theta": 10000.0, "hidden_act": "silu", "eos_token_id": 429, "torch_dtype": "float32\""""
                .formatted(family, hidden, intermediate);
    }

    /// Writes a quantised model.
    public static Path write(Path directory, String config, GridSpec grid, long seed, ScalarType compute) {
        return write(directory, config, grid, seed, compute, 0.3f);
    }

    /// @param shift how far the weights of a tensor may be from 0 together; only near 0 do the model's answers depend on its questions
    public static Path write(Path directory, String config, GridSpec grid, long seed, ScalarType compute, float shift) {
        try {
            Path source = Files.createDirectories(directory.resolveSibling(directory.getFileName() + "-source"));
            Files.writeString(source.resolve("config.json"), config);
            for (String name : List.of("tokenizer.json", "tokenizer_config.json")) {
                Files.write(source.resolve(name), Files.readAllBytes(Path.of("models/embedded", name)));
            }
            try (QuantisedModel full = fullPrecision(ModelConfig.load(source), seed, shift);
                    QuantisedModel model = Quantiser.quantise(full, new RoundToNearest(grid, ClipSearch.NONE), new int[0][], ScalarType.Float, _ -> {})) {
                ModelDirectory.save(model, directory, compute, source, Provenance.UNKNOWN);
            }
            return directory;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static QuantisedModel fullPrecision(ModelConfig config, long seed, float shifted) {
        var latents = new LinkedHashMap<String, Tensor>();
        config.tensors().forEach((name, shape) -> latents.put(name, Scope.own(() -> {
            RandomStream random = new RandomStream(Seeds.mix(seed, Seeds.ofString(name)));
            float[] values = new float[(int) (shape.length == 1 ? shape[0] : shape[0] * shape[1])];
            float shift = (float) (shifted * random.nextGaussian());
            for (int i = 0; i < values.length; i++) {
                // Rows far from 0 have zero points at the ends of the grid.
                values[i] = (float) (shape.length == 1 ? 1 + 0.2 * random.nextGaussian() : shift + 0.15 * random.nextGaussian());
            }
            return Tensors.of(Place.cpu(ScalarType.Float), values, shape);
        })));
        return new QuantisedModel(config, latents, new LinkedHashMap<>(), null, ScaleMode.STATIC, MaskRule.HALF_STEP);
    }
}
