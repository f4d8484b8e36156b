package rqat.texts;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import rqat.Failure;
import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.Hub;
import rqat.data.RowFiles;
import rqat.run.Progress;

/// What recipes mean by the name of data.
public final class Data {
    private static final String HUB = "hub";

    private Data() {}

    /// Where benchmarks are: a directory with a folder for each, or `hub`.
    public static DataSource source(String data, Progress progress) {
        if (data.equals(HUB)) return Hub.ofEnvironment(progress);
        Path directory = Path.of(data);
        if (!Files.isDirectory(directory)) {
            throw Failure.badFile("%s: no such directory; expected one with a folder for each data set, or `%s`".formatted(data, HUB));
        }
        return DataSource.of(directory);
    }

    /// The files that a stage learns from: a file, those of a directory, or those of a repository of the Hub; a training split is preferred.
    public static List<Path> files(String source, Progress progress) {
        Path path = Path.of(source);
        var publication = Publication.of(source, source, "data/train-*", "main/train-*", "train*", "**/train*", "**");
        if (Files.isRegularFile(path)) return List.of(path);
        if (Files.isDirectory(path)) {
            List<String> names = publication.select(DataSource.dataFiles(path));
            if (names.isEmpty()) throw Failure.badFile("%s: no data files; expected names that end in one of %s".formatted(source, RowFiles.EXTENSIONS));
            return names.stream().map(path::resolve).toList();
        }
        if (Hub.isId(source)) return Hub.ofEnvironment(progress).files(publication);
        throw Failure.badFile("%s: no such file or directory; expected one, a repository `owner/name` of the Hub, or `%s`"
                .formatted(source, DataSettings.WORD_PROBLEMS));
    }
}
