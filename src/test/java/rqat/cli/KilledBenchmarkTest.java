package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.run.RandomStream;

/// A benchmark through the command line, killed with SIGKILL at ten random moments and resumed each time: the same bytes as one that was left
/// alone, and no finished sample is lost. `-Drqat.kills.seed=N` draws other moments.
@Tag("slow")
class KilledBenchmarkTest {
    private static final int KILLS = 10;

    @TempDir
    Path directory;

    private Process start(String out) throws IOException {
        return Cli.process(directory, "eval", "embedded", "--out", out, "--tasks", "hard,choice,easy", "--set", "evaluate.problems=60",
                        "--set", "evaluate.seeds=[42,43]", "--set", "evaluate.batch=8", "--set", "threads=1")
                .redirectOutput(directory.resolve(out + ".out").toFile())
                .redirectError(ProcessBuilder.Redirect.appendTo(directory.resolve(out + ".err").toFile()))
                .start();
    }

    private void finishes(Process process, String out) throws IOException, InterruptedException {
        assertThat(process.waitFor(5, TimeUnit.MINUTES)).isTrue();
        assertThat(process.exitValue()).as(Files.readString(directory.resolve(out + ".err"))).isZero();
    }

    @Test
    void endsAsIfUntouched() throws IOException, InterruptedException {
        finishes(start("whole"), "whole");
        int all = samples("whole");
        assertThat(all).isEqualTo(2 * 2 * 60 + 60);

        long seed = Long.getLong("rqat.kills.seed", 1);
        var random = new RandomStream(seed);
        int[] moments = IntStream.generate(() -> random.nextInt(all * 9 / 10)).limit(KILLS).sorted().toArray();
        System.out.printf("seed %d: killed after %s of %d samples%n", seed, Arrays.toString(moments), all);
        int kept = 0;
        for (int moment : moments) {
            Process process = start("killed");
            while (process.isAlive() && samples("killed") < moment) Thread.sleep(2);
            process.waitFor(random.nextInt(50), TimeUnit.MILLISECONDS);
            assertThat(process.isAlive()).as("killed before its end").isTrue();
            process.destroyForcibly().waitFor();
            assertThat(samples("killed")).as("samples that were finished").isGreaterThanOrEqualTo(kept);
            kept = samples("killed");
        }
        finishes(start("killed"), "killed");

        assertThat(directory.resolve("killed.out")).hasSameTextualContentAs(directory.resolve("whole.out"));
        for (String file : List.of("samples.jsonl", "scores.json")) {
            assertThat(directory.resolve("killed").resolve(file)).hasSameBinaryContentAs(directory.resolve("whole").resolve(file));
        }
    }

    /// How many samples are on the disk whole.
    private int samples(String out) {
        return Stream.of(out, out + ".partial").map(folder -> directory.resolve(folder).resolve("units")).mapToInt(KilledBenchmarkTest::lines).sum();
    }

    private static int lines(Path folder) {
        if (!Files.isDirectory(folder)) return 0;
        try (Stream<Path> units = Files.list(folder)) {
            int lines = 0;
            for (Path unit : units.filter(path -> path.toString().endsWith(".jsonl")).toList()) {
                lines += (int) Files.readString(unit).chars().filter(c -> c == '\n').count();
            }
            return lines;
        } catch (IOException | UncheckedIOException e) {
            return 0; // the folder has just got its last name
        }
    }
}
