package rqat.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.LinkedHashMap;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import rqat.Failure;
import rqat.data.TokenSequence;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

class DistillationObjectiveTest {
    private final ModelConfig config = Toy.config(true);
    private final java.util.SequencedMap<String, Tensor> latents = Toy.latents(config, 1);
    private final java.util.SequencedMap<String, Tensor> other = Toy.latents(config, 2);
    private final List<TokenSequence> sequences = Toy.sequences(9, config.vocabularySize(), 4);

    @AfterEach
    void close() {
        Toy.close(latents);
        Toy.close(other);
    }

    private Objective distillation(java.util.SequencedMap<String, Tensor> teacher, int microBatch, double temperature) {
        return new DistillationObjective(
                _ -> sequences, microBatch, 7, new Teacher(new Decoder(config, new Weights(teacher)), new Divergence.ForwardKl(), temperature));
    }

    @Test
    void isTheMeanDivergenceOverTheWholeStep() {
        double temperature = 2;
        try (var student = new Student(config, latents, Toy.options(ScalarType.Float))) {
            double expected = Scope.get(() -> {
                var batch = new MicroBatch(sequences);
                Tensor learned = logProbabilities(student.decoder(), batch, temperature);
                Tensor target = Grad.off(() -> logProbabilities(new Decoder(config, new Weights(other)), batch, temperature));
                Tensor loss = target.exp().mul(target.sub(learned)).sum(-1).mean().mul(new org.bytedeco.pytorch.Scalar(temperature * temperature));
                loss.backward();
                return Tensors.item(loss);
            });
            float[] gradient = Tensors.floats(student.gradient());
            double size = Scope.get(() -> Tensors.item(student.gradient().norm()));
            for (int microBatch : new int[] {1, 2, 4, 9}) {
                student.zeroGradients();
                StepReport report = distillation(other, microBatch, temperature).accumulate(student, 0);
                assertThat(report.loss()).isCloseTo(expected, within(1e-6 * expected));
                assertThat(report.tokens()).isEqualTo(new MicroBatch(sequences).tokens());
                assertThat(Tensors.floats(student.gradient())).containsExactly(gradient, within((float) (1e-6 * size)));
            }
        }
    }

    private Tensor logProbabilities(Decoder decoder, MicroBatch batch, double temperature) {
        return decoder.logits(decoder.hidden(batch.ids(Place.cpu(ScalarType.Long))))
                .view(-1, config.vocabularySize())
                .index_select(0, batch.lossRows(Place.cpu(ScalarType.Long)))
                .div(new org.bytedeco.pytorch.Scalar(temperature))
                .log_softmax(-1);
    }

    @Test
    void aStudentLikeItsTeacherHasNothingToLearn() {
        try (var student = new Student(config, latents, Toy.options(ScalarType.Float))) {
            StepReport report = distillation(latents, 4, 1).accumulate(student, 0);
            assertThat(report.loss()).isCloseTo(0, within(1e-6));
            assertThat(Scope.get(() -> Tensors.item(student.gradient().abs().max()))).isLessThan(1e-6);
        }
    }

    @Test
    void vocabulariesMustMatch() {
        var wider = new ModelConfig(
                config.family(), config.vocabularySize() + 8, config.hiddenSize(), config.intermediateSize(), config.layers(), config.heads(),
                config.keyValueHeads(), config.headDimension(), config.maxPositions(), config.normEpsilon(), config.rope(), true, false, false,
                false, true);
        try (var student = new Student(config, latents, Toy.options(ScalarType.Float))) {
            var objective = new DistillationObjective(
                    _ -> sequences, 4, 7, new Teacher(new Decoder(wider, new Weights(new LinkedHashMap<>())), new Divergence.ForwardKl(), 1));
            assertThatThrownBy(() -> objective.accumulate(student, 0))
                    .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.USAGE))
                    .hasMessageContaining("50")
                    .hasMessageContaining("58");
        }
    }

    @Test
    void aStepWithoutLossTokensIsRefused() {
        var masked = List.of(new TokenSequence(new int[] {1, 2, 3}, new boolean[] {true, false, false}));
        try (var student = new Student(config, latents, Toy.options(ScalarType.Float))) {
            assertThatThrownBy(() -> new SftObjective(_ -> masked, 4, 7).accumulate(student, 3))
                    .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                    .hasMessageContaining("step 3");
        }
    }
}
