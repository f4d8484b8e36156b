package rqat.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.foreign.ForeignModel;
import rqat.foreign.GgufDirectory;
import rqat.format.GridSpec;
import rqat.format.Provenance;
import rqat.format.ScaleType;
import rqat.io.HostTensor;
import rqat.io.JsonFiles;
import rqat.io.SafetensorsFile;
import rqat.io.SafetensorsWriter;
import rqat.io.TensorSource;
import rqat.quant.Imported;
import rqat.quant.ModelDirectory;
import rqat.quant.QuantisedModel;
import rqat.recipe.Engines;
import rqat.recipe.Score;
import rqat.run.Progress;
import rqat.tensor.Tensors;
import tools.jackson.databind.node.ObjectNode;

/// Models in other tools' layouts score, train and leave again.
class ImportTest {
    @TempDir
    Path directory;

    private Path model(String family, int bits, boolean symmetric) {
        return RandomModels.write(
                directory.resolve("model"), RandomModels.config(family, 64, 96), new GridSpec(bits, 32, symmetric, ScaleType.BFLOAT16), bits, ScalarType.Float);
    }

    private Path exported(Path model, String format, int containerBits) {
        ExportFormat as = ExportFormat.of(format).orElseThrow();
        Path out = directory.resolve(format + containerBits + (as == ExportFormat.GGUF ? ".gguf" : ""));
        Exporter.run(model, out, new ExportSettings(as, null, containerBits, false), Progress.silent());
        return as == ExportFormat.GGUF ? GgufDirectory.of(out, directory.resolve("cache")) : out;
    }

    private List<float[]> scores(Path model) {
        List<int[]> texts = List.of(new int[] {1, 5, 9, 200, 447, 3, 3, 77}, new int[] {10, 20, 30});
        return Score.run(model, Engines.Settings.TORCH, _ -> {}, Path.of("test"), texts).stream().map(Score.Result::logProbabilities).toList();
    }

    @ParameterizedTest
    @CsvSource({
        "qwen3, 2, true, gptq, 0", "qwen2, 3, false, gptq, 0", "llama, 4, false, gptq, 0", "qwen3, 3, true, gptq, 4", "llama, 3, false, compressed-tensors, 0",
        "qwen2, 2, true, compressed-tensors, 8", "qwen3, 3, false, awq, 0", "qwen2, 3, true, gguf, 0", "llama, 3, false, gguf, 0", "qwen3, 4, false, gguf, 8",
        "llama, 2, true, gguf, 32", "qwen3, 3, false, mlx, 0", "llama, 3, false, hf, 0"
    })
    void scoresAndTrainsAsTheOriginal(String family, int bits, boolean symmetric, String format, int containerBits) {
        Path model = model(family, bits, symmetric);
        Path imported = exported(model, format, containerBits);
        List<float[]> expected = scores(model), found = scores(imported);
        for (int i = 0; i < expected.size(); i++) assertThat(found.get(i)).containsExactly(expected.get(i), org.assertj.core.data.Offset.offset(1e-6f));

        Path again = directory.resolve("again");
        try (QuantisedModel original = ModelDirectory.load(model); QuantisedModel student = ModelDirectory.load(imported)) {
            assertThat(student.grids()).hasSize(format.equals("hf") || containerBits == 32 ? 0 : original.grids().size());
            for (String name : original.latents().keySet()) {
                float[] wanted = Tensors.floats(original.projected(name));
                assertSame(name, Tensors.floats(student.projected(name)), wanted);
                assertSame(name, Tensors.floats(student.latents().get(name)), wanted);
            }
            ModelDirectory.save(student, again, imported, Provenance.UNKNOWN);
        }
        // What a stage writes is a model directory of ours, which checks itself when it is read.
        try (QuantisedModel read = ModelDirectory.load(again)) {
            if (read.method() != null) assertThat(read.method()).isInstanceOf(Imported.class);
        }
        assertThat(ForeignModel.method(again)).isEmpty();
        assertThat(scores(again).getFirst()).containsExactly(expected.getFirst(), org.assertj.core.data.Offset.offset(1e-6f));
    }

    /// Zeros of either sign are the same.
    private static void assertSame(String name, float[] found, float[] wanted) {
        for (int i = 0; i < wanted.length; i++) assertThat(found[i] == wanted[i]).as("%s[%d]: %s, %s", name, i, found[i], wanted[i]).isTrue();
    }

    /// From one tool's layout to another's.
    @Test
    void converts() {
        Path model = model("qwen3", 3, false);
        Path gptq = exported(model, "gptq", 0);
        Exporter.run(gptq, directory.resolve("ct"), ExportSettings.of(ExportFormat.COMPRESSED_TENSORS), Progress.silent());
        Exporter.run(directory.resolve("ct"), directory.resolve("m.gguf"), ExportSettings.of(ExportFormat.GGUF), Progress.silent());
        Path last = GgufDirectory.of(directory.resolve("m.gguf"), directory.resolve("cache"));
        assertThat(scores(last).getFirst()).containsExactly(scores(model).getFirst(), org.assertj.core.data.Offset.offset(1e-6f));
    }

    static Stream<String> others() {
        return Stream.of("fp8", "bitsandbytes", "exl2", "exl3", "aqlm", "marlin");
    }

    @ParameterizedTest
    @org.junit.jupiter.params.provider.MethodSource("others")
    void refusesOthersByName(String method) throws IOException {
        Path model = model("qwen3", 2, true);
        ObjectNode config = (ObjectNode) JsonFiles.read(model.resolve("config.json"));
        config.putObject("quantization_config").put("quant_method", method).put("bits", 4);
        Path foreign = Files.createDirectories(directory.resolve("foreign"));
        JsonFiles.write(foreign.resolve("config.json"), config);
        Files.copy(model.resolve("model.safetensors"), foreign.resolve("model.safetensors"));
        assertThatThrownBy(() -> scores(foreign)).isInstanceOf(Failure.class).hasMessageContaining("quantised by `" + method + "`, which rqat does not read");
        config.putObject("quantization_config").put("quant_method", "gptq").put("checkpoint_format", "marlin");
        JsonFiles.write(foreign.resolve("config.json"), config);
        assertThatThrownBy(() -> scores(foreign)).hasMessageContaining("repacked for Marlin kernels");
    }

    /// Labels that are wrong, tensors that are missing, of other shapes or full of nonsense: one message, never a stack trace or a wrong number.
    @Test
    void refusesWhatIsDamaged() throws IOException {
        Path gptq = exported(model("qwen3", 3, false), "gptq", 0);
        String module = "model.layers.1.mlp.up_proj";
        damage(gptq, tensors -> tensors.remove(module + ".qzeros"), module + ".qzeros` is missing");
        damage(gptq, tensors -> tensors.put(module + ".qweight", HostTensor.ofInts(new long[] {1, 96}, new int[96])), "[64 * bits / 32, 96]");
        damage(gptq, tensors -> tensors.put(module + ".scales", HostTensor.ofFloats(new long[] {2, 96}, nan(192))), "a scale of NaN");
        damage(gptq, tensors -> tensors.put(module + ".g_idx", HostTensor.ofInts(new long[] {64}, indices())), "names group 7 of 2");
        damage(gptq, tensors -> tensors.put("model.layers.9.extra", HostTensor.ofFloats(new long[] {1}, 1f)), "refusing to ignore a weight");
        ObjectNode config = (ObjectNode) JsonFiles.read(gptq.resolve("config.json"));
        ((ObjectNode) config.path("quantization_config")).put("group_size", 64);
        JsonFiles.write(gptq.resolve("config.json"), config);
        assertThatThrownBy(() -> scores(gptq)).hasMessageContaining("the configuration says 3 bits in groups of 64");
    }

    private static float[] nan(int count) {
        float[] values = new float[count];
        java.util.Arrays.fill(values, Float.NaN);
        return values;
    }

    private static int[] indices() {
        int[] indices = new int[64];
        java.util.Arrays.fill(indices, 7);
        return indices;
    }

    private void damage(Path model, java.util.function.Consumer<Map<String, TensorSource>> change, String message) throws IOException {
        Path damaged = Files.createDirectories(directory.resolve("damaged"));
        for (String name : List.of("config.json", "tokenizer.json")) {
            Files.copy(model.resolve(name), damaged.resolve(name), java.nio.file.StandardCopyOption.REPLACE_EXISTING);
        }
        try (SafetensorsFile file = SafetensorsFile.open(model.resolve("model.safetensors"))) {
            var tensors = new LinkedHashMap<String, TensorSource>(file.tensors());
            change.accept(tensors);
            SafetensorsWriter.write(damaged.resolve("model.safetensors"), tensors, Map.of());
        }
        assertThatThrownBy(() -> scores(damaged)).isInstanceOf(Failure.class).hasMessageContaining(message);
    }
}
