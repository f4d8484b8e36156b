package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class CheckCommandTest {
    @TempDir
    private Path directory;

    @Test
    void damagedFilesAreListedAndNothingIsChanged() throws IOException {
        Path model = directory.resolve("rtn");
        assertThat(Cli.run("quantize", "embedded", model.toString(), "--method", "rtn").code()).isZero();
        Cli whole = Cli.run("check", model.toString());
        assertThat(whole.code()).as(whole.err()).isZero();
        assertThat(whole.out()).contains("0 damaged");

        Path latents = model.resolve("quantization/latents.safetensors");
        byte[] bytes = Files.readAllBytes(latents);
        bytes[bytes.length / 2] ^= 1;
        Files.write(latents, bytes);
        List<String> before = Cli.content(directory);
        Cli damaged = Cli.run("check", model.toString());
        assertThat(damaged.code()).isEqualTo(3);
        assertThat(damaged.out()).contains("damaged    " + latents + ": its bytes are not those that were written");
        assertThat(damaged.err().lines().filter(line -> line.startsWith("rqat: "))).singleElement().asString().contains("1 of ", latents.toString());
        JsonNode json = JsonMapper.shared().readTree(Cli.run("check", model.toString(), "--json").out());
        assertThat(json.path("damaged").path(0).path("file").asString()).isEqualTo(latents.toString());
        assertThat(Cli.content(directory)).isEqualTo(before);
        Cli.run("sft", model.toString(), directory.resolve("sft").toString()).failed(3, latents.toString(), "its bytes are not those that were written");
        Cli.run("check", "embedded").refused(3, "embedded", "no such directory");
    }
}
