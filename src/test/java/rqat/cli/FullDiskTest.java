package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Commands that write where there is no room: one message, exit code 1, and nothing half-written.
@Tag("slow")
class FullDiskTest {
    private static final int FAILED = 1;

    @TempDir
    Path directory;

    private Cli run(ProcessBuilder builder) throws IOException, InterruptedException {
        Path out = directory.resolve("standard-output");
        Path err = directory.resolve("standard-error");
        if (builder.redirectOutput() == ProcessBuilder.Redirect.PIPE) builder.redirectOutput(out.toFile());
        Process process = builder.redirectError(err.toFile()).start();
        assertThat(process.waitFor(5, TimeUnit.MINUTES)).isTrue();
        return new Cli(process.exitValue(), Files.exists(out) ? Files.readString(out) : "", Files.readString(err));
    }

    @Test
    void aResultThatCannotBePrintedFailsTheCommand() throws IOException, InterruptedException {
        Path full = Path.of("/dev/full");
        Assumptions.assumeTrue(Files.exists(full), "no /dev/full");
        Path lines = Files.writeString(directory.resolve("a.jsonl"), "{\"text\": \"a\"}\n");
        run(Cli.process(directory, "tokenize", "embedded", lines.toString()).redirectOutput(full.toFile()))
                .refused(FAILED, "cannot write to standard output");
    }

    /// A command in a process that alone sees a file system of this many KiB at `disk`, without being root.
    private ProcessBuilder onSmallDisk(int kibibytes, String... arguments) throws IOException {
        Path disk = Files.createDirectories(directory.resolve("disk"));
        ProcessBuilder builder = Cli.process(directory, arguments);
        String script = "mount -t tmpfs -o size=%dk tmpfs '%s' || exit 99; \"$@\"; code=$?; find '%s' -mindepth 1 >&3; exit $code"
                .formatted(kibibytes, disk, disk);
        var command = new ArrayList<>(List.of("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "exec 3>content; " + script, "sh"));
        command.addAll(builder.command());
        return builder.command(command);
    }

    private static void needsUserNamespaces() throws InterruptedException {
        boolean possible;
        try {
            possible = new ProcessBuilder("unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
                    .redirectErrorStream(true)
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .start()
                    .waitFor() == 0;
        } catch (IOException e) {
            possible = false;
        }
        Assumptions.assumeTrue(possible, "this machine does not let users mount a small file system of their own");
    }

    /// The quantised embedded model takes about 9 MB: checkpoint, codes, latents.
    @Test
    void aStageThatDoesNotFitLeavesNothing() throws IOException, InterruptedException {
        needsUserNamespaces();
        for (int kibibytes : new int[] {4, 1000, 5000}) {
            run(onSmallDisk(kibibytes, "quantize", "embedded", directory.resolve("disk/out").toString(), "--method", "rtn"))
                    .failed(FAILED, "disk", "free some space or choose another directory");
            assertThat(Files.readString(directory.resolve("content"), StandardCharsets.UTF_8)).as("left on the disk").isEmpty();
        }
    }

    @Test
    void aRunThatDoesNotFitSaysSoOnceAndKeepsOnlyWhatIsComplete() throws IOException, InterruptedException {
        needsUserNamespaces();
        Path recipe = Files.writeString(directory.resolve("r.yaml"), """
                rows: [rtn, rtn+kd]
                jobs: 2
                kd: {problems: 64, batch: 8, optimisation: {steps: 4, warm_up: 1, micro_batch: 8, checkpoint_every: 1}}
                evaluate: {problems: 2, seeds: [42], tasks: [easy]}
                """);
        run(onSmallDisk(14_000, "run", recipe.toString(), "--out", directory.resolve("disk/run").toString()))
                .failed(FAILED, "disk", "free some space or choose another directory");
        assertThat(Files.readString(directory.resolve("content")).lines())
                .contains(directory.resolve("disk/run/stages/rtn/stage.json").toString())
                .noneMatch(path -> path.endsWith(".tmp"));
    }
}
