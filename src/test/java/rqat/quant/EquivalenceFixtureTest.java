package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.Fixtures;
import rqat.format.ActivationFormat;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// What scaling or rotating does to a model before anything is rounded: nothing. Checkpoints of every family.
class EquivalenceFixtureTest {
    @TestFactory
    Stream<DynamicTest> awqScales() throws IOException {
        return everyFamily(model -> {
            var scaled = new LinkedHashMap<String, Tensor>();
            model.latents().forEach((name, latent) -> scaled.put(name, latent.clone()));
            var searched = new LinkedHashMap<String, Tensor>();
            model.latents().forEach((name, latent) -> searched.put(name, latent.clone()));
            Weights exact = new Weights(model.latents());
            AwqSearch.run(model.config(), searched, exact, TinyModel.windows(model.config(), 8, 3), new GridSpec(3, 64, false, ScaleType.FLOAT32),
                    Calibration.Listener.NONE,
                    block -> block.scalings().forEach((input, scaling) -> {
                        assertThat(scaling.best()).as("a scale other than 1 for %s", input).isPositive();
                        AwqSearch.apply(model.config(), scaled, block.layer(), input, scaling.scale());
                    }));
            assertSameLogits(model, new Decoder(model.config(), new Weights(scaled)));
        });
    }

    @TestFactory
    Stream<DynamicTest> quarotRotations() throws IOException {
        return everyFamily(model -> {
            for (int shards : new int[] {1, 4}) {
                ModelRotation.Rotated rotated = ModelRotation.rotate(model.config(), model.latents(), new ActivationFormat(Map.of(), shards), 11);
                Tensor embedding = rotated.latents().get(ModelConfig.EMBEDDING);
                assertThat(QuantFixtures.relativeDifference(model.latents().get(ModelConfig.EMBEDDING), embedding)).isGreaterThan(0.1);
                assertSameLogits(model, new Decoder(rotated.config(), new Weights(rotated.latents()), rotated.sites()));
                rotated.latents().values().forEach(Tensor::close);
                rotated.sites().close();
            }
        });
    }

    private interface Check {
        void run(QuantisedModel model);
    }

    private static Stream<DynamicTest> everyFamily(Check check) throws IOException {
        try (var paths = Files.list(Fixtures.path("models"))) {
            return paths.filter(path -> Files.exists(path.resolve("config.json"))).sorted().toList().stream()
                    .map(path -> DynamicTest.dynamicTest(path.getFileName().toString(), () -> run(path, check)));
        }
    }

    private static void run(Path path, Check check) {
        try (QuantisedModel model = ModelDirectory.load(path)) {
            Grad.off(() -> Scope.run(() -> check.run(model)));
        }
    }

    private static void assertSameLogits(QuantisedModel model, Decoder other) {
        for (int[] window : TinyModel.windows(model.config(), 3, 17)) {
            Tensor ids = Cpu.of(window, 1, window.length);
            Decoder decoder = new Decoder(model.config(), new Weights(model.latents()));
            Tensor expected = decoder.logits(decoder.hidden(ids)), actual = other.logits(other.hidden(ids));
            assertThat(Tensors.item(actual.sub(expected).abs().max())).isLessThan(1e-3);
            assertThat(Tensors.item(expected.to(ScalarType.Double).std())).isGreaterThan(0.01);
        }
    }
}
