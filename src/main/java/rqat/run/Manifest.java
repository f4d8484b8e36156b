package rqat.run;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `manifest.json`: all that a run depends on, and what it ran on.
public final class Manifest {

    /// The version of this program.
    public static final String VERSION = "0.2.0";

    private Manifest() {}

    /// Writes the manifest of a run.
    ///
    /// @param command what the user typed, word by word
    /// @param configuration every value in force, and where it came from
    /// @param inputs by the name under which the configuration refers to it: its hash
    /// @param seeds by purpose
    public static void write(Path file, List<String> command, Configuration.Resolved<?> configuration, Map<String, String> inputs,
            Map<String, Long> seeds) {
        ObjectNode manifest = JsonNodeFactory.instance.objectNode();
        manifest.put("rqat", VERSION);
        manifest.put("started", Instant.now().toString());
        command.forEach(manifest.putArray("command")::add);
        manifest.put("recipe", configuration.source());
        ObjectNode machine = manifest.putObject("machine");
        machine.put("java", Runtime.version().toString());
        machine.put("vm", System.getProperty("java.vm.name"));
        machine.put("os", String.join(" ", System.getProperty("os.name"), System.getProperty("os.version"), System.getProperty("os.arch")));
        machine.put("cpu", processor());
        machine.put("cores", Runtime.getRuntime().availableProcessors());
        machine.put("heap_bytes", Runtime.getRuntime().maxMemory());
        manifest.set("configuration", configuration.tree());
        configuration.origins().forEach(manifest.putObject("origins")::put);
        new TreeMap<>(inputs).forEach(manifest.putObject("inputs")::put);
        new TreeMap<>(seeds).forEach(manifest.putObject("seeds")::put);
        JsonFiles.write(file, manifest);
    }

    /// The files of a directory that count, by their path relative to it.
    static SortedMap<String, Path> files(Path directory) {
        SortedMap<String, Path> files = new TreeMap<>();
        try (Stream<Path> paths = Files.walk(directory.toRealPath())) {
            Path root = directory.toRealPath();
            for (Path path : (Iterable<Path>) paths.filter(Files::isRegularFile)::iterator) {
                String name = root.relativize(path).toString().replace('\\', '/');
                if (!name.startsWith(".") && !name.contains("/.")) {
                    files.put(name, path);
                }
            }
        } catch (UncheckedIOException e) {
            throw AtomicFiles.failure("read", directory, e.getCause());
        } catch (IOException e) {
            throw AtomicFiles.failure("read", directory, e);
        }
        return files;
    }

    private static String processor() {
        try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("model name"))
                    .map(line -> line.substring(line.indexOf(':') + 1).strip())
                    .findFirst()
                    .orElse("unknown");
        } catch (IOException | UncheckedIOException e) {
            return "unknown";
        }
    }
}
