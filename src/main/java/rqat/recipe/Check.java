package rqat.recipe;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.SequencedSet;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.data.Hub;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.run.Checkpoints;
import rqat.run.Checksums;
import rqat.run.Progress;
import rqat.run.StageDirectory;
import tools.jackson.databind.JsonNode;

/// Verifies every checksum in a directory and below, and in the folders of the cache that a study names: of finished stages and evaluations
/// (`stage.json`), of what a run or a study leaves beside them and of a model's codes and latents (`checksums.json`), of checkpoints of unfinished
/// stages, and of downloaded files. Changes nothing.
///
/// @param intact    files that are what they were, with their sizes
/// @param damaged   files that are not, with what is wrong
/// @param unchecked files that have no checksum
/// @param notes     what else a user should know, a sentence each
public record Check(TreeMap<Path, Long> intact, TreeMap<Path, String> damaged, List<Path> unchecked, List<String> notes) {

    /// Checks a directory.
    ///
    /// @throws Failure BAD_FILE when there is no such directory, or nothing in it has a checksum
    public static Check of(Path directory, Progress progress) {
        if (!Files.isDirectory(directory)) throw Failure.badFile("%s: no such directory; expected that of a run, a study or a model".formatted(directory));
        var work = new Work(new Check(new TreeMap<>(), new TreeMap<>(), new ArrayList<>(), new ArrayList<>()));
        SequencedSet<Path> folders = work.folders(directory);
        var files = new ArrayList<Path>();
        for (Path folder : folders) files.addAll(files(folder));
        try (Progress.Task task = progress.start("checking", files.stream().mapToLong(AtomicFiles::size).sum(), "bytes")) {
            work.task = task;
            for (Path file : files) {
                if (Thread.interrupted()) throw Failure.interrupted("interrupted after %,d of %,d files; nothing was changed".formatted(work.seen.size(), files.size()));
                work.visit(file);
            }
        }
        return work.finish(directory, files);
    }

    /// Bytes that were read and found intact.
    public long bytes() {
        return intact.values().stream().mapToLong(Long::longValue).sum();
    }

    private static List<Path> files(Path folder) {
        try (Stream<Path> paths = Files.walk(folder, FileVisitOption.FOLLOW_LINKS)) {
            return paths.filter(Files::isRegularFile).filter(file -> !isHidden(folder.relativize(file))).sorted().toList();
        } catch (UncheckedIOException e) {
            throw AtomicFiles.failure("read", folder, e.getCause());
        } catch (IOException e) {
            throw AtomicFiles.failure("read", folder, e);
        }
    }

    private static boolean isHidden(Path path) {
        for (Path part : path) {
            if (part.toString().startsWith(".")) return true;
        }
        return false;
    }

    /// A check at work: which files were looked at already, for a file may be named twice.
    private static final class Work {
        private final Check check;
        private final Set<Path> seen = new LinkedHashSet<>();
        private final Set<Path> blobs = new LinkedHashSet<>();
        private Progress.Task task;

        Work(Check check) {
            this.check = check;
            this.task = Progress.silent().start("", 0, "");
        }

        /// The directory, and what its results name outside of it.
        SequencedSet<Path> folders(Path directory) {
            var folders = new LinkedHashSet<Path>(List.of(directory));
            Path results = directory.resolve("results.json");
            if (!Files.isRegularFile(results)) return folders;
            if (!Files.exists(directory.resolve(Checksums.FILE))) {
                check.notes.add("%s has no %s: the run is not finished, or an older version made it; the same command finishes it".formatted(directory, Checksums.FILE));
            }
            JsonNode rows;
            try {
                rows = JsonFiles.read(results).path("rows");
            } catch (Failure failure) {
                return folders; // its checksum says so
            }
            for (JsonNode row : rows) {
                for (String key : List.of("models", "evaluations")) {
                    for (JsonNode name : row.path(key)) {
                        Path folder = Path.of(name.asString(""));
                        if (Files.isDirectory(folder)) folders.add(folder);
                        else check.notes.add("%s, which %s names, is not there (relative to the present directory)".formatted(folder, results));
                    }
                }
            }
            return folders;
        }

        void visit(Path file) {
            String name = file.getFileName().toString();
            if (name.equals(StageDirectory.FINISHED) || name.equals(Checksums.FILE)) {
                listed(file);
            } else if (name.equals(StageDirectory.BEGUN)) {
                Path stage = file.getParent();
                check.notes.add("%s is unfinished: of it only checkpoints are checked".formatted(stage));
                var checkpoints = new Checkpoints(stage.resolve(StageDirectory.CHECKPOINTS));
                checkpoints.problems(intact -> record(intact, Optional.empty())).forEach((checkpoint, problem) -> record(checkpoint, Optional.of(problem)));
            } else if (Files.isSymbolicLink(file) || Hub.isBlob(file)) {
                Path blob = real(file);
                if (Hub.isBlob(blob) && blobs.add(blob)) record(file, Hub.isIntact(blob) ? Optional.empty() : Optional.of(Checksums.CHANGED));
            }
        }

        /// The files that a file of checksums names.
        private void listed(Path file) {
            Optional<Checksums.Known> known = Checksums.read(file);
            record(file, known.isPresent() ? Optional.empty() : Optional.of(Checksums.CHANGED));
            known.ifPresent(checksums -> checksums.files().forEach((name, recorded) -> {
                Path named = file.resolveSibling(name);
                if (seen.contains(named)) return;
                record(named, recorded.difference(named));
            }));
        }

        private void record(Path file, Optional<String> difference) {
            if (!seen.add(file)) return;
            if (Files.isRegularFile(file)) task.advance(AtomicFiles.size(file));
            difference.ifPresentOrElse(what -> check.damaged.put(file, what), () -> check.intact.put(file, AtomicFiles.size(file)));
        }

        private static Path real(Path file) {
            try {
                return file.toRealPath();
            } catch (IOException e) {
                throw AtomicFiles.failure("read", file, e);
            }
        }

        Check finish(Path directory, List<Path> files) {
            if (seen.isEmpty()) {
                throw Failure.badFile(("%s: nothing in it has a checksum; expected the directory of a run, a study, a stage, or a downloaded model. A model of"
                        + " another program can be loaded (rqat score), but nobody wrote down what its bytes were").formatted(directory));
            }
            files.stream().filter(file -> !seen.contains(file) && !blobs.contains(real(file))).forEach(check.unchecked::add);
            return check;
        }
    }
}
