package rqat.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.data.TokenSequence;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.io.HostTensor;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.quant.ClipSearch;
import rqat.quant.Grid;
import rqat.run.Metrics;
import rqat.run.Progress;
import rqat.tensor.HostCopies;
import rqat.tensor.Scope;

class ResumableRunTest {
    private static final int STEPS = 20;

    @TempDir
    Path directory;

    private final ModelConfig config = Toy.config(true);
    private final List<TokenSequence> texts = Toy.sequences(30, config.vocabularySize(), 6);

    /// Fails at a step without warning, as if the process had been killed there; or interrupts itself.
    private record Troubled(Objective objective, long killedAt, long interruptedAt) implements Objective {
        @Override
        public StepReport accumulate(Student student, long step) {
            if (step == killedAt) throw new IllegalStateException("killed");
            if (step == interruptedAt) Thread.currentThread().interrupt();
            return objective.accumulate(student, step);
        }
    }

    private record Result(SequencedMap<String, HostTensor> state, SequencedMap<String, HostTensor> moments, List<Metrics.Row> rows) {
        List<SequencedMap<String, Double>> values() {
            return rows.stream().map(Metrics.Row::values).toList();
        }
    }

    /// One process: everything made anew from the same inputs, run until it ends or fails.
    private Result run(String folder, ScaleMode scaleMode, ScalarType compute, long killedAt, long interruptedAt) {
        var latents = Toy.latents(config, 1);
        var teacher = Toy.latents(config, 2);
        var grids = new LinkedHashMap<String, Grid>();
        var spec = new GridSpec(2, 16, false, ScaleType.BFLOAT16);
        if (scaleMode != null) {
            for (int layer = 0; layer < config.layers(); layer++) {
                for (Linear linear : Linear.values()) {
                    String name = linear.weight(layer);
                    Scope.run(() -> grids.put(name, Grid.fit(spec, latents.get(name).mul(new Scalar(0.9)), ClipSearch.NONE).copy()));
                }
            }
        }
        var quantisation = scaleMode == null
                ? Student.Quantisation.NONE
                : Student.Quantisation.weightsOnly(grids, scaleMode, MaskRule.HALF_STEP);
        Objective objective = new DistillationObjective(
                new ShuffledBatches(texts, 4, 9), 2, 16, new Teacher(new Decoder(config, new Weights(teacher)), new Divergence.ForwardKl(), 1));
        try (var student = new Student(config, latents, quantisation, Toy.options(compute));
                var adam = new Adam(
                        Adam.Settings.DEFAULT,
                        List.of(new Adam.Group(5e-3, student.parameters()), new Adam.Group(1e-3, student.scales())))) {
            Path path = Files.createDirectories(directory.resolve(folder));
            new ResumableRun(path, path.resolve("checkpoints"), 10, "test", Progress.silent())
                    .run(new Trainer(student, new Troubled(objective, killedAt, interruptedAt), adam, new Schedule(2, STEPS, 0), 1));
            var state = HostCopies.of(student.state());
            student.weights().all().forEach((name, weight) -> state.put("weight." + name, HostCopies.of(weight)));
            grids.forEach((name, grid) -> state.put("codes." + name, Scope.get(() -> HostCopies.of(grid.codes(latents.get(name))))));
            return new Result(state, HostCopies.of(adam.state()), Metrics.read(path.resolve("metrics.jsonl")));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            Toy.close(latents);
            Toy.close(teacher);
            grids.values().forEach(Grid::close);
        }
    }

    private static void assertSame(Result actual, Result expected) {
        assertThat(actual.state).isEqualTo(expected.state);
        assertThat(actual.moments).isEqualTo(expected.moments);
        assertThat(actual.values()).isEqualTo(expected.values());
        assertThat(actual.rows).extracting(Metrics.Row::step).isEqualTo(expected.rows.stream().map(Metrics.Row::step).toList());
    }

    @Test
    void killedAndResumedEndsWithTheSameBytes() {
        killedAndResumedEndsWithTheSameBytes(ScaleMode.LEARNED, ScalarType.BFloat16);
    }

    @Tag("slow")
    @ParameterizedTest
    @CsvSource({", Float", "STATIC, Float", "DYNAMIC, BFloat16", "LEARNED, Float"})
    void killedAndResumedEndsWithTheSameBytes(ScaleMode scaleMode, ScalarType compute) {
        Result whole = run("whole", scaleMode, compute, -1, -1);
        assertThat(whole.rows).hasSize(STEPS);
        assertThat(whole.values().getLast().get("loss")).isLessThan(whole.values().getFirst().get("loss"));
        if (scaleMode != null) assertThat(whole.values().getLast().get("quant/code_flip_total")).isPositive();

        assertThatThrownBy(() -> run("killed", scaleMode, compute, 12, -1)).hasMessage("killed");
        assertThat(Metrics.read(directory.resolve("killed/metrics.jsonl"))).hasSize(12);
        assertThatThrownBy(() -> run("killed", scaleMode, compute, 14, -1)).hasMessage("killed");
        assertSame(run("killed", scaleMode, compute, -1, -1), whole);
        // Once more after the end: nothing is left to do and nothing changes.
        assertSame(run("killed", scaleMode, compute, 0, -1), whole);
    }

    @Test
    void interruptedLosesNothing() {
        Result whole = run("whole", ScaleMode.STATIC, ScalarType.Float, -1, -1);
        assertThatThrownBy(() -> run("stopped", ScaleMode.STATIC, ScalarType.Float, -1, 6))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.INTERRUPTED))
                .hasMessageContaining("after step 6");
        assertThat(Thread.interrupted()).isFalse();
        // Step 6 was finished, so killing whatever would repeat it does no harm.
        assertSame(run("stopped", ScaleMode.STATIC, ScalarType.Float, 6, -1), whole);
    }

    @Test
    void aCheckpointOfAnotherModelIsRefused() {
        run("run", null, ScalarType.Float, -1, -1);
        assertThatThrownBy(() -> run("run", ScaleMode.STATIC, ScalarType.Float, -1, -1))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContaining("latents");
    }

    @Test
    void anObjectiveRemembersThroughItsState() {
        var seen = new ArrayList<String>();
        for (long killedAt : new long[] {7, -1}) {
            var latents = Toy.latents(config, 1);
            try (var student = new Student(config, latents, Toy.options(ScalarType.Float));
                    var adam = new Adam(Adam.Settings.DEFAULT, List.of(new Adam.Group(1e-3, student.parameters())))) {
                var counting = new Objective() {
                    private int calls;

                    @Override
                    public StepReport accumulate(Student trained, long step) {
                        if (step == killedAt) throw new IllegalStateException("killed");
                        calls++;
                        return new StepReport(1, 1, new LinkedHashMap<>(Map.of("calls", (double) calls)));
                    }

                    @Override
                    public tools.jackson.databind.JsonNode state() {
                        return tools.jackson.databind.json.JsonMapper.shared().createObjectNode().put("calls", calls);
                    }

                    @Override
                    public void restore(tools.jackson.databind.JsonNode state) {
                        calls = state.path("calls").asInt();
                    }
                };
                new ResumableRun(directory, directory.resolve("checkpoints"), 5, "test", Progress.silent())
                        .run(new Trainer(student, counting, adam, new Schedule(0, 10, 0), 1));
            } catch (IllegalStateException e) {
                seen.add(e.getMessage());
            } finally {
                latents.values().forEach(Tensor::close);
            }
        }
        assertThat(seen).containsExactly("killed");
        assertThat(Metrics.read(directory.resolve("metrics.jsonl")))
                .extracting(row -> row.values().get("calls"))
                .containsExactly(1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0);
    }
}
