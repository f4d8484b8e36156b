package rqat.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import rqat.Failure;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.quant.ClipSearch;
import rqat.quant.Grid;
import rqat.quant.QuantisedModel;
import rqat.quant.RoundToNearest;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

class StudentTest {
    private static final GridSpec SPEC = new GridSpec(3, 16, false, ScaleType.BFLOAT16);
    private static final String QUERY = Linear.QUERY.weight(1);

    private final ModelConfig config = Toy.config(true);
    private final SequencedMap<String, Tensor> latents = Toy.latents(config, 1);
    private SequencedMap<String, Grid> grids = new LinkedHashMap<>();

    /// Grids of all linears, clipped so that some latents lie outside.
    private Student.Quantisation quantisation(ScaleMode scaleMode, MaskRule rule) {
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Linear linear : Linear.values()) {
                String name = linear.weight(layer);
                Scope.run(() -> grids.put(name, Grid.fit(SPEC, latents.get(name).mul(new Scalar(0.7)), ClipSearch.NONE).copy()));
            }
        }
        return Student.Quantisation.weightsOnly(grids, scaleMode, rule);
    }

    @AfterEach
    void close() {
        Toy.close(latents);
        grids.values().forEach(Grid::close);
    }

    @ParameterizedTest
    @EnumSource(names = {"Float", "BFloat16"})
    void startsAtTheCompressedModelBitForBit(ScalarType compute) {
        var quantisation = quantisation(ScaleMode.STATIC, MaskRule.HALF_STEP);
        try (var student = new Student(config, latents, quantisation, Toy.options(compute))) {
            latents.forEach((name, latent) -> Scope.run(() -> {
                Tensor expected = grids.containsKey(name) ? grids.get(name).fakeQuantise(latent) : latent;
                Tensor actual = student.weights().get(name);
                assertThat(Tensors.type(actual)).isEqualTo(compute);
                assertThat(actual.equal(expected.to(compute))).as(name).isTrue();
                assertThat(actual.requires_grad()).isTrue();
            }));
        }
    }

    /// Loss by automatic differentiation through the fake quantiser: the detach trick, and the mask as a constant factor.
    @ParameterizedTest
    @EnumSource(MaskRule.class)
    void gradientsAreThoseOfTheStraightThroughEstimator(MaskRule rule) {
        var quantisation = quantisation(ScaleMode.STATIC, rule);
        var sequences = Toy.sequences(5, config.vocabularySize(), 4);
        try (var student = new Student(config, latents, quantisation, Toy.options(ScalarType.Float))) {
            new SftObjective(_ -> sequences, 2, 7).accumulate(student, 0);
            student.gradients();
            Scope.run(() -> {
                var leaves = new LinkedHashMap<String, Tensor>();
                var weights = new LinkedHashMap<String, Tensor>();
                latents.forEach((name, latent) -> {
                    Tensor leaf = latent.detach().requires_grad_(true);
                    leaves.put(name, leaf);
                    Grid grid = grids.get(name);
                    if (grid == null) {
                        weights.put(name, leaf);
                    } else {
                        Tensor passing = leaf.mul(grid.mask(latent, rule).to(ScalarType.Float));
                        weights.put(name, passing.add(grid.fakeQuantise(latent).sub(passing).detach()));
                    }
                });
                var batch = new MicroBatch(sequences);
                var decoder = new Decoder(config, new Weights(weights));
                decoder.logits(decoder.hidden(batch.ids(Place.cpu(ScalarType.Long)))).view(-1, config.vocabularySize())
                        .index_select(0, batch.lossRows(Place.cpu(ScalarType.Long)))
                        .log_softmax(-1)
                        .gather(1, batch.targets(Place.cpu(ScalarType.Long)).unsqueeze(1))
                        .mean()
                        .neg()
                        .backward();
                for (Parameter parameter : student.parameters()) {
                    assertThat(Tensors.floats(parameter.gradient()))
                            .as(parameter.name())
                            .containsExactly(Tensors.floats(leaves.get(parameter.name()).grad()), within(2e-6f));
                }
            });
            assertThat(student.codeReport().saturated()).isBetween(0.01, 0.5);
            assertThat(student.codeReport().flippedTotal()).isZero();
        }
    }

    @Test
    void oneStepAcrossABoundaryFlipsExactlyThatCode() {
        var quantisation = quantisation(ScaleMode.STATIC, MaskRule.HALF_STEP);
        try (var student = new Student(config, latents, quantisation, Toy.options(ScalarType.Float))) {
            double codes = grids.keySet().stream().mapToLong(name -> latents.get(name).numel()).sum();
            Tensor latent = latents.get(QUERY);
            Grid grid = grids.get(QUERY);
            float before = Scope.get(() -> Tensors.floats(student.weights().get(QUERY))[5]);
            Scope.run(() -> {
                Tensor first = latent.view(-1).narrow(0, 5, 1);
                double scale = Tensors.floats(grid.scale())[0];
                // From the middle of its cell up by 0.4 steps: still the same code. By another 0.2: the next one.
                long code = Tensors.longs(grid.codes(latent))[5] - Tensors.longs(grid.zero())[0];
                first.fill_(new Scalar((code + 0.4) * scale));
            });
            student.project();
            assertThat(student.codeReport().flippedStep()).isZero();
            Scope.run(() -> latent.view(-1).narrow(0, 5, 1).add_(new Scalar(0.2 * Tensors.floats(grid.scale())[0])));
            student.project();
            assertThat(student.codeReport().flippedStep()).isEqualTo(1 / codes);
            assertThat(student.codeReport().flippedTotal()).isEqualTo(1 / codes);
            float after = Scope.get(() -> Tensors.floats(student.weights().get(QUERY))[5]);
            assertThat(after - before).isCloseTo(Tensors.floats(grid.scale())[0], within(1e-6f));
            student.project();
            assertThat(student.codeReport().flippedStep()).isZero();
            assertThat(student.codeReport().flippedTotal()).isEqualTo(1 / codes);
        }
    }

    @Test
    void dynamicGridsAreThoseOfTheLatents() {
        var quantisation = quantisation(ScaleMode.DYNAMIC, MaskRule.HALF_STEP);
        try (var student = new Student(config, latents, quantisation, Toy.options(ScalarType.Float))) {
            Scope.run(() -> latents.get(QUERY).mul_(new Scalar(3.0)));
            student.project();
            Scope.run(() -> {
                Grid expected = Grid.fit(SPEC, latents.get(QUERY), ClipSearch.NONE);
                assertThat(grids.get(QUERY).scale().equal(expected.scale())).isTrue();
                assertThat(grids.get(QUERY).zero().equal(expected.zero())).isTrue();
                assertThat(student.weights().get(QUERY).equal(expected.fakeQuantise(latents.get(QUERY)))).isTrue();
            });
        }
    }

    @Test
    void learnedScalesFollowTheirClosedFormGradient() {
        var quantisation = quantisation(ScaleMode.LEARNED, MaskRule.HALF_STEP);
        var sequences = Toy.sequences(5, config.vocabularySize(), 4);
        try (var student = new Student(config, latents, quantisation, Toy.options(ScalarType.Float))) {
            assertThat(student.scales()).hasSize(grids.size());
            Parameter scale = student.scales().stream().filter(part -> part.name().equals(QUERY + ".scale")).findFirst().orElseThrow();
            new SftObjective(_ -> sequences, 2, 7).accumulate(student, 0);
            Parameter weight = student.parameters().stream().filter(part -> part.name().equals(QUERY)).findFirst().orElseThrow();
            Scope.run(() -> {
                Tensor expected = grids.get(QUERY)
                        .scaleGradient(latents.get(QUERY), weight.gradient())
                        .div(new Scalar(Math.sqrt(SPEC.groupSize() * SPEC.maximum())));
                student.gradients();
                assertThat(torch.allclose(scale.gradient(), expected, 1e-5, 0, false)).isTrue();
                assertThat(Tensors.item(expected.abs().sum())).isPositive();
                scale.value().mul_(new Scalar(1.01));
                scale.value().view(-1).narrow(0, 0, 1).fill_(new Scalar(-1.0));
                student.project();
                assertThat(grids.get(QUERY).scale().equal(Grid.roundScale(SPEC.scaleType(), scale.value()))).isTrue();
                assertThat(Tensors.item(grids.get(QUERY).scale().min())).isPositive();
            });
        }
    }

    @Test
    void frozenParametersHaveNoGradientAndTheRestIsUnchanged() {
        var sequences = Toy.sequences(5, config.vocabularySize(), 4);
        var frozen = Set.of(ModelConfig.EMBEDDING, ModelConfig.FINAL_NORM, QUERY);
        var quantisation = quantisation(ScaleMode.STATIC, MaskRule.HALF_STEP);
        try (var all = new Student(config, latents, quantisation, Toy.options(ScalarType.Float));
                var some = new Student(config, latents, quantisation, new Student.Options(ScalarType.Float, false, frozen));
                var checkpointed = new Student(config, latents, quantisation, new Student.Options(ScalarType.Float, true, frozen))) {
            for (Student student : List.of(all, some, checkpointed)) {
                new SftObjective(_ -> sequences, 2, 7).accumulate(student, 0);
                student.gradients();
            }
            assertThat(some.parameters()).hasSize(all.parameters().size() - 3);
            Scope.run(() -> {
                for (Parameter parameter : all.parameters()) {
                    for (Student student : List.of(some, checkpointed)) {
                        student.parameters().stream()
                                .filter(part -> part.name().equals(parameter.name()))
                                .forEach(part -> assertThat(torch.allclose(part.gradient(), parameter.gradient(), 1e-5, 1e-7, false))
                                        .as(part.name())
                                        .isTrue());
                    }
                }
                assertThat(some.weights().get(QUERY).equal(all.weights().get(QUERY))).isTrue();
                assertThat(some.weights().get(QUERY).requires_grad()).isFalse();
            });
        }
    }

    @Test
    void unknownFrozenNamesAndNothingToTrainAreRefused() {
        assertThatThrownBy(() -> new Student(config, latents, new Student.Options(ScalarType.Float, false, Set.of("model.norm"))))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("[model.norm]");
        assertThatThrownBy(() -> new Student(config, latents, new Student.Options(ScalarType.Float, false, latents.keySet())))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("nothing to train");
    }

    /// Step 0 is the compressed model, and what was trained is what will be saved, bit for bit.
    @ParameterizedTest
    @CsvSource({"STATIC, Float", "STATIC, BFloat16", "DYNAMIC, BFloat16", "LEARNED, BFloat16"})
    void followsTheQuantisedModelBitForBit(ScaleMode mode, ScalarType compute) {
        var quantisation = quantisation(mode, MaskRule.HALF_STEP);
        var model = new QuantisedModel(config, latents, grids, new RoundToNearest(SPEC, ClipSearch.NONE), mode, MaskRule.HALF_STEP);
        var sequences = Toy.sequences(5, config.vocabularySize(), 4);
        try (var student = new Student(config, model.latents(), quantisation, Toy.options(compute));
                var adam = new Adam(
                        Adam.Settings.DEFAULT,
                        List.of(new Adam.Group(1e-2, student.parameters()), new Adam.Group(1e-3, student.scales())))) {
            assertSame(student.weights(), model.weights(compute));
            new Trainer(student, new SftObjective(_ -> sequences, 4, 64), adam, new Schedule(0, 3, 0), 1).run(0, (_, _) -> {});
            assertThat(student.codeReport().flippedTotal()).isPositive();
            assertSame(student.weights(), model.weights(compute));
        }
    }

    private static void assertSame(Weights actual, Weights expected) {
        expected.all().forEach((name, weight) -> {
            try (weight) {
                assertThat(actual.get(name).equal(weight)).as(name).isTrue();
            }
        });
    }

    @Test
    void closesWhatItMade() {
        var quantisation = quantisation(ScaleMode.LEARNED, MaskRule.HALF_STEP);
        long before = Pointer.totalCount();
        new Student(config, latents, quantisation, Toy.options(ScalarType.BFloat16)).close();
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
        assertThat(Grad.off(() -> Tensors.floats(latents.get(QUERY)))).isNotEmpty();
    }
}
