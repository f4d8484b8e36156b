package rqat.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.io.HostTensor;
import rqat.io.SafetensorsWriter;
import rqat.tensor.Place;
import rqat.tensor.Tensors;

/// Bad `config.json` files and checkpoints: one message each, naming the file, what was found and what was expected.
class ModelFilesTest {
    private static final String CONFIG = """
            {"model_type": "qwen3", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1,
             "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "max_position_embeddings": 32, "rms_norm_eps": 1e-6,
             "rope_theta": 10000, "hidden_act": "silu", "tie_word_embeddings": true}
            """;

    @TempDir
    Path directory;

    @Test
    void readsAConfiguration() throws IOException {
        ModelConfig config = config(CONFIG);
        assertThat(config.outputs(Linear.QUERY)).isEqualTo(8);
        assertThat(config.outputs(Linear.KEY)).isEqualTo(4);
        assertThat(config.head()).isEqualTo(ModelConfig.EMBEDDING);
        // embedding 88, norms 8 + 8 + 8 + 4 + 4, attention 64 + 32 + 32 + 64, MLP 3 x 96
        assertThat(config.parameters()).isEqualTo(88 + 32 + 192 + 288);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock = """
            "qwen3"                      | "gpt2"                       | model_type is `gpt2`; supported are llama, qwen2, qwen3
            "vocab_size": 11             | "vocab_size": -1             | `vocab_size` is `-1`; expected a positive integer
            "vocab_size": 11,            | ''                           | `vocab_size` is missing; expected a positive integer
            "hidden_size": 8             | "hidden_size": "8"           | `hidden_size` is `"8"`; expected a positive integer
            "hidden_size": 8             | "hidden_size": 99999999999   | `hidden_size` is `99999999999`; expected a positive integer
            "num_key_value_heads": 1     | "num_key_value_heads": 3     | num_attention_heads 2 is not a multiple of num_key_value_heads 3
            "head_dim": 4                | "head_dim": 5                | head_dim 5 is odd
            "rope_theta": 10000          | "rope_theta": 0              | `rope_theta` is `0`; expected a positive number
            "hidden_act": "silu"         | "hidden_act": "gelu"         | hidden_act is `gelu`; only `silu` is supported
            "tie_word_embeddings": true  | "tie_word_embeddings": 1     | `tie_word_embeddings` is `1`; expected true or false
            "rope_theta": 10000          | "rope_theta": 1, "rope_scaling": {"rope_type": "longrope"} | rotary scaling `longrope`
            "rope_theta": 10000          | "rope_theta": 1, "rope_scaling": {"type": "yarn", "factor": 4} | `rope_theta` is 1.0; YaRN needs
            "head_dim": 4                | "head_dim": 4, "use_sliding_window": true, "sliding_window": 16, "max_window_layers": 0 | sliding-window attention is not supported
            "head_dim": 4                | "head_dim": 4, "use_sliding_window": true, "sliding_window": 16, "layer_types": ["sliding_attention"] | sliding-window attention
            "head_dim": 4                | "head_dim": 4, "layer_types": ["sliding_attention"], "sliding_window": 16 | sliding-window attention is not supported
            "head_dim": 4                | "head_dim": 4, "layer_types": ["linear_attention"] | layer_types holds
            "hidden_act": "silu"         | "hidden_act": "\\u001b[31m" | hidden_act is `\\u001b[31m`
            "num_attention_heads": 2     | "num_attention_heads": 2, "max_window_layers": "x", "use_sliding_window": "yes" | `use_sliding_window` is `"yes"`
            """)
    void refusesABadConfiguration(String from, String to, String message) {
        assertThat(CONFIG).contains(from);
        assertBadFile(() -> config(CONFIG.replace(from, to)), "config.json", message);
    }

    /// What published files leave out or say without effect, as transformers reads them.
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock = """
            "rope_theta": 10000,         | ''
            "rms_norm_eps": 1e-6,        | ''
            "max_position_embeddings": 32, | ''
            "hidden_act": "silu",        | ''
            "hidden_act": "silu"         | "hidden_act": "swish"
            "rope_theta": 10000          | "rope_parameters": {"rope_theta": 10000, "rope_type": "default"}
            "head_dim": 4                | "head_dim": 4, "use_sliding_window": true, "sliding_window": 16
            "head_dim": 4                | "head_dim": 4, "use_sliding_window": true, "sliding_window": 16, "max_window_layers": 1
            "head_dim": 4                | "head_dim": 4, "use_sliding_window": true, "sliding_window": 32768, "max_window_layers": 0
            "head_dim": 4                | "head_dim": 4, "use_sliding_window": true, "sliding_window": null, "max_window_layers": 0
            "head_dim": 4                | "head_dim": 4, "use_sliding_window": true, "sliding_window": 16, "max_window_layers": 0, "layer_types": ["full_attention"]
            "head_dim": 4                | "head_dim": 4, "use_sliding_window": null, "layer_types": null, "rope_scaling": null, "rope_parameters": null
            "head_dim": 4                | "head_dim": 4, "mlp_bias": true
            """)
    void readsWhatChangesNothing(String from, String to) throws IOException {
        assertThat(CONFIG).contains(from);
        ModelConfig plain = config(CONFIG), changed = config(CONFIG.replace(from, to));
        assertThat(changed).usingRecursiveComparison().ignoringFields("maxPositions").isEqualTo(plain);
    }

    /// Qwen2 has biases on queries, keys and values and nowhere else, whatever the key says.
    @ParameterizedTest
    @ValueSource(strings = {"", "\"attention_bias\": false,", "\"attention_bias\": true,", "\"attention_bias\": null,"})
    void qwen2HasItsBiases(String key) throws IOException {
        ModelConfig config = config(CONFIG.replace("qwen3", "qwen2").replace("\"vocab_size\"", key + "\"vocab_size\""));
        assertThat(Linear.values()).filteredOn(config::hasBias).containsExactly(Linear.QUERY, Linear.KEY, Linear.VALUE);
    }

    @Test
    void refusesWhatIsNotJson() {
        assertBadFile(() -> config(CONFIG.substring(0, 40)), "config.json", "not valid JSON");
        assertBadFile(() -> config("[]"), "config.json", "the top level is not an object");
        assertBadFile(() -> ModelConfig.load(directory.resolve("nowhere")), "nowhere", "no config.json there");
    }

    @Test
    void loadsWeightsInTheOrderOfTheForwardPass() throws IOException {
        ModelConfig config = config(CONFIG);
        SequencedMap<String, HostTensor> written = write(config, _ -> {});
        SequencedMap<String, Tensor> weights = ModelLoader.load(directory, config, Place.cpu(ScalarType.Float));
        assertThat(weights.keySet()).containsExactlyElementsOf(config.tensors().keySet());
        weights.forEach((name, tensor) -> {
            assertThat(Tensors.floats(tensor)).containsExactly(written.get(name).toFloats());
            tensor.close();
        });
    }

    @Test
    void refusesABadCheckpoint() {
        String up = Linear.UP.weight(0);
        assertBadCheckpoint(tensors -> tensors.remove(up), "tensor `%s` is missing".formatted(up));
        assertBadCheckpoint(
                tensors -> tensors.put("model.layers.1.mlp.up_proj.weight", tensors.get(up)),
                "tensor `model.layers.1.mlp.up_proj.weight` is not part of a QWEN3 model");
        assertBadCheckpoint(
                tensors -> tensors.put(up, HostTensor.ofFloats(new long[] {8, 12}, new float[96])),
                "tensor `%s` has shape [8, 12]; config.json implies [12, 8]".formatted(up));
        assertBadCheckpoint(
                tensors -> tensors.put(up, HostTensor.ofInts(new long[] {12, 8}, new int[96])),
                "tensor `%s` is I32; expected F32, F16 or BF16".formatted(up));
        for (float poison : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
            float[] values = new float[96];
            values[95] = poison;
            assertBadCheckpoint(
                    tensors -> tensors.put(up, HostTensor.ofFloats(new long[] {12, 8}, values)),
                    "tensor `%s` holds values that are not finite".formatted(up));
        }
    }

    private void assertBadCheckpoint(Consumer<Map<String, HostTensor>> damage, String message) {
        assertBadFile(
                () -> {
                    ModelConfig config = config(CONFIG);
                    write(config, damage);
                    ModelLoader.load(directory, config, Place.cpu(ScalarType.Float));
                },
                directory.toString(),
                message);
    }

    private static void assertBadFile(org.assertj.core.api.ThrowableAssert.ThrowingCallable call, String place, String message) {
        assertThatThrownBy(call)
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(3))
                .hasMessageContaining(place)
                .hasMessageContaining(message);
    }

    private ModelConfig config(String json) throws IOException {
        Files.writeString(directory.resolve("config.json"), json);
        return ModelConfig.load(directory);
    }

    private SequencedMap<String, HostTensor> write(ModelConfig config, Consumer<Map<String, HostTensor>> damage) {
        var tensors = new LinkedHashMap<String, HostTensor>();
        config.tensors().forEach((name, shape) -> {
            float[] values = new float[(int) Arrays.stream(shape).reduce(1, Math::multiplyExact)];
            for (int i = 0; i < values.length; i++) values[i] = i + name.length();
            tensors.put(name, HostTensor.ofFloats(shape, values));
        });
        damage.accept(tensors);
        SafetensorsWriter.write(directory.resolve("model.safetensors"), tensors, Map.of());
        return tensors;
    }
}
