package rqat.quant;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.ModelConfig;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.tensor.Cpu;
import rqat.tensor.Scope;

/// A random model with two blocks.
final class TinyModel {
    private static final String CONFIG = """
            {"model_type": "qwen3", "vocab_size": 53, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
             "rope_theta": 10000, "hidden_act": "silu", "tie_word_embeddings": false}
            """;

    private TinyModel() {}

    /// A source directory with the configuration, a tokenizer file and something that is none of ours, but no weights.
    static Path source(Path directory) {
        try {
            Files.createDirectories(directory);
            Files.writeString(directory.resolve("config.json"), CONFIG);
            Files.writeString(directory.resolve("tokenizer.json"), "{\"made\": \"up\"}");
            Files.writeString(directory.resolve("metrics.jsonl"), "{}");
            return directory;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static QuantisedModel fullPrecision(Path source, long seed) {
        ModelConfig config = ModelConfig.load(source);
        var latents = new LinkedHashMap<String, Tensor>();
        config.tensors().forEach((name, shape) -> latents.put(name, Scope.own(() -> {
            RandomStream random = new RandomStream(Seeds.mix(seed, Seeds.ofString(name)));
            float[] values = new float[(int) (shape.length == 1 ? shape[0] : shape[0] * shape[1])];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) (shape.length == 1 ? 1 + 0.2 * random.nextGaussian() : 0.15 * random.nextGaussian());
            }
            return Cpu.of(values, shape);
        })));
        return new QuantisedModel(config, latents, new LinkedHashMap<>(), null, ScaleMode.STATIC, MaskRule.HALF_STEP);
    }

    /// Windows of two different lengths.
    static int[][] windows(ModelConfig config, int count, long seed) {
        RandomStream random = new RandomStream(seed);
        int[][] windows = new int[count][];
        for (int i = 0; i < count; i++) {
            windows[i] = new int[i % 3 == 0 ? 17 : 24];
            for (int t = 0; t < windows[i].length; t++) windows[i][t] = random.nextInt(config.vocabularySize());
        }
        return windows;
    }

    static Gptq gptq(int bits) {
        return new Gptq(new GridSpec(bits, 16, false, ScaleType.FLOAT32), ClipSearch.MSE, true, true, 0.01);
    }

    static RoundToNearest roundToNearest(int bits) {
        return new RoundToNearest(new GridSpec(bits, 16, true, ScaleType.BFLOAT16), ClipSearch.NONE);
    }

    static QuantisedModel quantise(QuantisedModel model, Method method) {
        return Quantiser.quantise(model, method, windows(model.config(), 24, 4), ScalarType.Float, _ -> {});
    }
}
