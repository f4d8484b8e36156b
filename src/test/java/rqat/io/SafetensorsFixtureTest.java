package rqat.io;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/// Files that the reference implementation wrote.
class SafetensorsFixtureTest {

    private final Path fixtures = Path.of(System.getProperty("rqat.fixtures", ""));

    private List<Path> find(String glob) throws IOException {
        Assumptions.assumeTrue(Files.isDirectory(fixtures), "no fixtures at " + fixtures);
        var matcher = fixtures.getFileSystem().getPathMatcher("glob:" + glob);
        try (var paths = Files.walk(fixtures)) {
            return paths.filter(path -> matcher.matches(path.getFileName())).sorted().toList();
        }
    }

    @Test
    void everyFileReadsAndRewritesTheSame(@TempDir Path directory) throws IOException {
        List<Path> files = find("*.safetensors");
        assertThat(files).isNotEmpty();
        for (Path path : files) {
            try (SafetensorsFile file = SafetensorsFile.open(path)) {
                assertThat(file.tensors()).isNotEmpty();
                Path copy = directory.resolve("copy.safetensors");
                SafetensorsWriter.write(copy, file.tensors(), file.metadata());
                try (SafetensorsFile read = SafetensorsFile.open(copy)) {
                    assertThat(read.tensors()).isEqualTo(file.tensors());
                    assertThat(read.metadata()).isEqualTo(file.metadata());
                }
            }
        }
    }

    @Test
    void everyModelDirectoryOpens() throws IOException {
        List<Path> configs = find("config.json");
        assertThat(configs).isNotEmpty();
        for (Path config : configs) {
            try (Checkpoint checkpoint = Checkpoint.open(config.getParent())) {
                assertThat(checkpoint.tensor("model.embed_tokens.weight").shape()).hasSize(2);
            }
        }
    }
}
