package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.format.Provenance;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.io.AtomicFiles;
import rqat.io.DataType;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;
import rqat.io.SafetensorsWriter;
import rqat.model.Linear;
import rqat.model.ModelLoader;
import rqat.model.Weights;
import rqat.tensor.Cpu;
import rqat.tensor.HostCopies;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import tools.jackson.databind.json.JsonMapper;

/// The quantised model on disk.
class ModelDirectoryTest {
    private static final String MAP = Linear.UP.weight(0);

    @TempDir
    static Path shared;

    /// A saved GPTQ model that tests may damage and must repair.
    private static Path good;

    @BeforeAll
    static void saveGoodModel() {
        Path source = TinyModel.source(shared.resolve("source"));
        good = shared.resolve("good");
        try (QuantisedModel original = TinyModel.fullPrecision(source, 1);
                QuantisedModel model = TinyModel.quantise(original, TinyModel.gptq(3))) {
            ModelDirectory.save(model, good, ScalarType.Float, source, Provenance.UNKNOWN);
        }
    }

    @TempDir
    Path directory;

    private Path source;
    private Path saved;
    private QuantisedModel original;

    @BeforeEach
    void makeModel() {
        source = TinyModel.source(directory.resolve("source"));
        saved = directory.resolve("saved");
        original = TinyModel.fullPrecision(source, 1);
    }

    @AfterEach
    void closeModel() {
        original.close();
    }

    private static void assertSame(QuantisedModel actual, QuantisedModel expected) {
        assertThat(actual.latents().keySet()).containsExactlyElementsOf(expected.latents().keySet());
        assertThat(actual.grids().keySet()).containsExactlyElementsOf(expected.grids().keySet());
        expected.latents().forEach((name, latent) -> assertThat(actual.latents().get(name).equal(latent)).as(name).isTrue());
        expected.grids().forEach((name, grid) -> {
            Grid read = actual.grids().get(name);
            assertThat(read.spec()).isEqualTo(grid.spec());
            assertThat(read.scale().equal(grid.scale())).as(name).isTrue();
            assertThat(read.zero().equal(grid.zero())).as(name).isTrue();
        });
        assertThat(actual.method()).isEqualTo(expected.method());
        assertThat(actual.scaleMode()).isEqualTo(expected.scaleMode());
        assertThat(actual.maskRule()).isEqualTo(expected.maskRule());
        assertThat(actual.config()).isEqualTo(expected.config());
    }

    private static Method method(String name) {
        return switch (name) {
            case "gptq" -> TinyModel.gptq(3);
            case "gptq in 8 bits" -> TinyModel.gptq(8);
            case "rtn" -> TinyModel.roundToNearest(2);
            case "rtn by row" -> new RoundToNearest(new GridSpec(4, 0, false, ScaleType.FLOAT16), ClipSearch.MSE);
            default -> throw new AssertionError(name);
        };
    }

    @ParameterizedTest
    @CsvSource({"gptq,Float", "gptq,BFloat16", "gptq in 8 bits,Float", "rtn,BFloat16", "rtn,Float", "rtn by row,Float"})
    void loadsWhatWasSaved(String method, String computeName) {
        ScalarType compute = ScalarType.valueOf(computeName);
        try (QuantisedModel model = TinyModel.quantise(original, method(method))) {
            model.maskRule(MaskRule.STRICT);
            var stage = new Provenance.Stage(
                    "quantize", 7, JsonMapper.shared().readTree("{\"a\": \"\\\"b\\\"\"}"), Map.of("model", "ab"), Map.of("rqat", "1"));
            Provenance provenance = new Provenance(new Provenance.Base("base", "cd"), java.util.List.of(stage));
            ModelDirectory.save(model, saved, compute, source, provenance);
            try (QuantisedModel read = ModelDirectory.load(saved)) {
                assertSame(read, model);
                assertThat(read.provenance()).isEqualTo(provenance);
            }
            // What any engine loads is what the forward pass uses.
            Weights weights = model.weights(compute);
            var stored = ModelLoader.load(saved, model.config(), Place.cpu(compute));
            weights.all().forEach((name, weight) -> assertThat(stored.get(name).equal(weight)).as(name).isTrue());
            weights.all().values().forEach(Tensor::close);
            stored.values().forEach(Tensor::close);
        }
    }

    @Test
    void trainedModelsComeBackTrained() {
        for (Method method : new Method[] {TinyModel.gptq(3), TinyModel.roundToNearest(3)}) {
            try (QuantisedModel model = TinyModel.quantise(original, method)) {
                Scope.run(() -> model.latents().forEach((name, latent) ->
                        latent.add_(GridTest.gaussian(new rqat.run.RandomStream(8), 0.05, 1, latent.numel()).view(Tensors.shape(latent)))));
                ModelDirectory.save(model, saved, ScalarType.Float, source, Provenance.UNKNOWN);
                try (QuantisedModel read = ModelDirectory.load(saved)) {
                    assertSame(read, model);
                }
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"Float", "BFloat16"})
    void fullPrecisionModelsHaveNoGrids(String computeName) throws IOException {
        ScalarType compute = ScalarType.valueOf(computeName);
        ModelDirectory.save(original, saved, compute, source, Provenance.UNKNOWN);
        assertThat(saved.resolve("quantization")).doesNotExist();
        try (QuantisedModel read = ModelDirectory.load(saved)) {
            assertThat(read.grids()).isEmpty();
            assertThat(read.method()).isNull();
            Scope.run(() -> original.latents().forEach((name, latent) ->
                    assertThat(read.latents().get(name).equal(latent.to(compute).to(ScalarType.Float))).isTrue()));
        }
    }

    @Test
    void filesOfTheSourceAreCopiedUnchanged() throws IOException {
        try (QuantisedModel model = TinyModel.quantise(original, TinyModel.gptq(3))) {
            ModelDirectory.save(model, saved, ScalarType.Float, source, Provenance.UNKNOWN);
        }
        for (String name : new String[] {"config.json", "tokenizer.json"}) {
            assertThat(Files.readAllBytes(saved.resolve(name))).isEqualTo(Files.readAllBytes(source.resolve(name)));
        }
        try (var files = Files.list(saved)) {
            assertThat(files.map(path -> path.getFileName().toString()))
                    .containsExactlyInAnyOrder("config.json", "tokenizer.json", "model.safetensors", "quantization");
        }
        try (SafetensorsFile codes = SafetensorsFile.open(saved.resolve("quantization/codes.safetensors"))) {
            assertThat(codes.tensors()).hasSize(14 * 3);
            assertThat(codes.tensors().get(MAP + ".codes").type()).isEqualTo(DataType.I8);
            assertThat(codes.tensors().get(MAP + ".zero").type()).isEqualTo(DataType.I8);
            assertThat(codes.tensors().get(MAP + ".scale").type()).isEqualTo(DataType.F32);
        }
        assertThat(Files.readString(saved.resolve("quantization/quantization.json")))
                .contains("\"format_version\" : 3", "\"name\" : \"gptq\"", "\"scale_mode\" : \"static\"", "\"clip_search\" : \"mse\"");
    }

    @Test
    void savingFullPrecisionOverAQuantisedModelLeavesNothingOfIt() {
        try (QuantisedModel model = TinyModel.quantise(original, TinyModel.gptq(3))) {
            ModelDirectory.save(model, saved, ScalarType.Float, source, Provenance.UNKNOWN);
        }
        ModelDirectory.save(original, saved, ScalarType.Float, source, Provenance.UNKNOWN);
        try (QuantisedModel read = ModelDirectory.load(saved)) {
            assertSame(read, original);
        }
    }

    private interface Damage extends Consumer<Map<String, HostTensor>> {}

    /// Damages one tensor file of a good directory, expects the complaint, and repairs it.
    private static void assertRefused(String file, Damage damage, String... words) {
        Path path = good.resolve(file);
        byte[] repaired = bytes(path);
        var tensors = new LinkedHashMap<String, HostTensor>();
        try (SafetensorsFile opened = SafetensorsFile.open(path)) {
            opened.tensors().forEach((name, tensor) -> tensors.put(name, changed(tensor, x -> x)));
        }
        Scope.run(() -> damage.accept(tensors));
        SafetensorsWriter.write(path, tensors, Map.of());
        assertRefused(path, repaired, words);
    }

    private static void assertRefused(Path damaged, byte[] repaired, String... words) {
        long before = Pointer.totalCount();
        assertThatThrownBy(() -> ModelDirectory.load(good))
                .isInstanceOf(Failure.class)
                .hasMessageContainingAll(words)
                .extracting(e -> ((Failure) e).kind())
                .isEqualTo(Failure.Kind.BAD_FILE);
        assertThat(Pointer.totalCount()).as("tensors left behind").isEqualTo(before);
        AtomicFiles.write(damaged, repaired);
        ModelDirectory.load(good).close();
    }

    private static byte[] bytes(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// A copy with every value changed.
    private static HostTensor changed(HostTensor tensor, java.util.function.UnaryOperator<Tensor> change) {
        return Scope.get(() -> HostCopies.of(change.apply(Cpu.of(tensor))));
    }

    @Test
    void contradictionsAreRefused() {
        String codes = "quantization/codes.safetensors", latents = "quantization/latents.safetensors";
        String norm = "model.norm.weight";
        assertRefused(codes, t -> t.remove(MAP + ".zero"), "promises 42", "41");
        assertRefused(codes, t -> t.put("x", t.remove(MAP + ".scale")), MAP + ".scale", "missing");
        assertRefused(codes, t -> t.put(MAP + ".codes", t.get(Linear.DOWN.weight(0) + ".codes")), MAP + ".codes", "[64, 32]");
        assertRefused(codes, t -> t.put(MAP + ".codes", changed(t.get(MAP + ".codes"), x -> x.add(new Scalar(4)))), "values from", "0 to 7");
        assertRefused(codes, t -> t.put(MAP + ".codes", changed(t.get(MAP + ".codes"), x -> x.mul(new Scalar(0)))), MAP + ".codes", "latents");
        assertRefused(codes, t -> t.put(MAP + ".scale", changed(t.get(MAP + ".scale"), x -> x.neg())), MAP + ".scale", "positive");
        assertRefused(codes, t -> t.put(MAP + ".scale", changed(t.get(MAP + ".scale"), x -> x.mul(new Scalar(1.5)))), MAP, "latents");
        assertRefused(codes, t -> t.put(MAP + ".scale", changed(t.get(MAP + ".scale"), x -> x.to(ScalarType.Half))), "F16", "F32");
        assertRefused(latents, t -> t.remove(norm), norm, "missing");
        assertRefused(latents, t -> t.put("more", t.get(norm)), "more", "config.json");
        assertRefused(latents, t -> t.put(norm, changed(t.get(norm), x -> x.div(new Scalar(0.0)))), norm, "infinite");
        assertRefused(latents, t -> t.put(MAP, changed(t.get(MAP), x -> x.mul(new Scalar(1.2)))), MAP, "codes");
        assertRefused("model.safetensors", t -> t.put(MAP, changed(t.get(MAP), x -> x.mul(new Scalar(1.01)))), MAP, "checkpoint");
    }

    @Test
    void dynamicScalesMustBeThoseOfTheLatents() {
        try (QuantisedModel model = TinyModel.quantise(original, TinyModel.roundToNearest(3))) {
            model.scaleMode(ScaleMode.STATIC);
            Scope.run(() -> model.latents().get(MAP).mul_(new Scalar(1.1)));
            ModelDirectory.save(model, saved, ScalarType.Float, source, Provenance.UNKNOWN);
        }
        ModelDirectory.load(saved).close();
        Path description = saved.resolve("quantization/quantization.json");
        edit(description, "\"static\"", "\"dynamic\"");
        assertThatThrownBy(() -> ModelDirectory.load(saved)).isInstanceOf(Failure.class).hasMessageContainingAll(MAP + ".scale", "inconsistent");
    }

    private static void edit(Path file, String from, String to) {
        try {
            String text = Files.readString(file);
            assertThat(text).contains(from);
            Files.writeString(file, text.replace(from, to));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "\"format_version\" : 3 | \"format_version\" : 4 | format_version is `4`",
                "\"bits\" : 3 | \"bits\" : 30 | expected 2 to 8",
                "\"bits\" : 3 | \"bits\" : 4 | inconsistent",
                "\"group_size\" : 16 | \"group_size\" : 32 | inconsistent",
                "\"group_size\" : 16 | \"group_size\" : 24 | 24",
                "\"symmetric\" : false | \"symmetric\" : true | inconsistent",
                "\"name\" : \"gptq\" | \"name\" : \"magic\" | magic",
                "\"mask_rule\" : \"half_step\" | \"mask_rule\" : null | quantization.json",
                "\"mask_rule\" | \"extra\" : 1, \"mask_rule\" | extra",
                "\"model.layers.0.mlp.up_proj.weight\" | \"model.norm.weight\" | model.norm.weight",
                "\"model.layers.0.mlp.up_proj.weight\" | \"model.layers.0.mlp.down_proj.weight\" | each once",
            })
    void badDescriptionsAreRefused(String from, String to, String words) {
        Path description = good.resolve("quantization/quantization.json");
        byte[] repaired = bytes(description);
        edit(description, from, to);
        assertRefused(description, repaired, words);
    }

    @ParameterizedTest
    @ValueSource(strings = {"quantization/quantization.json", "quantization/codes.safetensors", "quantization/latents.safetensors", "model.safetensors"})
    void missingFilesAreNamed(String file) throws IOException {
        Path missing = good.resolve(file);
        byte[] repaired = bytes(missing);
        Files.delete(missing);
        assertRefused(missing, repaired, missing.getFileName().toString());
    }
}
