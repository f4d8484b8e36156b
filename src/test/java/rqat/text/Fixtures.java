package rqat.text;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Reference outputs of the tokenizers and transformers libraries, where they are present.
final class Fixtures {

    static final JsonMapper JSON = new JsonMapper();

    private Fixtures() {}

    /// The folder `name` of the fixtures; the calling test is skipped when it is absent.
    static Path folder(String name) {
        Path folder = Path.of(System.getProperty("rqat.fixtures", "absent")).resolve(name);
        Assumptions.assumeTrue(Files.isDirectory(folder), "no fixtures at " + folder);
        return folder;
    }

    static JsonNode read(Path file) {
        return JSON.readTree(file);
    }

    static int[] ids(JsonNode array) {
        return JSON.convertValue(array, int[].class);
    }
}
