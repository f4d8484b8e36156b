package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;

class ManifestTest {

    record Settings(int bits, double rate) {}

    @TempDir
    Path directory;

    @Test
    void holdsAllThatARunDependsOn() {
        var resolved = Configuration.resolve(List.of("bits=3"), new Settings(4, 0.5), Settings.class);
        Path file = directory.resolve("manifest.json");
        Manifest.write(file, List.of("rqat", "run", "a recipe.yaml"), resolved, Map.of("model", "ab12"), Map.of("data", 7L, "rollout", -1L));
        JsonNode manifest = JsonFiles.read(file);
        assertThat(manifest.path("rqat").stringValue()).isEqualTo(Manifest.VERSION);
        assertThat(manifest.path("command").toString()).isEqualTo("[\"rqat\",\"run\",\"a recipe.yaml\"]");
        assertThat(manifest.path("recipe").stringValue()).isEqualTo("command line");
        assertThat(manifest.path("configuration").toString()).isEqualTo("{\"bits\":3,\"rate\":0.5}");
        assertThat(manifest.path("origins").toString()).isEqualTo("{\"bits\":\"--set bits=3\",\"rate\":\"default\"}");
        assertThat(manifest.path("inputs").toString()).isEqualTo("{\"model\":\"ab12\"}");
        assertThat(manifest.path("seeds").toString()).isEqualTo("{\"data\":7,\"rollout\":-1}");
        assertThat(manifest.path("machine").propertyNames()).containsExactly("java", "vm", "os", "cpu", "cores", "heap_bytes");
        assertThat(manifest.path("machine").path("cores").intValue()).isPositive();
    }

    @Test
    void theVersionIsThatOfTheBuild() throws IOException {
        assertThat(Files.readString(Path.of("pom.xml")))
                .containsPattern("<artifactId>rqat</artifactId>\\s*<version>" + Manifest.VERSION + "(-SNAPSHOT)?</version>");
    }
}
