package rqat.run;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.io.SafetensorsFile;
import rqat.io.SafetensorsWriter;
import rqat.io.TensorSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// The checkpoints of a stage: `checkpoints/step-00000123/` holds some safetensors files, `state.json` and `manifest.json` with the
/// SHA-256 of each. A checkpoint appears whole, and no older one is deleted before the newer one has been read back and found intact.
public final class Checkpoints {

    private static final String PREFIX = "step-";
    private static final String MANIFEST = "manifest.json";
    private static final String STATE = "state.json";
    private static final String TENSORS = ".safetensors";

    private final Path directory;
    private final int kept;

    /// @param kept how many of the newest to keep, at least 1
    public Checkpoints(Path directory, int kept) {
        if (kept < 1) {
            throw new IllegalArgumentException("keep at least 1 checkpoint, not " + kept);
        }
        this.directory = directory;
        this.kept = kept;
    }

    /// As [#Checkpoints(Path, int)], keeping two.
    public Checkpoints(Path directory) {
        this(directory, 2);
    }

    /// An intact checkpoint. `state` is what was saved beside the tensors; the tensors are read by [#open].
    public record Loaded(long step, JsonNode state, Path directory) {
        /// The tensors saved under a name; to be closed after use.
        public SafetensorsFile open(String name) {
            return SafetensorsFile.open(directory.resolve(name + TENSORS));
        }
    }

    /// Saves a step.
    ///
    /// @param files by plain name (`weights`, `optimiser`): the tensors of one safetensors file
    /// @throws Failure of kind FAILED if it cannot be written; older checkpoints are still there then
    public void save(long step, Map<String, ? extends Map<String, ? extends TensorSource>> files, JsonNode state) {
        if (step < 0) {
            throw new IllegalArgumentException("step " + step);
        }
        Path target = directory.resolve("%s%08d".formatted(PREFIX, step));
        long bytes = files.values().stream().flatMap(tensors -> tensors.values().stream()).mapToLong(TensorSource::byteSize).sum();
        AtomicFiles.writeDirectory(target, bytes, made -> {
            ObjectNode manifest = JsonNodeFactory.instance.objectNode().put("step", step).put("rqat", Manifest.VERSION);
            ObjectNode hashes = manifest.putObject("files");
            new TreeMap<>(files).forEach((name, tensors) -> {
                requirePlain(name);
                hashes.put(name + TENSORS, SafetensorsWriter.write(made.resolve(name + TENSORS), tensors, Map.of()));
            });
            JsonFiles.write(made.resolve(STATE), state);
            hashes.put(STATE, AtomicFiles.sha256(made.resolve(STATE)));
            JsonFiles.write(made.resolve(MANIFEST), manifest);
            // One of the same step is in the way: broken, or the run ends where it resumed.
            AtomicFiles.delete(target);
        });
        verify(step, target);
        prune(step);
    }

    private static void requirePlain(String name) {
        if (!name.matches("[A-Za-z0-9_-]+")) {
            throw new IllegalArgumentException("no plain name: " + name);
        }
    }

    /// Keeps the newest up to `step`; later ones are what is left of a run that went another way.
    private void prune(long step) {
        NavigableMap<Long, Path> steps = steps();
        steps.tailMap(step, false).values().forEach(AtomicFiles::delete);
        steps.headMap(step, true).descendingMap().values().stream().skip(kept).forEach(AtomicFiles::delete);
        try (Stream<Path> content = Files.list(directory)) {
            content.filter(path -> path.getFileName().toString().startsWith("." + PREFIX)).forEach(AtomicFiles::delete);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", directory, e);
        }
    }

    /// The newest intact checkpoint, if there is any. Every broken one that is newer is reported to `warnings` in one sentence.
    public Optional<Loaded> latest(Consumer<String> warnings) {
        for (Map.Entry<Long, Path> entry : steps().descendingMap().entrySet()) {
            try {
                return Optional.of(verify(entry.getKey(), entry.getValue()));
            } catch (Failure failure) {
                warnings.accept("checkpoint of step %d is broken (%s); falling back to the one before it"
                        .formatted(entry.getKey(), failure.getMessage()));
            }
        }
        return Optional.empty();
    }

    /// What is wrong with each broken checkpoint, in one sentence, by its directory.
    ///
    /// @param intact hears of every file of the others
    public Map<Path, String> problems(Consumer<Path> intact) {
        var problems = new LinkedHashMap<Path, String>();
        steps().forEach((step, checkpoint) -> {
            try {
                verify(step, checkpoint);
                Manifest.files(checkpoint).keySet().forEach(name -> intact.accept(checkpoint.resolve(name)));
            } catch (Failure failure) {
                problems.put(checkpoint, String.valueOf(failure.getMessage()));
            }
        });
        return problems;
    }

    private NavigableMap<Long, Path> steps() {
        NavigableMap<Long, Path> steps = new TreeMap<>();
        if (!Files.isDirectory(directory)) {
            return steps;
        }
        try (Stream<Path> content = Files.list(directory)) {
            content.filter(path -> path.getFileName().toString().matches(PREFIX + "[0-9]{8,18}"))
                    .forEach(path -> steps.put(Long.parseLong(path.getFileName().toString().substring(PREFIX.length())), path));
        } catch (IOException e) {
            throw AtomicFiles.failure("read", directory, e);
        }
        return steps;
    }

    private static Loaded verify(long step, Path checkpoint) {
        JsonNode manifest = JsonFiles.read(checkpoint.resolve(MANIFEST));
        if (!manifest.path("step").isIntegralNumber() || manifest.path("step").asLong(-1) != step || !manifest.path("files").has(STATE)) {
            throw Failure.badFile("%s: expected step %d and a list of files".formatted(checkpoint.resolve(MANIFEST), step));
        }
        for (Map.Entry<String, JsonNode> entry : manifest.path("files").properties()) {
            Path file = checkpoint.resolve(entry.getKey());
            if (!entry.getKey().matches("[A-Za-z0-9_-]+\\.(json|safetensors)") || !Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
                throw Failure.badFile("%s: %s is missing".formatted(checkpoint, Failure.quote(entry.getKey())));
            }
            if (!AtomicFiles.sha256(file).equals(entry.getValue().asString(""))) {
                throw Failure.badFile("%s: its bytes are not those that were written".formatted(file));
            }
        }
        return new Loaded(step, JsonFiles.read(checkpoint.resolve(STATE)), checkpoint);
    }
}
