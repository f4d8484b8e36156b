package rqat.api;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.io.JsonFiles;

/// The README's program, as a reader runs it: `java Example.java` with rqat on the class path, in an empty directory.
@Tag("slow")
class ReadmeExampleTest {
    @TempDir
    Path folder;

    @Test
    void theExampleOfTheReadmeRuns() throws IOException, InterruptedException {
        Matcher block = Pattern.compile("(?ms)^```java\\R(.*?)^```").matcher(Files.readString(Path.of("README.md")));
        assertThat(block.find()).isTrue();
        String program = block.group(1);
        assertThat(program.substring(program.indexOf("void main")).lines().count()).isLessThanOrEqualTo(20);
        Files.writeString(folder.resolve("Example.java"), program);
        Path out = folder.resolve("out"), err = folder.resolve("err");
        var process = new ProcessBuilder(List.of(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--enable-native-access=ALL-UNNAMED",
                        "-Dorg.bytedeco.javacpp.nopointergc=true", "-Dorg.bytedeco.javacpp.maxPhysicalBytes=0", "-cp", absoluteClassPath(), "Example.java"))
                .directory(folder.toFile()).redirectOutput(out.toFile()).redirectError(err.toFile());
        process.environment().put("RQAT_HOME", Path.of("").toAbsolutePath().toString());
        Process running = process.start();
        boolean ended = running.waitFor(5, TimeUnit.MINUTES);
        if (!ended) running.destroyForcibly();
        assertThat(ended).isTrue();
        assertThat(running.exitValue()).as(Files.readString(err)).isZero();

        List<String> lines = Files.readAllLines(out);
        assertThat(lines).hasSize(3);
        var scores = JsonFiles.read(folder.resolve("runs/library/scores/scores.json"));
        assertThat(lines.get(0)).matches("easy: [0-9]+\\.[0-9] %");
        assertThat(scores.toString()).contains("easy");
        // 3 bits in groups of 128, a bfloat16 scale and a zero point of 3 bits a group.
        double bits = JsonFiles.read(folder.resolve("runs/library/for-vllm/export-manifest.json")).path("bits_per_weight").asDouble();
        assertThat(bits).isBetween(3.14, 3.25);
        assertThat(lines.get(1)).isEqualTo("%.2f bits a weight in %s".formatted(bits, Path.of("runs/library/for-vllm")));
        assertThat(lines.get(2)).matches("any client of OpenAI's interface can ask http://127\\.0\\.0\\.1:[0-9]+/v1");
    }

    private static String absoluteClassPath() {
        return String.join(System.getProperty("path.separator"), List.of(System.getProperty("java.class.path").split(System.getProperty("path.separator"))).stream()
                .map(entry -> Path.of(entry).toAbsolutePath().toString()).toList());
    }
}
