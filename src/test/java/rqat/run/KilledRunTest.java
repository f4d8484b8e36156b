package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;
import rqat.io.SafetensorsWriter;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// A little training run, killed without warning at random moments until it is through, ends as if nobody had touched it.
@Tag("slow")
class KilledRunTest {

    private static final int STEPS = 60;
    private static final JsonNode CONFIGURATION = JsonNodeFactory.instance.objectNode().put("steps", STEPS);

    /// The run: a random walk of 30,000 floats, a metric a step, a checkpoint every second step.
    public static final class Run {
        public static void main(String[] arguments) {
            StageDirectory.Work work = switch (StageDirectory.open(Path.of(arguments[0]), "walk", CONFIGURATION, Map.of())) {
                case StageDirectory.Finished _ -> null;
                case StageDirectory.Fresh(StageDirectory.Work fresh) -> fresh;
                case StageDirectory.Resumable(StageDirectory.Work resumable) -> resumable;
            };
            if (work != null) {
                walk(work);
            }
        }

        private static void walk(StageDirectory.Work work) {
            Path metricsFile = work.directory().resolve("metrics.jsonl");
            Checkpoints checkpoints = new Checkpoints(work.checkpoints());
            float[] weights = new float[30_000];
            RandomStream random = new RandomStream(Seeds.ofString("walk"));
            long begin = 0;
            var loaded = checkpoints.latest(warning -> {
                throw new AssertionError(warning);
            });
            if (loaded.isPresent()) {
                begin = loaded.get().step();
                random = new RandomStream(random.seed(), loaded.get().state().path("random").longValue());
                try (SafetensorsFile file = loaded.get().open("weights")) {
                    weights = file.tensors().get("w").toFloats();
                }
            }
            Metrics.truncateAfter(metricsFile, begin);
            System.out.println("from " + begin);
            try (Metrics metrics = Metrics.append(metricsFile)) {
                for (long step = begin + 1; step <= STEPS; step++) {
                    double sum = 0;
                    for (int i = 0; i < weights.length; i++) {
                        weights[i] += (float) (random.nextDouble() - 0.5);
                        sum += weights[i];
                    }
                    SequencedMap<String, Double> values = new LinkedHashMap<>();
                    values.put("mean", sum / weights.length);
                    metrics.write(step, values);
                    if (step % 2 == 0) {
                        metrics.force();
                        checkpoints.save(step, Map.of("weights", Map.of("w", tensor(weights))), JsonNodeFactory.instance.objectNode()
                                .put("random", random.position()));
                    }
                }
            }
            SafetensorsWriter.write(work.directory().resolve("model.safetensors"), Map.of("w", tensor(weights)), Map.of());
            work.finish();
        }

        private static HostTensor tensor(float[] weights) {
            return HostTensor.ofFloats(new long[] {weights.length}, weights);
        }
    }

    private static Process start(Path out, Path log) throws IOException {
        return new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java")
                .toString(), "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", System.getProperty("java.class.path"), Run.class.getName(),
                out.toString())
                .redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile())).start();
    }

    @Test
    void aRunKilledAgainAndAgainEndsAsIfUntouched(@TempDir Path directory) throws IOException, InterruptedException {
        Path whole = directory.resolve("whole");
        Process untouched = start(whole, directory.resolve("whole.log"));
        long began = System.nanoTime();
        assertThat(untouched.waitFor(120, TimeUnit.SECONDS)).isTrue();
        assertThat(untouched.exitValue()).as(Files.readString(directory.resolve("whole.log"))).isZero();
        long runMillis = (System.nanoTime() - began) / 1_000_000;

        Path killed = directory.resolve("killed");
        Path log = directory.resolve("killed.log");
        RandomStream random = new RandomStream(System.nanoTime());
        int kills = 0;
        for (int attempt = 0; attempt < 60 && !Files.exists(killed); attempt++) {
            Process process = start(killed, log);
            if (attempt == 0) {
                while (process.isAlive() && !Files.exists(directory.resolve("killed.partial/checkpoints/step-00000004"))) {
                    Thread.sleep(5);
                }
                process.destroyForcibly().waitFor();
                continue;
            }
            // The later attempts may take their time, so that the run ends on any machine.
            long millis = runMillis / 5 + random.nextInt((int) runMillis) * (1 + attempt / 10) / 2;
            if (!process.waitFor(millis, TimeUnit.MILLISECONDS)) {
                process.destroyForcibly().waitFor();
                kills++;
            }
        }
        String output = Files.readString(log, StandardCharsets.UTF_8);
        assertThat(killed).as(output).isDirectory();
        assertThat(output).doesNotContain("Exception", "Error");
        assertThat(kills).as("kills").isPositive();
        assertThat(output).as("attempts that went on after a checkpoint").containsPattern("from [1-9]");
        assertThat(Files.mismatch(whole.resolve("model.safetensors"), killed.resolve("model.safetensors"))).isEqualTo(-1);
        List<Metrics.Row> expected = Metrics.read(whole.resolve("metrics.jsonl"));
        List<Metrics.Row> actual = Metrics.read(killed.resolve("metrics.jsonl"));
        assertThat(actual).extracting(Metrics.Row::step).isEqualTo(expected.stream().map(Metrics.Row::step).toList()).hasSize(STEPS);
        assertThat(actual).extracting(Metrics.Row::values).isEqualTo(expected.stream().map(Metrics.Row::values).toList());
        try (var files = Files.list(killed)) {
            assertThat(files.map(path -> path.getFileName().toString()))
                    .containsExactlyInAnyOrder("metrics.jsonl", "model.safetensors", "stage.json");
        }
    }
}
