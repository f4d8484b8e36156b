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
import rqat.io.DataType;
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
        assertBadCheckpoint(tensors -> tensors.put("model.layers.0.self_attn.q_proj.bias", tensors.get(up)), "refusing to ignore a weight");
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

    // ---- what other programs leave in a checkpoint

    /// Buffers that old versions stored, a second copy of a tied head in any type that holds it, and a tied matrix under the name of the head.
    @Test
    void readsWhatIsImplied() throws IOException {
        ModelConfig config = config(CONFIG);
        float[] embedding = write(config, _ -> {}).get(ModelConfig.EMBEDDING).toFloats();
        long[] shape = {11, 8};
        assertLoads(config, embedding, tensors -> tensors.put("lm_head.weight", HostTensor.ofFloats(shape, embedding)));
        assertLoads(config, embedding, tensors -> tensors.put("lm_head.weight", bfloat16(shape, embedding)));
        assertLoads(config, embedding, tensors -> tensors.put("lm_head.weight", tensors.remove(ModelConfig.EMBEDDING)));
        for (String buffer : new String[] {
            "model.layers.0.self_attn.rotary_emb.inv_freq", "model.layers.0.self_attn.rotary_emb.cos_cached", "model.layers.0.self_attn.rotary_emb.sin_cached",
            "model.rotary_emb.inv_freq", "model.rotary_emb.original_inv_freq", "rope.freqs"
        }) {
            assertLoads(config, embedding, tensors -> tensors.put(buffer, HostTensor.ofFloats(new long[] {2}, 1, 0.5f)));
        }
    }

    private void assertLoads(ModelConfig config, float[] embedding, Consumer<Map<String, HostTensor>> change) {
        write(config, change);
        SequencedMap<String, Tensor> weights = ModelLoader.load(directory, config, Place.cpu(ScalarType.Float));
        assertThat(weights.keySet()).containsExactlyElementsOf(config.tensors().keySet());
        assertThat(Tensors.floats(weights.get(ModelConfig.EMBEDDING))).containsExactly(embedding);
        weights.values().forEach(Tensor::close);
    }

    /// The values here are whole numbers below 256, which bfloat16 holds.
    private static HostTensor bfloat16(long[] shape, float... values) {
        byte[] bytes = new byte[2 * values.length];
        for (int i = 0; i < values.length; i++) {
            int bits = Float.floatToIntBits(values[i]) >>> 16;
            bytes[2 * i] = (byte) bits;
            bytes[2 * i + 1] = (byte) (bits >>> 8);
        }
        return HostTensor.ofBytes(DataType.BF16, shape, bytes);
    }

    @Test
    void refusesATiedHeadThatDiffers() {
        String message = "set tie_word_embeddings to false, or remove it";
        float[] values = new float[88];
        for (int i = 0; i < 88; i++) values[i] = i + ModelConfig.EMBEDDING.length();
        values[87] += 1;
        assertBadCheckpoint(tensors -> tensors.put("lm_head.weight", HostTensor.ofFloats(new long[] {11, 8}, values)), message);
        assertBadCheckpoint(tensors -> tensors.put("lm_head.weight", bfloat16(new long[] {11, 8}, values)), message);
        assertBadCheckpoint(tensors -> tensors.put("lm_head.weight", HostTensor.ofFloats(new long[] {10, 8}, new float[80])), message);
        assertBadFile(
                () -> {
                    ModelConfig untied = config(CONFIG.replace("true", "false"));
                    write(untied, tensors -> tensors.remove("lm_head.weight"));
                    ModelLoader.load(directory, untied, Place.cpu(ScalarType.Float));
                },
                directory.toString(), "Set tie_word_embeddings to true in config.json if the head is the embedding");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "_orig_mod.model.              | `_orig_mod.` is what torch.compile puts there",
        "module.model.                 | `module.` is what DistributedDataParallel",
        "module._orig_mod.model.       | `_orig_mod.` is what torch.compile puts there",
        "base_model.model.model.       | `base_model.` is what PEFT puts there",
        "model.language_model.         | `language_model.` is what a model of text and images puts there",
        "_fsdp_wrapped_module.model.   | `_fsdp_wrapped_module.` is what FSDP puts there",
        "\"\"                            | begin with `` where `model.` is expected (the embedding is `embed_tokens.weight`)",
        "transformer.                  | begin with `transformer.` where `model.` is expected",
    })
    void namesAForeignPrefix(String prefix, String message) {
        assertBadCheckpoint(
                tensors -> {
                    var renamed = new LinkedHashMap<String, HostTensor>();
                    tensors.forEach((name, tensor) -> renamed.put(name.replaceFirst("^model\\.", prefix), tensor));
                    tensors.clear();
                    tensors.putAll(renamed);
                },
                message);
    }

    @Test
    void namesAWrapperInsideTheModel() {
        String norm = ModelConfig.attentionNorm(0);
        assertBadCheckpoint(tensors -> tensors.put(norm.replace("layers.0.", "layers.0._orig_mod."), tensors.remove(norm)), "`_orig_mod.` is what torch.compile puts there");
    }

    // ---- models that other tools have quantised

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "'quantization_config': {'quant_method': 'gptq', 'bits': 4}             | gptq",
        "'quantization_config': {'quant_method': 'awq', 'bits': 4}              | awq",
        "'quantization_config': {'quant_method': 'fp8', 'fmt': 'e4m3'}          | fp8",
        "'quantization_config': {'quant_method': 'bitsandbytes'}                | bitsandbytes",
        "'quantization_config': {'load_in_4bit': true}                          | bitsandbytes",
        "'quantization_config': {'quant_method': 'compressed-tensors'}          | compressed-tensors",
        "'quantization_config': {'config_groups': {}}                           | compressed-tensors",
        "'compression_config': {'format': 'pack-quantized'}                     | compressed-tensors",
        "'quantization': {'group_size': 64, 'bits': 4}                          | mlx",
        "'quantization_config': {'group_size': 64, 'bits': 4}                   | mlx",
        "'quantization_config': {'quant_method': 'torchao'}                     | torchao",
        "'quantization_config': {'something': 1}                                | unknown",
    })
    void namesTheMethodOfAQuantisedModel(String key, String method) {
        assertBadFile(
                () -> ModelLoader.load(directory, config(CONFIG.replace("{\"model_type\"", "{" + key.replace('\'', '"') + ", \"model_type\"")), Place.cpu(ScalarType.Float)),
                directory.toString(), "already quantised by `%s`".formatted(method));
    }

    @ParameterizedTest
    @CsvSource({"qweight, gptq or awq", "g_idx, gptq", "weight_packed, compressed-tensors", "weight.absmax, bitsandbytes", "scales, mlx"})
    void knowsAQuantisedModelByItsTensors(String suffix, String method) {
        String up = Linear.UP.weight(0);
        assertBadCheckpoint(
                tensors -> {
                    tensors.remove(up);
                    tensors.put(up.replace("weight", suffix), HostTensor.ofInts(new long[] {1, 8}, new int[8]));
                },
                "already quantised by `%s`".formatted(method));
    }

    @Test
    void aFileBesideTheConfigurationNamesTheMethod() throws IOException {
        ModelConfig config = config(CONFIG.replace("{\"model_type\"", "{\"quantization_config\": null, \"quantization\": {}, \"model_type\""));
        write(config, _ -> {});
        ModelLoader.load(directory, config, Place.cpu(ScalarType.Float)).values().forEach(Tensor::close);
        Files.writeString(directory.resolve("quantize_config.json"), "{\"bits\": 4}");
        assertBadFile(() -> ModelLoader.load(directory, config, Place.cpu(ScalarType.Float)), directory.toString(), "already quantised by `gptq`");
    }

    @Test
    void aDirectoryWithoutConfigurationIsDescribed() throws IOException {
        assertBadFile(() -> ModelConfig.load(directory), "no config.json there", "the directory is empty");
        Files.writeString(directory.resolve("model.safetensors"), "");
        assertBadFile(() -> ModelConfig.load(directory), "no config.json there", "found the weights; download the model's other files too");
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
