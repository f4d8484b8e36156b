package rqat.recipe;

import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// How long a stage works, over all attempts that ended in order: seconds on the clock, and seconds of processor time of its thread, which is
/// what it costs whatever runs beside it, as long as operations use one thread.
final class Stopwatch {
    private final Path file;
    private final double seconds;
    private final double processorSeconds;
    private final long start = System.nanoTime();
    private final long processorStart = processorNanos();

    private Stopwatch(Path file, double seconds, double processorSeconds) {
        this.file = file;
        this.seconds = seconds;
        this.processorSeconds = processorSeconds;
    }

    /// Goes on from what `file` says, if it is there.
    static Stopwatch resume(Path file) {
        JsonNode before = Files.isRegularFile(file) ? JsonFiles.read(file) : JsonNodeFactory.instance.objectNode();
        return new Stopwatch(file, before.path("seconds").asDouble(0), before.path("processor_seconds").asDouble(0));
    }

    /// Writes the total.
    void write() {
        boolean interrupted = Thread.interrupted(); // an interrupted thread cannot write files
        JsonFiles.write(
                file,
                JsonNodeFactory.instance.objectNode()
                        .put("seconds", seconds + (System.nanoTime() - start) * 1e-9)
                        .put("processor_seconds", processorSeconds + (processorNanos() - processorStart) * 1e-9));
        if (interrupted) Thread.currentThread().interrupt();
    }

    private static long processorNanos() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }
}
