package rqat.format;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.text.ChatTemplate;

class ModelFilesTest {
    @TempDir
    Path folder;

    /// A stage's output renders conversations as its input does, named templates included, and only what decides it changes the hash.
    @Test
    void chatTemplatesGoAlong() throws IOException {
        Path source = Files.createDirectories(folder.resolve("source")), target = Files.createDirectory(folder.resolve("target"));
        Files.writeString(source.resolve("config.json"), "{\"a\": 1}");
        Files.writeString(source.resolve("chat_template.jinja"), "plain");
        Path templates = Files.createDirectory(source.resolve("additional_chat_templates"));
        Files.writeString(templates.resolve("tool_use.jinja"), "tools \u00E9");
        Files.writeString(templates.resolve("notes.md"), "not a template");
        ModelFiles.copy(source, target, _ -> {});
        try (Stream<Path> files = Files.walk(target)) {
            assertThat(files.filter(Files::isRegularFile).map(target::relativize).map(Path::toString))
                    .containsExactlyInAnyOrder("config.json", "chat_template.jinja", "additional_chat_templates/tool_use.jinja");
        }
        assertThat(ChatTemplate.load(target).render(List.of(), false, java.util.Map.of("tools", List.of(1)))).isEqualTo("tools \u00E9");
        String hash = ModelFiles.sha256(source);
        assertThat(ModelFiles.sha256(target)).isEqualTo(hash);
        Files.writeString(templates.resolve("notes.md"), "changed");
        assertThat(ModelFiles.sha256(source)).isEqualTo(hash);
        Files.writeString(templates.resolve("tool_use.jinja"), "changed");
        assertThat(ModelFiles.sha256(source)).isNotEqualTo(hash);
    }
}
