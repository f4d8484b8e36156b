package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.format.ActivationFormat;
import rqat.format.CodedModel;
import rqat.format.Description;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.Provenance;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.io.DataType;
import rqat.io.HostBuffer;
import rqat.io.JsonFiles;
import rqat.io.SafetensorsWriter;
import rqat.io.TensorSource;
import rqat.model.ModelConfig;

/// Exports need the memory of the largest tensor and at most 1.5 GiB more, mapped pages included: two blocks of Qwen3-4B's widths with its whole embedding in float32.
@Tag("slow")
class ExportMemoryTest {
    private static final int GROUP = 128;

    @TempDir
    Path directory;

    private static int code(String name, long index) {
        return (int) ((index * 2654435761L + name.hashCode()) >>> 13 & 7);
    }

    private static float scale(long group) {
        return DataType.BF16.round(0.01f + group % 97 * 1e-4f);
    }

    /// A model of three asymmetric bits whose files agree with each other, written without being anywhere in memory.
    private Path model() throws IOException {
        Path model = Files.createDirectories(directory.resolve("model"));
        for (String name : List.of("tokenizer.json", "tokenizer_config.json")) Files.copy(Path.of("models/embedded", name), model.resolve(name));
        Files.writeString(model.resolve("config.json"), """
                {"model_type": "qwen3", "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 2, "num_attention_heads": 32,
                 "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40960, "rms_norm_eps": 1e-6, "rope_theta": 1000000, "hidden_act": "silu",
                 "tie_word_embeddings": true, "eos_token_id": 429, "torch_dtype": "float32"}
                """);
        ModelConfig config = ModelConfig.load(model);
        var grids = new LinkedHashMap<String, GridSpec>();
        Description.maps(config).keySet().forEach(name -> grids.put(name, new GridSpec(3, GROUP, false, ScaleType.BFLOAT16)));
        new Description(
                        new Description.Method("rtn", JsonFiles.object()), ScaleMode.STATIC, MaskRule.HALF_STEP, ActivationFormat.NONE, grids, Provenance.UNKNOWN)
                .write(model);
        SequencedMap<String, TensorSource> weights = new LinkedHashMap<>(), codes = new LinkedHashMap<>();
        config.tensors().forEach((name, shape) -> {
            long elements = shape.length == 1 ? shape[0] : shape[0] * shape[1];
            boolean coded = grids.containsKey(name);
            weights.put(name, HostBuffer.source(DataType.F32, buffer -> {
                for (long i = 0; i < elements; i++) buffer.setFloat(i, coded ? scale(i / GROUP) * (code(name, i) - 4) : 0.1234567f * (i % 1013));
            }, shape));
            if (!coded) return;
            codes.put(name + ".codes", HostBuffer.source(DataType.I8, buffer -> {
                for (long i = 0; i < elements; i++) buffer.data().set(ValueLayout.JAVA_BYTE, i, (byte) code(name, i));
            }, shape));
            long[] groups = {shape[0], shape[1] / GROUP};
            codes.put(name + ".scale", HostBuffer.source(DataType.F32, buffer -> {
                for (long i = 0; i < elements / GROUP; i++) buffer.setFloat(i, scale(i));
            }, groups));
            codes.put(name + ".zero", HostBuffer.source(DataType.I8, buffer -> buffer.data().fill((byte) 4), groups));
        });
        SafetensorsWriter.writeCheckpoint(model, weights, Map.of("format", "pt"), SafetensorsWriter.DEFAULT_MAXIMUM_SHARD_BYTES);
        SafetensorsWriter.write(model.resolve(Description.FOLDER).resolve(CodedModel.CODES), codes, Map.of());
        return model;
    }

    /// The largest resident size of a process so far, in bytes.
    private static long peak(Process process) throws IOException {
        try {
            return Files.readAllLines(Path.of("/proc/" + process.pid() + "/status")).stream()
                    .filter(line -> line.startsWith("VmHWM:"))
                    .mapToLong(line -> 1024 * Long.parseLong(line.replaceAll("\\D", "")))
                    .findFirst()
                    .orElse(0);
        } catch (java.nio.file.NoSuchFileException e) {
            return 0;
        }
    }

    private long export(Path model, String... arguments) throws Exception {
        var words = new java.util.ArrayList<>(List.of("export", model.toString()));
        words.addAll(List.of(arguments));
        Path log = directory.resolve("log");
        Process process = Cli.process(directory, words.toArray(String[]::new)).redirectErrorStream(true).redirectOutput(log.toFile()).start();
        long largest = 0;
        while (!process.waitFor(200, java.util.concurrent.TimeUnit.MILLISECONDS)) largest = Math.max(largest, peak(process));
        assertThat(process.exitValue()).as(Files.readString(log)).isZero();
        return largest;
    }

    @Test
    void theLargestTensorAndALittleMore() throws Exception {
        Path model = model();
        long allowed = 151936L * 2560 * 4 + 3L * (1 << 29);
        var figures = new LinkedHashMap<String, Long>();
        Path gptq = directory.resolve("gptq");
        figures.put("gptq", export(model, gptq.toString(), "--format", "gptq"));
        figures.put("gguf", export(model, directory.resolve("m.gguf").toString(), "--format", "gguf"));
        figures.put("hf", export(model, directory.resolve("hf").toString(), "--format", "hf"));
        figures.put("gptq to compressed-tensors", export(gptq, directory.resolve("ct").toString(), "--format", "compressed-tensors"));
        figures.forEach((name, bytes) -> System.err.printf("export, %s: %.2f GiB, %.2f above the largest tensor%n", name, bytes / 0x1p30, (bytes - 151936L * 2560 * 4) / 0x1p30));
        assertThat(figures.values()).allMatch(bytes -> bytes < allowed);
    }
}
