package rqat.run;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.io.SealedJson;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Sizes and SHA-256 of files, as the member `files` of a sealed JSON file beside them: `stage.json` of a stage, and `checksums.json` of whatever
/// is finished and is no stage.
public final class Checksums {
    /// What holds the checksums of the files beside it.
    public static final String FILE = "checksums.json";

    /// What is wrong with a damaged file.
    public static final String CHANGED = "its bytes are not those that were written";

    private static final String FILES = "files";

    private Checksums() {}

    /// Writes `checksums.json` of those of these files that are there.
    ///
    /// @param names in `directory`
    public static void write(Path directory, Collection<String> names) {
        ObjectNode checksums = JsonFiles.object();
        var files = new TreeMap<String, Path>();
        for (String name : names) {
            if (Files.exists(directory.resolve(name))) files.put(name, directory.resolve(name));
        }
        put(checksums, files);
        SealedJson.write(directory.resolve(FILE), checksums);
    }

    /// A file has been written anew: what `checksums.json` says about it follows, and nothing else. Nothing happens where there is none, or a
    /// damaged one.
    public static void renew(Path directory, String name) {
        Path file = directory.resolve(FILE);
        if (!Files.exists(file) || !SealedJson.isIntact(file) || !(SealedJson.read(file) instanceof ObjectNode checksums)) return;
        if (checksums.path(FILES) instanceof ObjectNode files) put(files, name, directory.resolve(name));
        SealedJson.write(file, checksums);
    }

    /// Puts the checksums of these files into an object.
    static void put(ObjectNode object, Map<String, Path> files) {
        ObjectNode checksums = object.putObject(FILES);
        files.forEach((name, file) -> put(checksums, name, file));
    }

    private static void put(ObjectNode checksums, String name, Path file) {
        checksums.putObject(name).put("bytes", AtomicFiles.size(file)).put("sha256", AtomicFiles.sha256(file));
    }

    /// What is known of the files of a directory.
    ///
    /// @param file  that says it, `stage.json` or `checksums.json`
    /// @param files by their names relative to the directory
    public record Known(Path file, SequencedMap<String, Recorded> files) {}

    /// @param bytes  size when it was written
    /// @param sha256 of its content then, 64 hexadecimal digits
    public record Recorded(long bytes, String sha256) {
        /// What is wrong with a file that should be this; empty when nothing is.
        public Optional<String> difference(Path file) {
            if (!Files.isRegularFile(file)) return Optional.of("is missing");
            long size = AtomicFiles.size(file);
            if (size != bytes) return Optional.of("has %,d bytes instead of %,d".formatted(size, bytes));
            return AtomicFiles.sha256(file).equals(sha256) ? Optional.empty() : Optional.of(CHANGED);
        }
    }

    /// What a file of checksums says, or nothing when its own bytes are not those that were written.
    ///
    /// @throws Failure BAD_FILE when it cannot be read
    public static Optional<Known> read(Path file) {
        if (!SealedJson.isIntact(file)) return Optional.empty();
        var files = new LinkedHashMap<String, Recorded>();
        for (Map.Entry<String, JsonNode> entry : SealedJson.read(file).path(FILES).properties()) {
            // Whoever made the directory, nothing outside of it is read.
            if (!Path.of(entry.getKey()).normalize().equals(Path.of(entry.getKey())) || entry.getKey().startsWith("/") || entry.getKey().startsWith("..")) {
                throw Failure.badFile("%s: names the file %s; expected one below its own directory".formatted(file, Failure.quote(entry.getKey())));
            }
            files.put(entry.getKey(), new Recorded(entry.getValue().path("bytes").asLong(-1), entry.getValue().path("sha256").asString("")));
        }
        return Optional.of(new Known(file, files));
    }

    /// Makes sure that files of a directory are those of its `checksums.json`, as far as it knows them; says nothing of a directory without one.
    ///
    /// @throws Failure BAD_FILE naming the first that is not
    public static void verify(Path directory, Collection<String> names) {
        Path file = directory.resolve(FILE);
        if (!Files.exists(file)) return;
        Known known = read(file).orElseThrow(() -> damaged(file, CHANGED));
        for (String name : names) {
            Recorded recorded = known.files.get(name);
            if (recorded != null) recorded.difference(directory.resolve(name)).ifPresent(difference -> {
                throw damaged(directory.resolve(name), difference);
            });
        }
    }

    private static Failure damaged(Path file, String difference) {
        return Failure.badFile("%s: %s. The file is damaged: copy it again, or write the directory again with the stage that made it"
                .formatted(file, difference));
    }
}
