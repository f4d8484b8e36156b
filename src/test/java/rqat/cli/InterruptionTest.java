package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// SIGTERM stops a command soon and in order, wherever it is.
@Tag("slow")
class InterruptionTest {
    private static final int INTERRUPTED = 5;

    @TempDir
    Path directory;

    /// Starts a command, and asks it to stop once it has written `sign` and a little later.
    private Cli stopped(Path sign, String... arguments) throws IOException, InterruptedException {
        Path out = directory.resolve("standard-output");
        Path err = directory.resolve("standard-error");
        Process process = Cli.process(directory, arguments).redirectOutput(out.toFile()).redirectError(err.toFile()).start();
        while (process.isAlive() && !Files.exists(sign)) Thread.sleep(10);
        Thread.sleep(500);
        assertThat(process.isAlive()).as(Files.readString(err)).isTrue();
        process.destroy();
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).as("stopped within half a minute").isTrue();
        String messages = Files.readString(err).replaceAll("\n?rqat: stopping at the next checkpoint.*\n", "");
        return new Cli(process.exitValue(), Files.readString(out), messages);
    }

    @Test
    void calibrationStops() throws IOException, InterruptedException {
        Path out = directory.resolve("gptq");
        stopped(directory.resolve("gptq.partial/begun.json"), "quantize", "embedded", out.toString(), "--method", "gptq", "--set", "quantise.calibration=3000")
                .failed(INTERRUPTED, "interrupted", "same command");
        // Quantisation has no checkpoints, so there is nothing to keep.
        assertThat(directory.resolve("gptq.partial")).doesNotExist();
    }

    @Test
    void trainingStopsWithACheckpoint() throws IOException, InterruptedException {
        Path out = directory.resolve("sft");
        stopped(directory.resolve("sft.partial/metrics.jsonl"), "sft", "embedded", out.toString(), "--set", "sft.problems=100", "--set", "sft.batch=8",
                        "--set", "sft.optimisation.steps=5000")
                .failed(INTERRUPTED, "interrupted after step", "same command");
        assertThat(Cli.content(directory.resolve("sft.partial/checkpoints"))).anyMatch(path -> path.contains("latents.safetensors"));
    }
}
