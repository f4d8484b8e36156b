package rqat.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Fixtures;
import rqat.data.TokenSequence;
import rqat.format.Provenance;
import rqat.format.ActivationSpec;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.quant.ActivationSites;
import rqat.quant.FlatQuant;
import rqat.quant.FlatQuant;
import rqat.quant.FlatTransforms;
import rqat.quant.LoadedModel;
import rqat.quant.ModelDirectory;
import rqat.quant.QuantisedModel;
import rqat.quant.Quantiser;
import rqat.run.RandomStream;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// FlatQuant models of all families in training: they begin as the compressed model, gradients reach everything, and what is saved is what
/// was trained.
class FlatQuantStudentFixtureTest {
    @TempDir
    Path directory;

    private static FlatQuant method() {
        var activations = new ActivationSpec(4, false, 1);
        return new FlatQuant(new GridSpec(4, 0, true, ScaleType.FLOAT32), activations, activations, 2, 1, 4, 5e-3, 5e-2, 0.01);
    }

    private static QuantisedModel quantised(Path source) {
        try (QuantisedModel full = ModelDirectory.load(source)) {
            int[][] windows = new int[4][];
            for (int i = 0; i < windows.length; i++) windows[i] = ids(full.config(), 20, i);
            return Quantiser.quantise(full, method(), windows, _ -> {});
        }
    }

    private static int[] ids(ModelConfig config, int length, long seed) {
        var random = new RandomStream(seed);
        int[] ids = new int[length];
        for (int i = 0; i < length; i++) ids[i] = random.nextInt(config.vocabularySize());
        return ids;
    }

    private static Path source(String family) {
        return Fixtures.path("models").resolve(family);
    }

    private static Student student(QuantisedModel model, boolean checkpoint, Set<String> frozen) {
        return new Student(model, new Student.Options(ScalarType.Float, checkpoint, frozen));
    }

    @ParameterizedTest
    @ValueSource(strings = {"qwen2", "qwen3", "llama"})
    void beginsAsTheCompressedModelAndIsSavedAsItEnds(String family) {
        Path source = source(family), saved = directory.resolve(family);
        try (QuantisedModel model = quantised(source)) {
            Tensor ids = Scope.own(() -> Cpu.of(ids(model.config(), 30, 9), 1, 30));
            Weights weights = model.weights(ScalarType.Float);
            Tensor compressed = Scope.own(() -> Grad.off(() -> new Decoder(model.config(), weights, model.sites()).hidden(ids)));
            try (Student student = student(model, false, Set.of())) {
                Tensor first = Scope.own(() -> Grad.off(() -> student.decoder().hidden(ids)));
                assertThat(first.equal(compressed)).isTrue();
                List<TokenSequence> sequences = List.of(TokenSequence.all(ids(model.config(), 25, 1)), TokenSequence.all(ids(model.config(), 18, 2)));
                var groups = List.of(
                        new Adam.Group(1e-4, student.parameters()),
                        new Adam.Group(1e-3, student.transforms()),
                        new Adam.Group(1e-2, student.clips()));
                Map<String, Tensor> before = new LinkedHashMap<>();
                student.trained().forEach(parameter -> before.put(parameter.name(), Scope.own(() -> parameter.value().clone())));
                assertThat(student.transforms()).hasSize(12 * model.config().layers());
                assertThat(student.clips()).hasSize(26 * model.config().layers());
                List<Double> losses = new ArrayList<>();
                try (Adam adam = new Adam(Adam.Settings.DEFAULT, groups)) {
                    var objective = new SftObjective(_ -> sequences, 1, 16);
                    new Trainer(student, objective, adam, new Schedule(0, 12, 0.1), 1)
                            .run(0, (_, metrics) -> {
                                losses.add(metrics.get("loss").doubleValue());
                                assertThat(metrics).containsKey("quant/code_flip_total").doesNotContainKey("quant/saturated");
                            });
                }
                assertThat(losses.getLast()).isLessThan(losses.getFirst());
                student.trained().forEach(parameter ->
                        assertThat(parameter.value().equal(before.get(parameter.name()))).as(parameter.name()).isFalse());
                Tensor trained = Scope.own(() -> Grad.off(() -> student.decoder().hidden(ids)));
                assertThat(trained.equal(first)).isFalse();
                ModelDirectory.save(model, saved, source, Provenance.UNKNOWN);
                try (QuantisedModel read = ModelDirectory.load(saved);
                        Student again = student(read, false, Set.of());
                        LoadedModel served = LoadedModel.open(saved)) {
                    Scope.run(() -> {
                        assertThat(Grad.off(() -> again.decoder().hidden(ids)).equal(trained)).isTrue();
                        Tensor difference = Grad.off(() -> served.decoder().logits(served.decoder().hidden(ids)))
                                .sub(Grad.off(() -> again.decoder().logits(trained)));
                        // Served in float64, trained in float32: the same model, but for values that lie on a rounding boundary.
                        assertThat(Tensors.item(difference.abs().median())).isLessThan(1e-3);
                    });
                }
                trained.close();
                first.close();
                before.values().forEach(Tensor::close);
            }
            weights.all().values().forEach(Tensor::close);
            compressed.close();
            ids.close();
        }
    }

    /// The gradient that comes back in two steps, once a step over several micro-batches, is that of automatic differentiation through the
    /// whole model at once; with and without recomputation of blocks.
    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void gradientsAreThoseOfTheWholeGraph(boolean checkpoint) {
        try (QuantisedModel model = quantised(source("qwen2"));
                Student student = student(model, checkpoint, Set.of())) {
            ModelConfig config = model.config();
            Tensor ids = Scope.own(() -> Cpu.of(ids(config, 24, 5), 2, 12));
            Tensor upstream = Scope.own(() -> {
                var random = new RandomStream(8);
                float[] values = new float[24 * config.hiddenSize()];
                for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
                return Cpu.of(values, 2, 12, config.hiddenSize());
            });
            student.zeroGradients();
            for (int row = 0; row < 2; row++) {
                int index = row;
                Scope.run(() -> student.forward(ids.narrow(0, index, 1)).backward(upstream.narrow(0, index, 1)));
            }
            student.gradients();

            Scope.run(() -> {
                var leaves = new LinkedHashMap<String, Tensor>();
                model.latents().forEach((name, tensor) -> leaves.put(name, tensor.detach().requires_grad_(true)));
                model.transforms().parameters().forEach((name, tensor) -> leaves.put(name, tensor.detach().requires_grad_(true)));
                var flat = method().transforms(config);
                Grad.on(() -> {
                    var weights = new LinkedHashMap<>(leaves);
                    var sites = new LinkedHashMap<String, Tensor>();
                    for (int layer = 0; layer < config.layers(); layer++) {
                        weights.putAll(flat.unrounded(layer, leaves));
                        for (var linear : rqat.model.Linear.values()) {
                            weights.compute(linear.weight(layer), (_, weight) -> flat.rounded(linear, weight));
                        }
                        sites.putAll(flat.sites(layer, leaves));
                    }
                    Tensor hidden = new Decoder(config, new Weights(weights), new ActivationSites(config, model.sites().format(), sites)).hidden(ids);
                    hidden.mul(upstream).sum().backward();
                    return hidden;
                });
                var seen = new HashSet<String>();
                for (Parameter parameter : student.trained()) {
                    if (parameter.name().equals(config.head())) continue; // not part of the blocks
                    Tensor expected = leaves.get(parameter.name()).grad();
                    double size = Tensors.item(expected.norm());
                    double difference = Tensors.item(expected.sub(parameter.gradient()).norm());
                    assertThat(difference).as(parameter.name()).isCloseTo(0, within(1e-3 * size + 1e-7));
                    seen.add(parameter.name());
                }
                assertThat(seen).hasSizeGreaterThan(80);
            });
            ids.close();
            upstream.close();
        }
    }

    @Test
    void frozenTransformsStayAndWeightsMove() {
        try (QuantisedModel model = quantised(source("llama"))) {
            var frozen = Set.copyOf(model.transforms().parameters().keySet());
            try (Student student = student(model, false, frozen)) {
                assertThat(student.transforms()).isEmpty();
                assertThat(student.clips()).isEmpty();
                Scope.run(() -> {
                    Tensor ids = Cpu.of(ids(model.config(), 12, 5), 1, 12);
                    student.zeroGradients();
                    ForwardPass pass = student.forward(ids);
                    pass.backward(org.bytedeco.pytorch.global.torch.ones_like(pass.hidden()));
                    student.gradients();
                    assertThat(Tensors.item(student.gradient().abs().max())).isPositive();
                });
            }
        }
    }
}
