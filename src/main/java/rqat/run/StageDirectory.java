package rqat.run;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SequencedSet;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.io.SealedJson;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// The life of a stage's output directory OUT, so that it is either absent or complete and the same command always knows what to do.
///
/// All work happens in `OUT.partial`, which carries from its first moment `begun.json`: the stage, its configuration and the hashes of
/// its inputs. [Work#finish()] adds `stage.json` (the same, and size and SHA-256 of every result), drops what only a resumed run needs
/// and renames `OUT.partial` to OUT. A lock on `.OUT.lock` beside them keeps a second process away.
///
/// Nothing that was not made by the same stage with the same configuration from the same inputs is ever continued or overwritten.
public sealed interface StageDirectory {

    /// OUT is complete; there is nothing to do. `stage` is its `stage.json`.
    record Finished(Path directory, JsonNode stage) implements StageDirectory {}

    /// There was nothing; begin.
    record Fresh(Work work) implements StageDirectory {}

    /// There is unfinished work of the same stage; go on after its last checkpoint, or begin again if it has none.
    record Resumable(Work work) implements StageDirectory {}

    /// Raised when a stage gives another result for the same settings, so that caches make it again.
    int REVISION = 2;

    String PARTIAL = ".partial";
    String BEGUN = "begun.json";
    String FINISHED = "stage.json";
    String CHECKPOINTS = "checkpoints";

    /// Finds out what is at `out`, whose last part must be a name: not empty, `.`, `..` or the root.
    ///
    /// @param configuration everything that the result depends on, see [Configuration#toTree]
    /// @param inputs by name: the hash of each input
    /// @throws Failure of kind USAGE if `out` or its unfinished work belongs to something else, with the keys that differ and what to do;
    /// of kind FAILED if another process is at work on it
    static StageDirectory open(Path out, String stage, JsonNode configuration, Map<String, String> inputs) {
        Path name = out.getFileName();
        if (name == null || Set.of("", ".", "..").contains(name.toString())) {
            throw Failure.usage("cannot make the output directory %s; give a path that ends in a name of its own".formatted(Failure.quote(out.toString())));
        }
        return open(out, identity(stage, configuration, inputs));
    }

    /// The hash of everything that a stage's result depends on, known before it is made: SHA-256 of what `stage.json` will say about it, of
    /// the version and of [#REVISION].
    static String key(String stage, JsonNode configuration, Map<String, String> inputs) {
        return key(identity(stage, configuration, inputs));
    }

    /// The key of a finished stage's directory; empty for any other directory.
    static Optional<String> key(Path directory) {
        Path file = directory.resolve(FINISHED);
        if (!Files.isRegularFile(file) || !(SealedJson.read(file) instanceof ObjectNode stage)) {
            return Optional.empty();
        }
        stage.remove("files");
        return Optional.of(key(stage));
    }

    private static String key(ObjectNode identity) {
        ObjectNode whole = identity.deepCopy();
        whole.put("revision", REVISION);
        return AtomicFiles.sha256(sorted(whole).toString());
    }

    private static JsonNode sorted(JsonNode node) {
        if (node.isObject()) {
            ObjectNode object = JsonNodeFactory.instance.objectNode();
            new TreeSet<>(node.propertyNames()).forEach(name -> object.set(name, sorted(node.get(name))));
            return object;
        }
        return node.isArray() ? JsonNodeFactory.instance.arrayNode().addAll(node.valueStream().map(StageDirectory::sorted).toList()) : node;
    }

    private static ObjectNode identity(String stage, JsonNode configuration, Map<String, String> inputs) {
        ObjectNode identity = JsonNodeFactory.instance.objectNode();
        identity.put("stage", stage);
        identity.put("rqat", Manifest.VERSION);
        identity.set("configuration", configuration);
        new TreeMap<>(inputs).forEach(identity.putObject("inputs")::put);
        return (ObjectNode) JsonFiles.normalised(identity);
    }

    private static StageDirectory open(Path out, ObjectNode identity) {
        if (isOccupied(out)) {
            return finished(out, identity);
        }
        Lock lock = Lock.acquire(out);
        try {
            if (isOccupied(out)) {
                lock.release();
                return finished(out, identity);
            }
            Path partial = out.resolveSibling(out.getFileName() + PARTIAL);
            if (!Files.exists(partial, LinkOption.NOFOLLOW_LINKS)) {
                AtomicFiles.writeDirectory(partial, directory -> JsonFiles.write(directory.resolve(BEGUN), identity));
                return new Fresh(new Work(out, partial, identity, lock));
            }
            if (Files.exists(partial.resolve(FINISHED))) {
                requireSame(identity, readIdentity(partial, FINISHED), partial);
                return new Work(out, partial, identity, lock).publish();
            }
            requireSame(identity, readIdentity(partial, BEGUN), partial);
            return new Resumable(new Work(out, partial, identity, lock));
        } catch (RuntimeException | Error e) {
            lock.release();
            throw e;
        }
    }

    /// An empty directory is as good as none: people create them beforehand.
    private static boolean isOccupied(Path out) {
        if (!Files.exists(out, LinkOption.NOFOLLOW_LINKS)) {
            return false;
        }
        if (!Files.isDirectory(out, LinkOption.NOFOLLOW_LINKS)) {
            return true;
        }
        try (Stream<Path> content = Files.list(out)) {
            return content.findAny().isPresent();
        } catch (IOException e) {
            throw AtomicFiles.failure("read", out, e);
        }
    }

    private static Finished finished(Path out, ObjectNode identity) {
        JsonNode stage = readIdentity(out, FINISHED);
        requireSame(identity, stage, out);
        stage.path("files").properties().forEach(entry -> {
            Path file = out.resolve(entry.getKey());
            try {
                long bytes = entry.getValue().path("bytes").asLong(-1);
                String found = Files.isRegularFile(file) ? "has %,d bytes".formatted(Files.size(file)) : "is missing";
                if (!found.equals("has %,d bytes".formatted(bytes))) {
                    throw Failure.badFile("%s: %s; expected %,d bytes as when the stage finished. Delete %s to run the stage again"
                            .formatted(file, found, bytes, out));
                }
            } catch (IOException e) {
                throw AtomicFiles.failure("read", file, e);
            }
        });
        return new Finished(out, stage);
    }

    private static JsonNode readIdentity(Path directory, String file) {
        if (!Files.isRegularFile(directory.resolve(file))) {
            throw Failure.usage("%s exists, but no stage of rqat made it (it has no %s); it stays as it is. Choose another output directory, or move it away"
                    .formatted(directory, file));
        }
        JsonNode found;
        try {
            found = SealedJson.read(directory.resolve(file));
        } catch (Failure failure) {
            throw Failure.usage("%s; %s stays as it is. Choose another output directory, or move it away"
                    .formatted(failure.getMessage(), directory));
        }
        if (!found.path("stage").isString() || !found.path("configuration").isObject()) {
            throw Failure.usage("%s does not say which stage made it; %s stays as it is. Choose another output directory, or move it away"
                    .formatted(directory.resolve(file), directory));
        }
        return found;
    }

    private static void requireSame(ObjectNode wanted, JsonNode found, Path directory) {
        String stage = found.path("stage").stringValue();
        if (!stage.equals(wanted.path("stage").stringValue())) {
            throw Failure.usage("%s was made by the stage %s, not by %s; choose another output directory, or move it away"
                    .formatted(directory, Failure.quote(stage), wanted.path("stage").stringValue()));
        }
        List<String> differences = new ArrayList<>();
        collectDifferences("", wanted.path("configuration"), found.path("configuration"), differences);
        collectDifferences("input", wanted.path("inputs"), found.path("inputs"), differences);
        if (!differences.isEmpty()) {
            int shown = Math.min(5, differences.size());
            String more = shown < differences.size() ? "; and %d more".formatted(differences.size() - shown) : "";
            throw Failure.usage("%s was made with other settings: %s%s. "
                    .formatted(directory, String.join("; ", differences.subList(0, shown)), more)
                    + "Choose another output directory, move it away, or give the same settings");
        }
    }

    private static void collectDifferences(String path, @Nullable JsonNode wanted, @Nullable JsonNode found, List<String> differences) {
        if (Objects.equals(wanted, found)) {
            return;
        }
        if (wanted != null && found != null && wanted.isObject() && found.isObject()) {
            SequencedSet<String> keys = new LinkedHashSet<>(wanted.propertyNames());
            keys.addAll(found.propertyNames());
            keys.forEach(key -> collectDifferences(ConfigurationTree.join(path, key), wanted.get(key), found.get(key), differences));
            return;
        }
        differences.add("%s is %s there and %s now".formatted(Failure.quote(path), describe(found), describe(wanted)));
    }

    private static String describe(@Nullable JsonNode value) {
        return value == null ? "absent" : Failure.quote(value.toString());
    }

    /// A stage at work on `OUT.partial`. Closing it without finishing keeps everything for the next attempt.
    final class Work implements AutoCloseable {
        private final Path out;
        private final Path partial;
        private final ObjectNode identity;
        private final Lock lock;
        private final @Nullable Object begun;

        private Work(Path out, Path partial, ObjectNode identity, Lock lock) {
            this.out = out;
            this.partial = partial;
            this.identity = identity;
            this.lock = lock;
            this.begun = key();
        }

        /// `OUT.partial`, where all results go.
        public Path directory() {
            return partial;
        }

        /// Where this stage keeps its checkpoints; gone once it has finished.
        public Path checkpoints() {
            return partial.resolve(CHECKPOINTS);
        }

        /// Hashes all results and gives the directory its final name. Hidden files and checkpoints are dropped.
        ///
        /// @throws Failure FAILED when the directory was removed while the stage was at work, so that what is there now is not all
        public Finished finish() {
            requireThere();
            ObjectNode stage = identity.deepCopy();
            SortedMap<String, Path> files = Manifest.files(partial);
            files.keySet().removeIf(name -> name.equals(BEGUN) || name.startsWith(CHECKPOINTS + "/"));
            Checksums.put(stage, files);
            SealedJson.write(partial.resolve(FINISHED), stage);
            return publish();
        }

        /// Makes sure that the directory is still the one that the stage began with.
        ///
        /// @throws Failure FAILED when it was removed or replaced
        public void requireThere() {
            if (!isThere()) {
                throw Failure.failed("%s was removed or replaced while the stage was at work on it; nothing was published. Run the command again".formatted(partial));
            }
        }

        private boolean isThere() {
            return Files.isRegularFile(partial.resolve(BEGUN)) && Objects.equals(begun, key());
        }

        /// What the operating system calls the file that the work began with.
        private @Nullable Object key() {
            try {
                return Lock.key(partial.resolve(BEGUN));
            } catch (IOException e) {
                throw AtomicFiles.failure("read", partial.resolve(BEGUN), e);
            }
        }

        /// From `stage.json` on only this is left to do, by whoever comes next if the process dies here.
        private Finished publish() {
            AtomicFiles.delete(checkpoints());
            AtomicFiles.delete(partial.resolve(BEGUN));
            try (Stream<Path> content = Files.list(partial)) {
                content.filter(path -> path.getFileName().toString().startsWith(".")).forEach(AtomicFiles::delete);
            } catch (IOException e) {
                throw AtomicFiles.failure("read", partial, e);
            }
            if (!isOccupied(out)) {
                AtomicFiles.delete(out);
            }
            AtomicFiles.renameDirectory(partial, out);
            close();
            return finished(out, identity);
        }

        /// After a failure: removes the directory unless one of these subdirectories of it holds something that the next attempt goes on
        /// from, which is any file that is not empty.
        ///
        /// @return whether it is gone
        public boolean abandon(Collection<String> resumable) {
            // What was written after the directory had been removed is of no use to anybody.
            boolean useful = isThere() && Manifest.files(partial).entrySet().stream()
                    .anyMatch(file -> resumable.stream().anyMatch(name -> file.getKey().startsWith(name + "/")) && AtomicFiles.size(file.getValue()) > 0);
            if (!useful) {
                AtomicFiles.delete(partial);
            }
            return !useful;
        }

        @Override
        public void close() {
            lock.release();
        }
    }

    /// An exclusive lock that the operating system drops when the process dies, on a file that is deleted on release.
    final class Lock {
        /// POSIX drops a process's lock when it closes any handle of the file, so within this process the file is never opened twice.
        private static final Set<Path> HELD = ConcurrentHashMap.newKeySet();

        private final Path file;
        private final FileChannel channel;

        private Lock(Path file, FileChannel channel) {
            this.file = file;
            this.channel = channel;
        }

        private static Lock acquire(Path out) {
            Path file = out.toAbsolutePath().normalize().resolveSibling("." + out.getFileName() + ".lock");
            if (!HELD.add(file)) {
                throw occupied(out, ProcessHandle.current().pid() + "");
            }
            try {
                Files.createDirectories(file.getParent());
                return new Lock(file, open(out, file));
            } catch (IOException e) {
                HELD.remove(file);
                throw AtomicFiles.failure("lock", file, e);
            } catch (RuntimeException | Error e) {
                HELD.remove(file);
                throw e;
            }
        }

        private static FileChannel open(Path out, Path file) throws IOException {
            while (true) {
                Files.newByteChannel(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE).close();
                Object key = key(file);
                FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ, StandardOpenOption.WRITE);
                if (channel.tryLock() == null) {
                    ByteBuffer owner = ByteBuffer.allocate(32);
                    channel.read(owner, 0);
                    channel.close();
                    throw occupied(out, StandardCharsets.UTF_8.decode(owner.flip()).toString().strip());
                }
                // Whoever held the lock may have deleted the file before we locked it; then it is nobody's, and we try again.
                if (key != null && key.equals(key(file))) {
                    channel.truncate(0).write(StandardCharsets.UTF_8.encode(ProcessHandle.current().pid() + "\n"), 0);
                    return channel;
                }
                channel.close();
            }
        }

        private static @Nullable Object key(Path file) throws IOException {
            try {
                return Files.readAttributes(file, BasicFileAttributes.class).fileKey();
            } catch (NoSuchFileException e) {
                return null;
            }
        }

        private static Failure occupied(Path out, String owner) {
            return Failure.failed("another rqat process%s is at work on %s; wait until it ends, or stop it"
                    .formatted(owner.matches("[0-9]+") ? " (number " + owner + ")" : "", out));
        }

        private void release() {
            if (!channel.isOpen()) {
                return;
            }
            try (channel) {
                Files.deleteIfExists(file);
            } catch (IOException e) {
                throw AtomicFiles.failure("unlock", file, e);
            } finally {
                HELD.remove(file);
            }
        }
    }
}
