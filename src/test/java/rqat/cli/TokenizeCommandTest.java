package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;
import rqat.Failure;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class TokenizeCommandTest {

    private static final JsonMapper JSON = new JsonMapper();

    @TempDir
    Path directory;

    private Path file;
    private @Nullable Exception thrown;

    /// Letters only, `ab` merged, one token put in front by the post-processor.
    @BeforeEach
    void writeModel() throws IOException {
        file = directory.resolve("lines.jsonl");
        Files.writeString(directory.resolve("tokenizer.json"), """
                {"added_tokens": [{"id": 6, "content": "<s>", "special": true, "normalized": false}],
                 "normalizer": null,
                 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
                 "decoder": {"type": "ByteLevel"},
                 "post_processor": {"type": "TemplateProcessing",
                   "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                   "special_tokens": {"<s>": {"id": "<s>", "ids": [6]}}},
                 "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "?": 3, "Ã": 4, "©": 5}, "merges": ["a b"]}}""");
        Files.writeString(directory.resolve("tokenizer_config.json"), """
                {"bos_token": "<s>", "chat_template":
                 "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}?{% endif %}{{ tools|length if tools }}{{ extra }}"}""");
    }

    private List<JsonNode> run(String lines) throws IOException {
        return print(lines, "--json").lines().map(JSON::readTree).toList();
    }

    private String print(String lines, String... options) throws IOException {
        Files.writeString(file, lines);
        var out = new StringWriter();
        var commandLine = new CommandLine(new TokenizeCommand()).setOut(new PrintWriter(out));
        commandLine.setExecutionExceptionHandler((exception, _, _) -> {
            thrown = exception;
            return 99;
        });
        String[] arguments = {directory.toString(), file.toString()};
        commandLine.execute(java.util.stream.Stream.of(arguments, options).flatMap(java.util.Arrays::stream).toArray(String[]::new));
        return out.toString();
    }

    @Test
    void encodesTexts() throws IOException {
        List<JsonNode> results = run("""
                {"text": "aab"}

                {"text": "b", "add_special_tokens": true}
                {"text": "", "name": "anything"}
                {"text": "<s>é"}
                """);
        assertThat(results).extracting(JsonNode::toString)
                .containsExactly("{\"ids\":[0,2]}", "{\"ids\":[6,1]}", "{\"ids\":[]}", "{\"ids\":[6,4,5]}");
    }

    @Test
    void rendersMessagesWithAllVariables() throws IOException {
        List<JsonNode> results = run("""
                {"messages": [{"role": "user", "content": "ab"}, {"role": "user", "content": "a"}]}
                {"messages": [{"role": "user", "content": "{{b}}"}], "add_generation_prompt": true, "tools": [{}, {}], "extra": "é"}
                """);
        assertThat(results.get(0).get("text").stringValue()).isEqualTo("<s>aba");
        assertThat(results.get(0).get("ids").toString()).isEqualTo("[6,2,0]");
        assertThat(results.get(1).get("text").stringValue()).isEqualTo("<s>{{b}}?2é");
    }

    @Test
    void printsOnlyAsciiSoThatNoTerminalDamagesIt() throws IOException {
        assertThat(print("{\"messages\": [{\"content\": \"é😀\"}]}", "--json")).isEqualTo(
                "{\"ids\":[6,4,5],\"text\":\"<s>\\u00E9\\uD83D\\uDE00\"}\n");
    }

    @Test
    void needsATemplateOnlyForMessages() throws IOException {
        Files.delete(directory.resolve("tokenizer_config.json"));
        assertThat(run("{\"text\": \"a\"}")).hasSize(1);
        run("{\"messages\": []}");
        assertThat(thrown).isInstanceOf(Failure.class).hasMessageContainingAll(file + ":1:", "no chat template");
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "{", "[]", "3", "{}", "{\"text\": 5}", "{\"text\": \"a\", \"messages\": []}", "{\"messages\": {}}", "{\"messages\": [\"a\"]}",
        "{\"text\": \"a\", \"add_special_tokens\": \"yes\"}", "{\"messages\": [], \"add_generation_prompt\": 1}",
        "{\"messages\": [{\"content\": \"a\"}], \"messages\": []}", "{\"text\": \"a\"} x", "{\"messages\": [{\"content\": {\"a\": 1}}], \"tools\": 3}"
    })
    void namesTheBadLine(String line) throws IOException {
        String printed = print("{\"text\": \"a\"}\n" + line + "\n{\"text\": \"b\"}\n", "--json");
        assertThat(thrown).isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContaining(file + ":2");
        assertThat(printed).isEqualTo("{\"ids\":[0]}\n");
    }

    @Test
    void refusesFilesItCannotRead() throws IOException {
        Files.write(file, new byte[] {'{', (byte) 0xFF, '}'});
        var commandLine = new CommandLine(new TokenizeCommand()).setOut(new PrintWriter(new StringWriter()));
        commandLine.setExecutionExceptionHandler((exception, _, _) -> exception instanceof Failure failure ? failure.exitCode() : 99);
        assertThat(commandLine.execute(directory.toString(), file.toString())).isEqualTo(3);
        assertThat(commandLine.execute(directory.toString(), directory.resolve("absent").toString())).isEqualTo(3);
        assertThat(commandLine.execute(directory.resolve("absent").toString(), file.toString())).isEqualTo(3);
    }
}
