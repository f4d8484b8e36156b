package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import rqat.Fixtures;
import rqat.format.Provenance;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.tensor.Tensors;

/// Checkpoints of all families that the reference implementation wrote: quantised, saved, loaded.
class QuantisedModelFixtureTest {
    @TempDir
    Path directory;

    @TestFactory
    Stream<DynamicTest> everyFamily() throws IOException {
        try (var paths = Files.list(Fixtures.path("models"))) {
            List<Path> models = paths.filter(path -> Files.exists(path.resolve("config.json"))).sorted().toList();
            assertThat(models).isNotEmpty();
            return models.stream().map(path -> DynamicTest.dynamicTest(path.getFileName().toString(), () -> check(path)));
        }
    }

    private void check(Path source) {
        Method gptq = new Gptq(new GridSpec(3, 0, false, ScaleType.FLOAT16), ClipSearch.NONE, true, true, 0.01);
        try (QuantisedModel model = ModelDirectory.load(source)) {
            assertThat(model.grids()).isEmpty();
            try (QuantisedModel quantised = Quantiser.quantise(
                    model, gptq, TinyModel.windows(model.config(), 8, 3), ScalarType.Float, step -> assertThat(step.relativeError()).isLessThan(0.2))) {
                Path saved = directory.resolve(source.getFileName());
                ModelDirectory.save(quantised, saved, ScalarType.BFloat16, source, Provenance.UNKNOWN);
                assertThat(saved.resolve("tokenizer.json")).hasSameBinaryContentAs(source.resolve("tokenizer.json"));
                try (QuantisedModel read = ModelDirectory.load(saved)) {
                    assertThat(read.grids().keySet()).containsExactlyElementsOf(quantised.grids().keySet());
                    read.latents().forEach((name, latent) ->
                            assertThat(Tensors.floats(latent)).isEqualTo(Tensors.floats(quantised.latents().get(name))));
                }
            }
        }
    }
}
