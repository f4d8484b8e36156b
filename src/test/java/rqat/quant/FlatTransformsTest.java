package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.format.Provenance;
import rqat.format.ActivationSpec;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.model.Decoder;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;

class FlatTransformsTest {
    @TempDir
    Path directory;

    static FlatQuant method(int shards, int epochs) {
        var activations = new ActivationSpec(4, false, 1);
        return new FlatQuant(
                new GridSpec(4, 0, true, ScaleType.FLOAT32), activations, activations, shards, epochs, 4, 5e-3, 5e-2, 0.01);
    }

    @ParameterizedTest
    @CsvSource({"1536,32", "1024,32", "2560,40", "8960,80", "3072,48", "9728,76", "2240,40", "768,24", "2432,38", "128,8", "10,2", "7,1"})
    void factorsAreTheReferences(int width, int left) {
        assertThat(FlatTransforms.leftFactor(width)).isEqualTo(left);
    }

    @Test
    void initialMatricesAreOrthogonalAndRepeatable() {
        try (QuantisedModel full = TinyModel.fullPrecision(TinyModel.source(directory), 3)) {
            var flat = method(2, 1).transforms(full.config());
            Map<String, Tensor> parameters = flat.initial(Place.cpu(ScalarType.Float)), again = flat.initial(Place.cpu(ScalarType.Float));
            parameters.forEach((name, tensor) -> {
                assertThat(tensor.equal(again.get(name))).isTrue();
                if (FlatTransforms.isClip(name) || name.endsWith(".scale")) return;
                Scope.run(() -> {
                    Tensor product = tensor.transpose(-2, -1).matmul(tensor);
                    Tensor identity = org.bytedeco.pytorch.global.torch.eye(tensor.size(-1)).expand_as(product);
                    assertThat(QuantFixtures.largestDifference(product, identity)).isLessThan(1e-5);
                });
            });
            assertThat(parameters.keySet()).isEqualTo(flat.shapes().keySet());
            parameters.values().forEach(Tensor::close);
            again.values().forEach(Tensor::close);
        }
    }

    /// Nothing clipped and nothing rounded, any invertible transforms leave the model alone.
    @ParameterizedTest
    @ValueSource(ints = {1, 2})
    void transformsCancel(int shards) {
        try (QuantisedModel full = TinyModel.fullPrecision(TinyModel.source(directory), 3)) {
            FlatQuantEquivalence.check(full, shards);
        }
    }

    @Test
    void calibrationLowersTheErrorOfEveryBlock() {
        try (QuantisedModel full = TinyModel.fullPrecision(TinyModel.source(directory), 3)) {
            var flat = method(1, 12).transforms(full.config());
            Map<String, Tensor> parameters = flat.initial(Place.cpu(ScalarType.Float));
            int[][] windows = TinyModel.windows(full.config(), 12, 4);
            var calibration = method(1, 12).calibration(flat, full.latents());
            var batches = IntStream.range(0, 3)
                    .mapToObj(i -> Grad.off(() -> calibration.batch(java.util.Arrays.copyOfRange(windows, 4 * i, 4 * i + 4))))
                    .toList();
            var outputs = calibration.outputs(0, parameters, batches);
            var result = calibration.learn(0, parameters, batches, outputs, Calibration.Listener.NONE);
            assertThat(result.losses()).hasSize(36);
            assertThat(result.after()).isLessThan(0.9 * result.before());
            outputs.forEach(Tensor::close);
            batches.forEach(PackedBatch::close);
            parameters.values().forEach(Tensor::close);
        }
    }

    @Test
    void savedAndLoaded() throws IOException {
        Path source = TinyModel.source(directory.resolve("source"));
        Path saved = directory.resolve("saved");
        try (QuantisedModel full = TinyModel.fullPrecision(source, 3);
                QuantisedModel model = TinyModel.quantise(full, method(2, 1))) {
            // The latents are the original weights.
            full.latents().forEach((name, latent) -> assertThat(latent.equal(model.latents().get(name))).isTrue());
            ModelDirectory.save(model, saved, source, Provenance.UNKNOWN);
            try (QuantisedModel read = ModelDirectory.load(saved);
                    LoadedModel served = LoadedModel.open(saved)) {
                assertThat(read.transforms()).isNotNull();
                for (String name : model.latents().keySet()) {
                    Scope.run(() -> {
                        assertThat(read.projected(name).equal(model.projected(name))).as(name).isTrue();
                        assertThat(served.decoder().weights().get(name).to(ScalarType.Float).equal(read.projected(name))).as(name).isTrue();
                    });
                }
                Scope.run(() -> {
                    Tensor ids = Cpu.of(TinyModel.windows(full.config(), 1, 8)[0], 1, 17);
                    var weights = model.weights(ScalarType.Double);
                    Tensor before = Grad.off(() -> new Decoder(model.config(), weights, model.sites()).hidden(ids));
                    assertThat(Grad.off(() -> served.decoder().hidden(ids)).equal(before)).isTrue();
                    weights.all().values().forEach(Tensor::close);
                });
            }
            // Other parameters than those that made the checkpoint.
            Path file = saved.resolve("quantization/transforms.safetensors");
            byte[] bytes = Files.readAllBytes(file);
            model.transforms().parameters().values().iterator().next().mul_(new Scalar(1.5));
            model.transforms().refresh();
            Path other = directory.resolve("other");
            ModelDirectory.save(model, other, source, Provenance.UNKNOWN);
            Files.write(other.resolve("quantization/transforms.safetensors"), bytes);
            assertThatThrownBy(() -> ModelDirectory.load(other)).isInstanceOf(Failure.class).hasMessageContaining("inconsistent");
        }
    }

    @Test
    void shardsThatDoNotDivideAreRefused() {
        try (QuantisedModel full = TinyModel.fullPrecision(TinyModel.source(directory), 3)) {
            assertThatThrownBy(() -> TinyModel.quantise(full, method(8, 1))).isInstanceOf(Failure.class).hasMessageContaining("8 shards");
        }
    }
}
