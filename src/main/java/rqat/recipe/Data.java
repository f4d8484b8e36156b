package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import rqat.Failure;
import rqat.data.DataSource;
import rqat.data.Hub;
import rqat.run.Progress;

/// What recipes mean by the name of data.
final class Data {
    private static final String HUB = "hub";

    private Data() {}

    /// Where benchmarks are: a directory with a folder for each, or `hub`.
    static DataSource source(String data, Progress progress) {
        if (data.equals(HUB)) return Hub.ofEnvironment(progress);
        Path directory = Path.of(data);
        if (!Files.isDirectory(directory)) {
            throw Failure.badFile("%s: no such directory; expected one with a folder for each data set, or `%s`".formatted(data, HUB));
        }
        return DataSource.of(directory);
    }
}
