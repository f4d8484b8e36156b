package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.format.ActivationSpec;
import rqat.format.CodedModel;
import rqat.format.CodedWeight;
import rqat.format.Description;
import rqat.format.GridSpec;
import rqat.format.Provenance;
import rqat.format.ScaleType;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;
import rqat.io.SafetensorsWriter;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.tensor.Tensors;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// What is read without libtorch is what libtorch computes with.
class CodedModelTest {
    private static final String MAP = Linear.UP.weight(0);

    @TempDir
    private Path folder;

    private Path source;
    private Path saved;

    @BeforeEach
    void prepare() {
        source = TinyModel.source(folder.resolve("source"));
        saved = folder.resolve("saved");
    }

    private static Method method(String name) {
        return switch (name) {
            case "gptq" -> TinyModel.gptq(3);
            case "gptq in 8 bits" -> TinyModel.gptq(8);
            case "rtn" -> TinyModel.roundToNearest(2);
            case "rows" -> new RoundToNearest(new GridSpec(4, 0, true, ScaleType.FLOAT16), ClipSearch.MSE);
            case "sharded" -> {
                var activations = new ActivationSpec(4, false, 1);
                yield new QuaRot(new RoundToNearest(new GridSpec(4, 0, true, ScaleType.FLOAT32), ClipSearch.NONE), activations, activations, 2, 3);
            }
            default -> throw new AssertionError(name);
        };
    }

    private QuantisedModel make(String name) {
        try (QuantisedModel original = TinyModel.fullPrecision(source, 5)) {
            return TinyModel.quantise(original, method(name));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"gptq", "gptq in 8 bits", "rtn", "rows", "sharded"})
    void weightsAreThoseOfTheGridToTheLastBit(String name) throws IOException {
        try (QuantisedModel model = make(name)) {
            ModelDirectory.save(model, saved, ScalarType.Float, source, Provenance.UNKNOWN);
            // Nobody needs them here.
            Files.delete(saved.resolve("quantization/latents.safetensors"));
            try (CodedModel coded = CodedModel.open(saved)) {
                assertThat(coded.codedNames()).containsExactlyElementsOf(model.grids().keySet());
                coded.codedNames().forEach(weight -> {
                    CodedWeight codes = coded.coded(weight);
                    codes.verify(saved);
                    assertThat(codes.spec()).isEqualTo(model.grids().get(weight).spec());
                    float[] expected = Tensors.floats(model.projected(weight));
                    float[] row = new float[codes.columns()];
                    for (int r = 0; r < codes.rows(); r++) {
                        codes.dequantise(r, row);
                        for (int c = 0; c < row.length; c++) {
                            assertThat(Float.floatToIntBits(row[c] + 0f)).isEqualTo(Float.floatToIntBits(expected[r * row.length + c] + 0f));
                        }
                    }
                });
                model.latents().keySet().forEach(tensor -> coded.value(tensor).lend(
                        values -> assertThat(values.toFloats()).isEqualTo(Tensors.floats(model.projected(tensor)))));
                assertThat(coded.activations()).isEqualTo(model.sites().format());
            }
        }
    }

    @Test
    void aFullPrecisionDirectoryHasNoCodes() {
        try (CodedModel model = CodedModel.open(Path.of("models/embedded"))) {
            assertThat(model.codedNames()).isEmpty();
            assertThat(model.description()).isNull();
            model.config().tensors().forEach((name, shape) -> assertThat(model.value(name).shape()).isEqualTo(shape));
        }
    }

    @Test
    void valuesThatAreNoneOfTheGridAreFoundWhenTheyAreRead() {
        try (QuantisedModel model = make("gptq")) {
            ModelDirectory.save(model, saved, ScalarType.Float, source, Provenance.UNKNOWN);
        }
        Path codes = saved.resolve("quantization/codes.safetensors");
        var tensors = new LinkedHashMap<String, HostTensor>();
        try (SafetensorsFile file = SafetensorsFile.open(codes)) {
            file.tensors().forEach((name, tensor) -> tensors.put(name, HostTensor.ofBytes(tensor.type(), tensor.shape(), tensor.data().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE))));
        }
        byte[] bad = tensors.get(MAP + ".codes").data().toArray(java.lang.foreign.ValueLayout.JAVA_BYTE);
        bad[33] = 8;
        tensors.put(MAP + ".codes", HostTensor.ofBytes(tensors.get(MAP + ".codes").type(), tensors.get(MAP + ".codes").shape(), bad));
        SafetensorsWriter.write(codes, tensors, Map.of());
        try (CodedModel model = CodedModel.open(saved)) {
            CodedWeight weight = model.coded(MAP);
            assertThatThrownBy(() -> weight.verify(codes))
                    .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                    .hasMessageContainingAll(MAP + ".codes", "holds 8 at [1, 1]", "values from 0 to 7");
        }
    }

    /// The file as versions 1 and 2 wrote it.
    @ParameterizedTest
    @ValueSource(strings = {"gptq", "rtn", "sharded"})
    void descriptionsOfOlderVersionsAreReadAsWhatTheyMeant(String name) throws IOException {
        Description now;
        try (QuantisedModel model = make(name)) {
            ModelDirectory.save(model, saved, ScalarType.Float, source, Provenance.UNKNOWN);
            now = Description.read(saved, ModelConfig.load(saved));
        }
        Path file = saved.resolve("quantization/quantization.json");
        var json = JsonMapper.shared();
        ObjectNode old = (ObjectNode) json.readTree(Files.readString(file));
        ObjectNode method = (ObjectNode) old.path("method").path("options").deepCopy();
        method.put("method", old.path("method").path("name").asString());
        old.set("method", method);
        old.remove("grid");
        old.remove("grids");
        old.putObject("provenance");
        for (int version : name.equals("sharded") ? new int[] {2} : new int[] {2, 1}) {
            old.put("format_version", version);
            if (version == 1) old.remove("activations");
            Files.writeString(file, old.toPrettyString());
            var told = new ByteArrayOutputStream();
            PrintStream before = System.err;
            System.setErr(new PrintStream(told, true, StandardCharsets.UTF_8));
            try {
                assertThat(Description.read(saved, ModelConfig.load(saved))).isEqualTo(now);
            } finally {
                System.setErr(before);
            }
            if (version == 2) assertThat(told.toString(StandardCharsets.UTF_8)).contains("format version 2", "read as version 3");
            ModelDirectory.load(saved).close();
        }
    }

    @Test
    void gridsMayDifferFromTensorToTensor() {
        var tensors = new LinkedHashMap<String, GridSpec>();
        ModelConfig config = ModelConfig.load(source);
        Description.maps(config).keySet().forEach(map -> tensors.put(map, new GridSpec(map.contains("mlp") ? 2 : 3, 16, map.contains("down"), ScaleType.BFLOAT16)));
        var description = new Description(
                new Description.Method("mixed", JsonMapper.shared().createObjectNode().put("any", 1)),
                rqat.format.ScaleMode.STATIC, rqat.format.MaskRule.STRICT, rqat.format.ActivationFormat.NONE, tensors, Provenance.UNKNOWN);
        description.write(saved);
        assertThat(Description.read(saved, config)).isEqualTo(description);
    }
}
