package rqat.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import rqat.Failure;
import rqat.quant.Method;
import rqat.run.Metrics;
import rqat.run.Progress;
import rqat.tensor.Torch;

/// On-policy distillation as a stage, on the embedded model.
class ReinforceTest {
    private static final Path EMBEDDED = Path.of("models/embedded");
    private static final Session SESSION = new Session(1, Torch.Compute.FLOAT32, 1, 1, Progress.silent());

    @TempDir
    private Path folder;

    private RunSettings settings(String... sets) throws IOException {
        Path recipe = folder.resolve("recipe.yaml");
        Files.writeString(recipe, """
                quantise: {bits: 2, calibration: 4, flatquant: {epochs: 1}}
                grpo:
                  objective: distillation
                  problems: 50
                  prompts: 2
                  group_size: 2
                  max_new_tokens: 24
                  cold_start_prompts: 2
                  optimisation: {steps: 5, warm_up: 0, transform_learning_rate: 1e-4, clip_learning_rate: 1e-4, checkpoint_every: 2}
                """);
        return RunSettings.load(recipe, List.of(sets)).value();
    }

    private Path quantised(Method.Name method) throws IOException {
        return Quantize.run(SESSION, settings().quantise().of(method), EMBEDDED, folder.resolve(method.toString()));
    }

    /// Weights alone, and activations, keys and values with transforms that are trained too.
    @ParameterizedTest
    @Tag("slow")
    @EnumSource(value = Method.Name.class, names = {"RTN", "FLATQUANT"})
    void interruptedAndResumedEndsWithTheSameBytes(Method.Name method) throws Exception {
        Path model = quantised(method);
        Reinforce.Settings grpo = settings().grpo();
        Path whole = Reinforce.run(SESSION, grpo, model, EMBEDDED, false, folder.resolve("whole"));

        Path out = folder.resolve("interrupted");
        var worker = new CompletableFuture<Thread>();
        var run = CompletableFuture.runAsync(() -> {
            worker.complete(Thread.currentThread());
            Reinforce.run(SESSION, grpo, model, EMBEDDED, false, out);
        }, task -> Thread.ofPlatform().start(task));
        Path metrics = folder.resolve("interrupted.partial/metrics.jsonl");
        while (!run.isDone() && !(Files.exists(metrics) && Files.size(metrics) > 0)) Thread.sleep(1);
        worker.join().interrupt();
        assertThatThrownBy(run::join)
                .isInstanceOf(CompletionException.class)
                .cause()
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.INTERRUPTED));
        Reinforce.run(SESSION, grpo, model, EMBEDDED, false, out);

        for (String file : List.of("model.safetensors", "quantization/latents.safetensors", "completions.jsonl")) {
            assertThat(Files.mismatch(whole.resolve(file), out.resolve(file))).as(file).isEqualTo(-1);
        }
        assertThat(values(out)).isEqualTo(values(whole)).hasSize(5);
        assertThat(Files.mismatch(model.resolve("quantization/latents.safetensors"), out.resolve("quantization/latents.safetensors"))).isNotEqualTo(-1);
    }

    private static List<Object> values(Path stage) {
        return Metrics.read(stage.resolve("metrics.jsonl")).stream().map(row -> (Object) row.values()).toList();
    }

    @Test
    void aStudentWithoutRewardsIsDistilledWhereReinforcementIsStopped() throws IOException {
        Path model = quantised(Method.Name.RTN);
        Reinforce.Settings rewards = settings("grpo.objective=grpo").grpo();
        assertThatThrownBy(() -> Reinforce.run(SESSION, rewards, model, null, false, folder.resolve("grpo")))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.GATE))
                .hasMessageContaining("cold-start gate");
        assertThat(folder.resolve("grpo")).doesNotExist();

        Path distilled = Reinforce.run(
                SESSION, settings("grpo.optimisation.steps=2", "grpo.group_size=1").grpo(), model, EMBEDDED, false, folder.resolve("distilled"));
        assertThat(Metrics.read(distilled.resolve("metrics.jsonl"))).hasSize(2).allSatisfy(row -> {
            assertThat(row.values().get("reward/mean").doubleValue()).isZero();
            assertThat(row.values().get("loss").doubleValue()).isPositive();
            assertThat(row.values()).containsKeys("length/mean", "entropy");
        });
        assertThat(distilled.resolve("cold-start.json")).doesNotExist();
    }
}
