package rqat.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.data.TokenSequence;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

class TrainerTest {

    /// Gradient of cross-entropy by one padded batch, all logits and autograd.
    private static float[] reference(ModelConfig config, Student student, List<TokenSequence> sequences) {
        student.zeroGradients();
        Scope.run(() -> {
            var batch = new MicroBatch(sequences);
            var decoder = new Decoder(config, student.weights());
            var logits = decoder.logits(decoder.hidden(batch.ids(Place.cpu(ScalarType.Long)))).view(-1, config.vocabularySize());
            var logProbabilities = logits.index_select(0, batch.lossRows(Place.cpu(ScalarType.Long))).log_softmax(-1);
            logProbabilities.gather(1, batch.targets(Place.cpu(ScalarType.Long)).unsqueeze(1)).mean().neg().backward();
        });
        return Tensors.floats(student.gradient());
    }

    private static float[] gradient(Student student, List<TokenSequence> sequences, int microBatch, int chunk) {
        student.zeroGradients();
        new SftObjective(_ -> sequences, microBatch, chunk).accumulate(student, 0);
        return Tensors.floats(student.gradient());
    }

    private static void assertClose(float[] actual, float[] expected, double relative) {
        double error = 0, size = 0;
        for (int i = 0; i < expected.length; i++) {
            error += Math.pow(actual[i] - expected[i], 2);
            size += Math.pow(expected[i], 2);
        }
        assertThat(Math.sqrt(error / size)).isLessThan(relative);
        assertThat(size).isPositive();
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void gradientDependsNeitherOnMicroBatchNorChunkNorRowOrderNorCheckpointing(boolean tied) {
        var config = Toy.config(tied);
        var latents = Toy.latents(config, 1);
        var sequences = Toy.sequences(9, config.vocabularySize(), 2);
        try (var student = new Student(config, latents, Toy.options(ScalarType.Float));
                var checkpointed = new Student(config, latents, new Student.Options(ScalarType.Float, true, java.util.Set.of()))) {
            float[] expected = reference(config, student, sequences);
            int rows = new MicroBatch(sequences).lossTokens();
            for (int microBatch : new int[] {1, 2, 4, 9}) {
                for (int chunk : new int[] {1, 7, rows, rows + 1}) {
                    assertClose(gradient(student, sequences, microBatch, chunk), expected, 1e-6);
                }
                assertClose(gradient(checkpointed, sequences, microBatch, 64), expected, 1e-6);
            }
            for (int i = 0; i < 5; i++) {
                var shuffled = new ArrayList<>(sequences);
                Collections.shuffle(shuffled, new Random(i));
                assertClose(gradient(student, shuffled, 4, 64), expected, 1e-6);
            }
        }
        Toy.close(latents);
    }

    @Test
    void bfloat16GradientsAreSummedInFloat32() {
        var config = Toy.config(true);
        var latents = Toy.latents(config, 1);
        var sequences = Toy.sequences(9, config.vocabularySize(), 2);
        try (var narrow = new Student(config, latents, Toy.options(ScalarType.BFloat16));
                var wide = new Student(config, latents, Toy.options(ScalarType.Float))) {
            float[] expected = gradient(wide, sequences, 1, 64);
            assertClose(gradient(narrow, sequences, 1, 64), expected, 0.05);
            assertThat(Tensors.type(narrow.gradient())).isEqualTo(ScalarType.Float);
        }
        Toy.close(latents);
    }

    @Test
    void learnsOneBatchByHeart() {
        var config = Toy.config(true);
        var latents = Toy.latents(config, 3);
        var sequences = List.of(
                TokenSequence.all(new int[] {1, 2, 3, 4, 5, 6, 7, 8}), TokenSequence.all(new int[] {9, 7, 5, 3, 1, 2, 4}));
        var losses = new ArrayList<Double>();
        try (var student = new Student(config, latents, Toy.options(ScalarType.Float));
                var adam = new Adam(Adam.Settings.DEFAULT, List.of(new Adam.Group(1e-2, student.parameters())))) {
            new Trainer(student, new SftObjective(_ -> sequences, 2, 64), adam, new Schedule(5, 100, 0), 1)
                    .run(0, (_, line) -> losses.add(line.get("loss").doubleValue()));
        }
        assertThat(losses).hasSize(100);
        assertThat(losses.getFirst()).isGreaterThan(3);
        assertThat(losses.getLast()).isLessThan(0.02);
        Toy.close(latents);
    }

    @Test
    void memoryIsFlat() {
        var config = Toy.config(true);
        var latents = Toy.latents(config, 3);
        var sequences = Toy.sequences(4, config.vocabularySize(), 2);
        var counts = new ArrayList<Long>();
        try (var student = new Student(config, latents, new Student.Options(ScalarType.BFloat16, true, java.util.Set.of()));
                var adam = new Adam(Adam.Settings.DEFAULT, List.of(new Adam.Group(1e-3, student.parameters())))) {
            new Trainer(student, new SftObjective(_ -> sequences, 2, 8), adam, new Schedule(0, 4, 0), 1)
                    .run(0, (_, _) -> counts.add(Pointer.totalCount()));
        }
        assertThat(counts).hasSize(4);
        assertThat(counts.subList(1, 4)).containsOnly(counts.getFirst());
        Toy.close(latents);
    }

    @Test
    void stopsAfterThreeStepsThatAreNotFinite() {
        var config = Toy.config(true);
        var latents = Toy.latents(config, 3);
        float[] before = Tensors.floats(latents.get(ModelConfig.EMBEDDING));
        try (var student = new Student(config, latents, Toy.options(ScalarType.Float));
                var adam = new Adam(Adam.Settings.DEFAULT, List.of(new Adam.Group(1e-2, student.parameters())))) {
            Objective broken = (trained, step) -> {
                trained.gradient().fill_(new org.bytedeco.pytorch.Scalar(Double.NaN));
                return new StepReport(1, 1, new LinkedHashMap<>());
            };
            var trainer = new Trainer(student, broken, adam, new Schedule(0, 10, 0), 1);
            assertThatThrownBy(() -> trainer.run(0, (_, _) -> {}))
                    .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.GATE))
                    .hasMessageContaining("step 2");
            assertThat(Tensors.floats(latents.get(ModelConfig.EMBEDDING))).isEqualTo(before);
        }
        Toy.close(latents);
    }

    @Test
    void scheduleWarmsUpAndDecays() {
        var schedule = new Schedule(3, 103, 0.1);
        assertThat(schedule.factor(0)).isEqualTo(0.25);
        assertThat(schedule.factor(3)).isEqualTo(1);
        assertThat(schedule.factor(53)).isCloseTo(0.55, within(1e-12));
        assertThat(schedule.factor(103)).isCloseTo(0.1, within(1e-12));
        assertThat(schedule.factor(1000)).isCloseTo(0.1, within(1e-12));
    }
}
