package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.io.JsonFiles;
import rqat.run.Metrics;
import rqat.run.RandomStream;
import rqat.run.Seeds;

/// The whole workflow through the command line, killed with SIGKILL at 20 random moments and resumed each time, ends with the bytes of a
/// run that was left alone.
///
/// A moment is drawn uniformly from the time that the undisturbed run takes, and described by how far that run was by then (*marks*: stages
/// begun and finished, optimiser steps, rollouts, evaluation units) and how long it had been there. A process is killed when it has come as
/// far, so the kills are spread over the whole run however often work is repeated and however busy the machine is. Every fifth kill
/// waits for the next checkpoint to be in the middle of being written.
///
/// `-Drqat.kills.seed=N` draws other moments, `-Drqat.kills=N` as many.
@Tag("slow")
class KilledWorkflowTest {
    private static final int KILLS = Integer.getInteger("rqat.kills", 20);
    private static final int ROLLOUTS = 16;
    private static final Set<String> TELL_TIMES = Set.of("manifest.json", "stage.json", "report.html", "events.jsonl", "time.json");
    private static final String RECIPE = """
            model: embedded
            rows: [gptq, gptq+kd, gptq+kd+grpo]
            jobs: 1
            quantise: {calibration: 16}
            kd:
              problems: 200
              batch: 8
              optimisation: {steps: 12, learning_rate: 2e-4, warm_up: 1, micro_batch: 8, checkpoint_every: 3}
            grpo:
              problems: 200
              prompts: 4
              group_size: 4
              batch: 16
              cold_start_prompts: 4
              optimisation: {steps: 8, learning_rate: 1e-4, warm_up: 1, micro_batch: 16, checkpoint_every: 2}
            evaluate: {problems: 10, seeds: [42], tasks: [easy, hard]}
            """;

    @TempDir
    Path directory;

    private Process start(Path out) throws IOException {
        return Cli.process(directory, "run", "recipe.yaml", "--out", out.getFileName().toString())
                .redirectOutput(out.resolveSibling(out.getFileName() + ".out").toFile())
                .redirectError(ProcessBuilder.Redirect.appendTo(out.resolveSibling(out.getFileName() + ".err").toFile()))
                .start();
    }

    @Test
    void aRunKilledTwentyTimesEndsAsIfUntouched() throws IOException, InterruptedException {
        Files.writeString(directory.resolve("recipe.yaml"), RECIPE);
        Path whole = directory.resolve("whole");
        List<Double> timeline = timeline(start(whole), whole);

        long seed = Long.getLong("rqat.kills.seed", 1);
        var random = new RandomStream(Seeds.mix(seed, Seeds.ofString("kills")));
        // Not after the last evaluation, when a resumed process has hardly anything left to be killed at.
        double end = timeline.get(timeline.size() - 2);
        double[] moments = DoubleStream.generate(() -> random.nextDouble() * end).limit(KILLS).sorted().toArray();
        Path killed = directory.resolve("killed");
        var hits = new TreeMap<String, Integer>();
        for (int i = 0; i < KILLS; i++) {
            hits.merge(kill(killed, moments[i], i % 5 == 4, timeline), 1, Integer::sum);
        }
        Process last = start(killed);
        assertThat(last.waitFor(5, TimeUnit.MINUTES)).isTrue();
        String messages = Files.readString(directory.resolve("killed.err"));
        assertThat(last.exitValue()).as(messages).isZero();
        assertThat(messages).doesNotContain("Exception", "internal error");
        System.out.printf("seed %d: %d kills %s%n", seed, hits.values().stream().mapToInt(Integer::intValue).sum(), hits);
        assertThat(hits.getOrDefault("too late", 0)).as("runs that were through before their kill").isLessThanOrEqualTo(KILLS / 10);

        assertThat(directory.resolve("killed.out")).hasSameTextualContentAs(directory.resolve("whole.out"));
        assertSameResults(whole, killed);
        for (Path out : List.of(whole, killed)) {
            Cli check = Cli.run("check", out.toString());
            assertThat(check.code()).as(check.out() + check.err()).isZero();
        }
    }

    /// When, in seconds from the start, an undisturbed run had made its first, second, ... mark.
    private static List<Double> timeline(Process process, Path out) throws InterruptedException, IOException {
        long began = System.nanoTime();
        var times = new ArrayList<Double>();
        while (process.isAlive()) {
            Thread.sleep(10);
            double now = (System.nanoTime() - began) * 1e-9;
            for (int marks = marks(out); times.size() < marks; ) times.add(now);
        }
        assertThat(process.exitValue()).as(Files.readString(out.resolveSibling("whole.err"))).isZero();
        assertThat(times).as("marks").hasSizeGreaterThan(30);
        return times;
    }

    /// Starts the run and kills it `moment` seconds into the undisturbed one.
    ///
    /// @return what it was doing
    private String kill(Path out, double moment, boolean inCheckpoint, List<Double> timeline) throws IOException, InterruptedException {
        int mark = (int) timeline.stream().filter(time -> time <= moment).count();
        double delay = moment - (mark == 0 ? 0 : timeline.get(mark - 1));
        Process process = start(out);
        long began = System.nanoTime();
        // A process that resumes has to come to life before it goes on from where the last one was killed.
        double awake = mark == 0 ? 0 : timeline.getFirst();
        while (process.isAlive() && (marks(out) < mark || (System.nanoTime() - began) * 1e-9 < awake)) Thread.sleep(10);
        process.waitFor((long) (delay * 1e9), TimeUnit.NANOSECONDS);
        if (inCheckpoint) {
            // None is written any more once the last stage has got its name; that is a moment to be killed at, too.
            while (process.isAlive() && !writesCheckpoint(out) && !Files.exists(out.resolve("stages/gptq+kd+grpo"))) Thread.sleep(1);
        }
        boolean alive = process.isAlive();
        process.destroyForcibly().waitFor();
        return alive ? doing(out) : "too late";
    }

    /// How far a run is, as far as one can see from outside.
    private static int marks(Path out) {
        int marks = Files.exists(out.resolve("results.json")) ? 1 : 0;
        for (Path stage : stages(out)) {
            marks += stage.toString().endsWith(".partial") ? 1 : 2;
            marks += lines(stage.resolve("metrics.jsonl")) + lines(stage.resolve("completions.jsonl")) / ROLLOUTS;
            marks += (int) list(stage.resolve("units")).stream().filter(unit -> unit.getFileName().toString().matches("[^.]+\\.[^.]+\\.jsonl")).count();
        }
        return marks;
    }

    private static List<Path> stages(Path out) {
        return Stream.of("stages", "evaluations")
                .flatMap(folder -> list(out.resolve(folder)).stream())
                .filter(stage -> !stage.getFileName().toString().startsWith("."))
                .toList();
    }

    private static String doing(Path out) {
        if (writesCheckpoint(out)) return "checkpoint";
        for (Path stage : stages(out)) {
            if (!stage.toString().endsWith(".partial")) continue;
            if (stage.getParent().endsWith("evaluations")) return "evaluation";
            String name = stage.getFileName().toString().replace(".partial", "");
            if (!name.endsWith("grpo")) return name;
            if (!Files.exists(stage.resolve("cold-start.json"))) return "cold-start gate";
            return lines(stage.resolve("completions.jsonl")) / ROLLOUTS > lines(stage.resolve("metrics.jsonl")) ? "grpo update" : "rollout";
        }
        return "start or between stages";
    }

    private static boolean writesCheckpoint(Path out) {
        return list(out.resolve("stages")).stream()
                .flatMap(stage -> list(stage.resolve("checkpoints")).stream())
                .anyMatch(checkpoint -> checkpoint.toString().endsWith(".tmp"));
    }

    /// What is in a directory; nothing when it is not there, or no longer.
    private static List<Path> list(Path directory) {
        try (Stream<Path> paths = Files.list(directory)) {
            return paths.toList();
        } catch (IOException | UncheckedIOException e) {
            return List.of();
        }
    }

    private static int lines(Path file) {
        try {
            return (int) Files.readString(file).chars().filter(c -> c == '\n').count();
        } catch (IOException e) {
            return 0;
        }
    }

    /// The same files, and in them the same bytes but for times: when something happened, and the hashes of files that say so.
    private static void assertSameResults(Path whole, Path killed) throws IOException {
        assertThat(files(killed)).isEqualTo(files(whole));
        var compared = new TreeMap<String, Integer>();
        for (String name : files(whole)) {
            Path expected = whole.resolve(name);
            Path actual = killed.resolve(name);
            String file = expected.getFileName().toString();
            switch (file) {
                case "metrics.jsonl" -> assertThat(Metrics.read(actual)).as(name)
                        .extracting(Metrics.Row::step, Metrics.Row::values)
                        .isEqualTo(Metrics.read(expected).stream().map(row -> tuple(row.step(), row.values())).toList());
                // Of a run it knows files with times as well; of every other file it says what the bytes compared below say.
                case "checksums.json" -> assertThat(timelessChecksums(actual)).as(name).isEqualTo(timelessChecksums(expected)).isNotEmpty();
                default -> {
                    if (tellsTimes(file)) continue;
                    assertThat(Files.mismatch(expected, actual)).as(name).isEqualTo(-1);
                    compared.merge(file, 1, Integer::sum);
                }
            }
        }
        assertThat(compared)
                .containsKeys("results.json", "samples.jsonl", "scores.json", "model.safetensors", "codes.safetensors", "latents.safetensors")
                .containsEntry("completions.jsonl", 1);
    }

    private static boolean tellsTimes(String file) {
        return TELL_TIMES.contains(file) || file.startsWith("events.out.tfevents");
    }

    private static Map<String, String> timelessChecksums(Path file) {
        var checksums = new TreeMap<String, String>();
        JsonFiles.read(file).path("files").properties().forEach(entry -> {
            if (!tellsTimes(entry.getKey())) checksums.put(entry.getKey(), entry.getValue().path("sha256").asString());
        });
        return checksums;
    }

    private static TreeSet<String> files(Path root) throws IOException {
        try (Stream<Path> paths = Files.walk(root)) {
            var names = new TreeSet<String>();
            paths.filter(Files::isRegularFile).forEach(path -> names.add(root.relativize(path).toString()));
            return names;
        }
    }
}
