package rqat.data;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.List;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.io.AtomicFiles;

/// Where published data sets are found.
public interface DataSource {

    /// A data set as its publisher lays it out.
    ///
    /// @param name       short name: the folder that people keep it in
    /// @param repository id on the Hub, `owner/name`
    /// @param files      patterns of the wanted files relative to its folder, as [java.nio.file.FileSystem#getPathMatcher] takes them; the
    ///                   first that matches anything is used, the publisher's own layout first
    record Publication(String name, String repository, List<String> files) {
        public Publication {
            files = List.copyOf(files);
        }

        /// A publication with these patterns.
        public static Publication of(String name, String repository, String... files) {
            return new Publication(name, repository, List.of(files));
        }

        /// Of these file names, relative to the data set's folder with `/` between, those of the first pattern that matches any, sorted; empty
        /// when none does.
        public List<String> select(List<String> names) {
            for (String pattern : files) {
                PathMatcher matcher = FileSystems.getDefault().getPathMatcher("glob:" + pattern);
                List<String> found = names.stream().filter(name -> matcher.matches(Path.of(name))).sorted().toList();
                if (!found.isEmpty()) return found;
            }
            return List.of();
        }

        private List<Path> in(Path folder) {
            return select(dataFiles(folder)).stream().map(folder::resolve).toList();
        }
    }

    /// The files of a data set in their order.
    ///
    /// @throws Failure BAD_FILE when they are not here
    List<Path> files(Publication publication);

    /// The rows of a data set, file after file; to be closed.
    default Stream<Row> rows(Publication publication) {
        return rows(files(publication));
    }

    /// Data sets kept in folders of `directory`, by short name, by Hub id or by the last part of it (`math_500`, `HuggingFaceH4/MATH-500`,
    /// `HuggingFaceH4--MATH-500`, `MATH-500`).
    static DataSource of(Path directory) {
        return publication -> {
            String id = publication.repository();
            List<Path> folders = Stream.of(publication.name(), id, id.replace("/", "--"), id.substring(id.indexOf('/') + 1))
                    .map(directory::resolve)
                    .toList();
            return folders.stream()
                    .filter(Files::isDirectory)
                    .map(publication::in)
                    .filter(found -> !found.isEmpty())
                    .findFirst()
                    .orElseThrow(() -> Failure.badFile("%s: no files of %s; expected one of %s in the folder %s, as %s publishes them"
                            .formatted(directory, publication.name(), publication.files(), folders.getFirst(), id)));
        };
    }

    /// The rows of several files, one file after the other; to be closed.
    static Stream<Row> rows(List<Path> files) {
        return files.stream().flatMap(RowFiles::rows);
    }

    /// The names of all data files in a folder and below, sorted; hidden ones do not count.
    static List<String> dataFiles(Path folder) {
        try (Stream<Path> paths = Files.walk(folder, 6)) {
            return paths.filter(file -> RowFiles.isReadable(file) && Files.isRegularFile(file))
                    .map(file -> folder.relativize(file).toString().replace('\\', '/'))
                    .filter(name -> !name.startsWith(".") && !name.contains("/."))
                    .sorted()
                    .toList();
        } catch (UncheckedIOException e) {
            throw AtomicFiles.failure("read", folder, e.getCause());
        } catch (IOException e) {
            throw AtomicFiles.failure("read", folder, e);
        }
    }
}
