package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.io.AtomicFiles;
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

    @Test
    void aDirectorysHashIsThatOfItsListing() throws IOException {
        Path input = Files.createDirectories(directory.resolve("model"));
        Path sub = Files.createDirectories(input.resolve("sub"));
        Files.createDirectories(input.resolve(".cache"));
        Files.writeString(input.resolve(".cache/x"), "ignored");
        Files.writeString(input.resolve("b"), "abc");
        Files.writeString(sub.resolve("c"), "");
        Files.createSymbolicLink(input.resolve("a"), input.resolve("b"));
        String abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        String empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assertThat(Manifest.sha256(input)).isEqualTo(AtomicFiles.sha256("%s  a\n%s  b\n%s  sub/c\n".formatted(abc, abc, empty)));
        assertThat(Manifest.sha256(Files.createSymbolicLink(directory.resolve("link"), input))).isEqualTo(Manifest.sha256(input));
        assertThat(Manifest.sha256(input.resolve("b"))).isEqualTo(abc);
        assertThatThrownBy(() -> Manifest.sha256(directory.resolve("gone"))).isInstanceOf(Failure.class)
                .hasMessageContaining("no such file");
    }
}
