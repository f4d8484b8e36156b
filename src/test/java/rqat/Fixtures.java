package rqat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/// The folder of reference outputs (`-Drqat.fixtures=DIR`); tests that need it are reported as skipped when it is absent.
public final class Fixtures {
    private Fixtures() {}

    /// The path of `relative` inside the fixtures, or the calling test is skipped.
    public static Path path(String relative) {
        Path root = Path.of(System.getProperty("rqat.fixtures", "../shared/fixtures"));
        Assumptions.assumeTrue(Files.isDirectory(root), "no fixtures at " + root);
        Path path = root.resolve(relative);
        Assumptions.assumeTrue(Files.exists(path), "no fixture " + path);
        return path;
    }
}
