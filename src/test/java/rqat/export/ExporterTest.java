package rqat.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import rqat.Failure;
import rqat.foreign.ForeignModel;
import rqat.foreign.GgufDirectory;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.io.DataType;
import rqat.io.JsonFiles;
import rqat.run.Progress;
import rqat.text.Tokenizer;
import tools.jackson.databind.JsonNode;

class ExporterTest {
    @TempDir
    Path directory;

    private Path written(String family, int bits, boolean symmetric) {
        return RandomModels.write(
                directory.resolve("model"), RandomModels.config(family, 128, 256), new GridSpec(bits, 128, symmetric, ScaleType.BFLOAT16), bits, ScalarType.Float);
    }

    private ExportResult export(Path model, ExportSettings settings, String name) {
        return Exporter.run(model, directory.resolve(name), settings, Progress.silent());
    }

    private CodedModel read(Path out) {
        return ForeignModel.open(out.toString().endsWith(".gguf") ? GgufDirectory.of(out, directory.resolve("cache")) : out);
    }

    static Stream<Arguments> someModels() {
        return Stream.of(Arguments.of("qwen3", 2, true), Arguments.of("qwen2", 3, false), Arguments.of("llama", 4, true), Arguments.of("qwen3", 4, false));
    }

    static Stream<Arguments> models() {
        return RandomModels.FAMILIES.stream().flatMap(family -> Stream.of(2, 3, 4).flatMap(bits ->
                Stream.of(true, false).map(symmetric -> Arguments.of(family, bits, symmetric))));
    }

    /// Every code and every value, in every container.
    @Tag("slow")
    @ParameterizedTest
    @MethodSource("models")
    void everyModelComesBackAsItWas(String family, int bits, boolean symmetric) {
        comesBackAsItWas(family, bits, symmetric);
    }

    @ParameterizedTest
    @MethodSource("someModels")
    void comesBackAsItWas(String family, int bits, boolean symmetric) {
        Path model = written(family, bits, symmetric);
        for (ExportFormat format : ExportFormat.values()) {
            for (int containerBits : format == ExportFormat.GGUF ? new int[] {0, 2, 4, 8, 32} : format == ExportFormat.GPTQ || format == ExportFormat.COMPRESSED_TENSORS ? new int[] {0, 4, 8} : new int[] {0}) {
                var settings = new ExportSettings(format, null, containerBits, false);
                String name = "out-" + format.label() + containerBits + (format == ExportFormat.GGUF ? ".gguf" : "");
                boolean holds = switch (format) {
                    case GGUF -> symmetric || bits < 4 && containerBits != 2 || containerBits >= 8;
                    // Here some biases of 4 asymmetric bits need more than 11 bits of precision.
                    case MLX -> symmetric || bits < 4;
                    case GPTQ, COMPRESSED_TENSORS -> containerBits != 4 || bits <= 4;
                    case HF, AWQ -> true;
                } && !(format == ExportFormat.GGUF && containerBits == 2 && bits != 2);
                if (!holds) {
                    assertThatThrownBy(() -> export(model, settings, name)).isInstanceOf(Failure.class).hasMessageContaining("_proj.weight");
                    assertThat(directory.resolve(name)).doesNotExist();
                    continue;
                }
                ExportResult result = export(model, settings, name);
                assertThat(result.change()).isEqualTo(Change.NONE);
                compare(model, result.place(), format.label() + " in " + containerBits + " bits");
            }
        }
    }

    /// Compares what an independent reader finds with the source.
    private void compare(Path model, Path out, String what) {
        try (CodedModel source = CodedModel.open(model); CodedModel read = read(out)) {
            assertThat(read.config()).isEqualTo(source.config());
            for (String name : source.config().tensors().keySet()) {
                source.value(name).lend(expected -> read.value(name).lend(found -> {
                    float[] wanted = expected.toFloats(), values = found.toFloats();
                    assertThat(values).as(what + " " + name).hasSize(wanted.length);
                    for (int i = 0; i < values.length; i++) {
                        if (values[i] != wanted[i]) throw new AssertionError("%s: %s[%d] is %s; expected %s".formatted(what, name, i, values[i], wanted[i]));
                    }
                }));
            }
            for (String name : read.codedNames()) {
                CodedWeight wanted = source.coded(name), found = read.coded(name);
                int width = wanted.columns() / wanted.groups(), foundWidth = found.columns() / found.groups();
                for (int row = 0; row < wanted.rows(); row++) {
                    for (int column = 0; column < wanted.columns(); column++) {
                        int step = found.code(row, column) - found.zero(row, column / foundWidth);
                        int expected = wanted.code(row, column) - wanted.zero(row, column / width);
                        if (step != expected) throw new AssertionError("%s: %s[%d, %d] is %d; expected %d".formatted(what, name, row, column, step, expected));
                    }
                }
            }
        }
    }

    @Test
    void theManifestSaysWhatEveryTensorIs() throws IOException {
        Path model = written("qwen3", 2, false);
        ExportResult result = export(model, ExportSettings.of(ExportFormat.COMPRESSED_TENSORS), "ct");
        JsonNode manifest = JsonFiles.read(result.place().resolve("export-manifest.json"));
        try (CodedModel source = CodedModel.open(model)) {
            assertThat(manifest.path("tensors").properties()).hasSize(source.config().tensors().size());
            JsonNode map = manifest.path("tensors").path("model.layers.1.mlp.up_proj.weight");
            assertThat(map.path("grid").asString()).isEqualTo("2 bits, asymmetric, groups of 128");
            CodedWeight weight = source.coded("model.layers.1.mlp.up_proj.weight");
            var digest = java.security.MessageDigest.getInstance("SHA-256");
            for (int row = 0; row < weight.rows(); row++) {
                for (int column = 0; column < weight.columns(); column++) digest.update((byte) weight.code(row, column));
            }
            assertThat(map.path("sha256").path("codes").asString()).isEqualTo(java.util.HexFormat.of().formatHex(digest.digest()));
        } catch (java.security.NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
        assertThat(manifest.path("bits_per_weight").asDouble()).isBetween(2.1, 2.3);
        assertThat(Files.list(directory).map(path -> path.getFileName().toString())).noneMatch(name -> name.startsWith("."));
    }

    /// Where some maps are as wide as one group and some wider, the group size is that of the wider ones.
    @Test
    void configurationsSayTheGroupSizeOfAllMaps() {
        Path model = written("qwen3", 3, false);
        JsonNode gptq = JsonFiles.read(export(model, ExportSettings.of(ExportFormat.GPTQ), "gptq").place().resolve("config.json")).path("quantization_config");
        assertThat(gptq.path("group_size").asInt()).isEqualTo(128);
        assertThat(gptq.path("bits").asInt()).isEqualTo(3);
        assertThat(gptq.path("sym").asBoolean()).isFalse();
        assertThat(gptq.path("checkpoint_format").asString()).isEqualTo("gptq_v2");
        assertThat(JsonFiles.read(directory.resolve("gptq/quantize_config.json"))).isEqualTo(gptq);
        JsonNode ct = JsonFiles.read(export(model, ExportSettings.of(ExportFormat.COMPRESSED_TENSORS), "ct").place().resolve("config.json"));
        JsonNode weights = ct.path("quantization_config").path("config_groups").path("group_0").path("weights");
        assertThat(weights.path("strategy").asString()).isEqualTo("group");
        assertThat(weights.path("group_size").asInt()).isEqualTo(128);
        Path rows = RandomModels.write(
                directory.resolve("rows"), RandomModels.config("qwen3", 128, 256), new GridSpec(2, 0, true, ScaleType.BFLOAT16), 1, ScalarType.Float);
        JsonNode awq = JsonFiles.read(export(rows, ExportSettings.of(ExportFormat.AWQ), "awq").place().resolve("config.json"));
        assertThat(awq.path("quantization_config").path("group_size").asInt()).isEqualTo(-1);
        JsonNode mlx = JsonFiles.read(export(rows, ExportSettings.of(ExportFormat.MLX), "mlx").place().resolve("config.json"));
        assertThat(mlx.path("quantization").path("group_size").asInt()).isEqualTo(128);
    }

    @Test
    void theTokenizerOfAGgufFileGivesTheSameIds() {
        Path model = written("qwen2", 3, true);
        export(model, ExportSettings.of(ExportFormat.GGUF), "m.gguf");
        Path rebuilt = GgufDirectory.of(directory.resolve("m.gguf"), directory.resolve("cache"));
        Tokenizer original = Tokenizer.load(model), read = Tokenizer.load(rebuilt);
        for (String text : List.of("How many shells?\n", "<|im_start|>user\n1+1<|im_end|><think>", "a\u030a \u00e9 12345 \uD83D\uDE00")) {
            assertThat(read.encode(text)).isEqualTo(original.encode(text));
            assertThat(read.encodeWithSpecial(text)).isEqualTo(original.encodeWithSpecial(text));
        }
        assertThat(read.stopIds()).isEqualTo(original.stopIds());
        assertThat(read.padId()).isEqualTo(original.padId());
    }

    @Test
    void whatWouldChangeIsRefusedUnlessAllowed() {
        Path model = RandomModels.write(
                directory.resolve("model"), RandomModels.config("qwen3", 128, 256), new GridSpec(3, 128, true, ScaleType.FLOAT32), 1, ScalarType.Float);
        assertThatThrownBy(() -> export(model, ExportSettings.of(ExportFormat.GPTQ), "gptq"))
                .hasMessageContaining("changes values, the largest by")
                .hasMessageContaining("--format compressed-tensors --dtype float32 holds it exactly");
        assertThat(directory.resolve("gptq")).doesNotExist();
        ExportResult lossy = export(model, new ExportSettings(ExportFormat.GPTQ, null, 0, true), "gptq");
        assertThat(lossy.change().absolute()).isPositive().isLessThan(0.01);
        ExportResult exact = export(model, new ExportSettings(ExportFormat.COMPRESSED_TENSORS, DataType.F32, 0, false), "ct");
        compare(model, exact.place(), "float32");
    }

    /// A model that was trained in bfloat16 has its weights rounded to it: only a container that is served in bfloat16 has them.
    @Test
    void aModelTrainedInBfloat16IsServedInIt() {
        Path model = RandomModels.write(
                directory.resolve("model"), RandomModels.config("qwen3", 128, 256), new GridSpec(3, 128, false, ScaleType.BFLOAT16), 1, ScalarType.BFloat16);
        assertThat(export(model, ExportSettings.of(ExportFormat.GPTQ), "gptq").dtype()).isEqualTo("bfloat16");
        assertThatThrownBy(() -> export(model, new ExportSettings(ExportFormat.GPTQ, DataType.F16, 0, false), "half")).hasMessageContaining("changes values");
        assertThatThrownBy(() -> export(model, ExportSettings.of(ExportFormat.GGUF), "m.gguf")).hasMessageContaining("changes values");
        assertThat(export(model, ExportSettings.of(ExportFormat.HF), "hf").dtype()).isEqualTo("bfloat16");
    }

    /// Shapes that containers do not divide: refused by name, or right, and never something else than it says.
    @Test
    void oddShapesAreRefusedByNameOrRight() {
        int held = 0, refused = 0;
        for (int hidden : new int[] {128, 96, 80, 40}) {
            for (int group : new int[] {0, 16, 8}) {
                if (group != 0 && hidden % group != 0) continue;
                Path model = RandomModels.write(
                        directory.resolve("model-" + hidden + "-" + group), RandomModels.config("qwen3", hidden, hidden + 16),
                        new GridSpec(3, group, true, ScaleType.BFLOAT16), hidden, ScalarType.Float);
                for (ExportFormat format : ExportFormat.values()) {
                    String name = "out-" + hidden + "-" + group + "-" + format.label() + (format == ExportFormat.GGUF ? ".gguf" : "");
                    try {
                        ExportResult result = export(model, ExportSettings.of(format), name);
                        compare(model, result.place(), name);
                        JsonNode manifest = JsonFiles.read(format == ExportFormat.GGUF
                                ? directory.resolve(name.replace(".gguf", ".export-manifest.json"))
                                : result.place().resolve("export-manifest.json"));
                        for (JsonNode tensor : manifest.path("tensors")) {
                            if (tensor.has("grid") && format != ExportFormat.AWQ && format != ExportFormat.GGUF) {
                                assertThat(tensor.path("grid").asString()).startsWith("3 bits");
                            }
                        }
                        held++;
                    } catch (Failure e) {
                        assertThat(e.kind()).isEqualTo(Failure.Kind.USAGE);
                        assertThat(e.getMessage()).contains("model.layers.0.", "holds it exactly");
                        assertThat(directory.resolve(name)).doesNotExist();
                        refused++;
                    }
                }
            }
        }
        assertThat(held).isGreaterThan(20);
        assertThat(refused).isGreaterThan(20);
    }

    @Test
    void nothingIsOverwritten() throws IOException {
        Path model = written("qwen3", 2, true);
        Files.writeString(directory.resolve("there"), "precious");
        assertThatThrownBy(() -> export(model, ExportSettings.of(ExportFormat.GPTQ), "there")).hasMessageContaining("is there already");
        assertThatThrownBy(() -> export(model, ExportSettings.of(ExportFormat.GGUF), "m")).hasMessageContaining("name it NAME.gguf");
        assertThatThrownBy(() -> export(model, ExportSettings.of(ExportFormat.GPTQ), "m.gguf")).hasMessageContaining("names a GGUF file");
        assertThat(directory.resolve("there")).hasContent("precious");
    }

    @Test
    void plainModelsLeaveAsTheyAre() {
        Path model = Path.of("models/embedded");
        for (ExportFormat format : List.of(ExportFormat.HF, ExportFormat.GGUF)) {
            ExportResult result = export(model, ExportSettings.of(format), format == ExportFormat.GGUF ? "e.gguf" : "e");
            assertThat(result.dtype()).isEqualTo("bfloat16");
            compare(model, result.place(), format.label());
        }
        assertThatThrownBy(() -> export(model, ExportSettings.of(ExportFormat.GPTQ), "gptq")).hasMessageContaining("no quantised weight");
    }
}
