package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.verify.program.Sandbox;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// The cases that stand for what users met, through the command that a user calls.
class GradeCommandTest {
    private static final JsonMapper JSON = JsonMapper.shared();

    @TempDir
    Path directory;

    private List<JsonNode> cases(String name) throws IOException {
        try (var in = getClass().getResourceAsStream("/cases/" + name + ".jsonl")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().map(JSON::readTree).toList();
        }
    }

    private Cli run(String lines, String... options) throws IOException {
        Path file = Files.writeString(directory.resolve("answers.jsonl"), lines);
        var words = new ArrayList<>(List.of("grade", file.toString()));
        words.addAll(List.of(options));
        return Cli.run(words.toArray(String[]::new));
    }

    private List<JsonNode> grade(List<JsonNode> lines, String... options) throws IOException {
        Cli done = run(String.join("\n", lines.stream().map(JsonNode::toString).toList()), options);
        assertThat(done.code()).as(done.err()).isZero();
        List<JsonNode> verdicts = done.out().lines().map(JSON::readTree).toList();
        assertThat(verdicts).hasSameSizeAs(lines);
        return verdicts;
    }

    @ParameterizedTest
    @ValueSource(strings = {"answers", "answers-siblings", "open_thinking"})
    void agreesWithACarefulReader(String name) throws IOException {
        List<JsonNode> lines = cases(name);
        List<JsonNode> verdicts = grade(lines, "--json");
        for (int i = 0; i < lines.size(); i++) {
            assertThat(verdicts.get(i).path("right").asBoolean()).as("%s: %s", lines.get(i), verdicts.get(i)).isEqualTo(lines.get(i).path("right").asBoolean());
        }
    }

    @Test
    void showsTheLetterThatWasChosen() throws IOException {
        List<JsonNode> lines = new ArrayList<>(cases("letters"));
        lines.addAll(cases("letters-siblings"));
        List<JsonNode> verdicts = grade(lines.stream().map(line -> (JsonNode) ((ObjectNode) line).set("gold", line.get("letter"))).toList(), "--kind", "choice");
        for (int i = 0; i < lines.size(); i++) {
            assertThat(verdicts.get(i).get("extracted")).as(lines.get(i).toString()).isEqualTo(lines.get(i).get("letter"));
            assertThat(verdicts.get(i).path("right").asBoolean()).isEqualTo(!lines.get(i).get("letter").isNull());
        }
    }

    @Test
    void runsPrograms() throws IOException {
        Sandbox.Detection detection = Sandbox.detect();
        Assumptions.assumeTrue(detection.sandbox() != null, detection.refusal());
        List<JsonNode> lines = new ArrayList<>(cases("right_programs"));
        lines.addAll(cases("right_programs-siblings"));
        assertThat(grade(lines)).allSatisfy(verdict -> assertThat(verdict.path("right").asBoolean()).isTrue());
        assertThat(run("""
                {"completion": "1. So:\\n   ```python\\n   print(5)\\n   ```\\n", "tests": [["", "5\\n"]]}
                {"completion": "```python\\nprint(5)\\n```\\n", "tests": [["", "5\\n"]], "prompt_opens_think": true}
                {"completion": "<think>```python\\nprint(5)\\n```\\n", "tests": [["", "5\\n"]], "truncated": true}
                {"program": "print(6)", "tests": [["", "5"]]}
                {"program": "print(", "tests": [["", "5"]]}
                {"program": "", "tests": [["", ""]]}
                """, "--kind", "program").out()).isEqualTo("""
                {"right":true,"reason":"match","extracted":"print(5)\\n"}
                {"right":false,"reason":"no_answer","extracted":null}
                {"right":false,"reason":"truncated","extracted":null}
                {"right":false,"reason":"mismatch","extracted":"print(6)"}
                {"right":false,"reason":"program_error","extracted":"print("}
                {"right":false,"reason":"no_answer","extracted":null}
                """);
    }

    /// `\text{29}` and `\mathbf{29}` since version 0.8.0; prose counts there and here not, a box in open thinking likewise.
    @Test
    void mathVerifyIsAModeOfItsOwn() throws IOException {
        String lines = """
                {"gold": "29", "completion": "\\\\boxed{\\\\text{29}}"}
                {"gold": "29", "completion": "The final answer is $29$. I hope it is correct."}

                {"gold": 29, "completion": "maybe \\\\boxed{29}", "truncated": true, "prompt_opens_think": true}
                {"gold": "29", "completion": "\\\\boxed{30"}
                """;
        assertThat(run(lines, "--mode", "math-verify").out().lines().map(line -> JSON.readTree(line).path("right").asBoolean())).containsExactly(true, true, true, false);
        Cli clean = run(lines);
        assertThat(clean.out().lines().map(line -> JSON.readTree(line).path("reason").asString())).containsExactly("match", "no_answer", "truncated", "unparsable");
        assertThat(clean.err()).isEqualTo("1 of 4 right\n");
    }

    /// Nothing is judged where a line is bad; the message names it.
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "{                                                            | not valid JSON",
        "[]                                                           | expected an object",
        "{}                                                           | `gold` is missing",
        "{\"gold\": \"1\"}                                            | `completion` is missing",
        "{\"gold\": \"\", \"completion\": \"\"}                       | `gold` is ``",
        "{\"gold\": null, \"completion\": \"\"}                       | `gold` is `null`",
        "{\"gold\": [1], \"completion\": \"\"}                        | `gold` is `[1]`",
        "{\"gold\": \"1\", \"completion\": 1}                         | `completion` is `1`",
        "{\"gold\": \"1\", \"completion\": \"1\", \"truncated\": 1}   | `truncated` is `1`; expected true or false",
        "{\"gold\": \"1\", \"completion\": \"1\", \"prompt_opens_think\": \"no\"} | `prompt_opens_think`",
        "{\"gold\": \"1\", \"gold\": \"1\", \"completion\": \"\"}     | Duplicate",
        "{\"program\": \"x\"}                                         | `tests` is",
        "{\"program\": \"x\", \"tests\": []}                          | `tests` is `[]`",
        "{\"program\": \"x\", \"tests\": [[\"\"]]}                    | pairs of texts",
        "{\"program\": \"x\", \"tests\": [[\"\", 5]]}                 | pairs of texts",
        "{\"tests\": [[\"\", \"\"]]}                                  | either `program`",
        "{\"program\": \"x\", \"completion\": \"\", \"tests\": [[\"\", \"\"]]} | either `program`",
    })
    void namesTheBadLine(String line, String found) throws IOException {
        run("{\"gold\": \"1\", \"completion\": \"\\\\boxed{1}\"}\n\n" + line + "\n").refused(3, "answers.jsonl:3", found);
    }

    @Test
    void refusesWhatCannotBeGraded() throws IOException {
        run("\n \n").refused(3, "holds no line to grade");
        run("{\"gold\": \"E\", \"completion\": \"\"}", "--kind", "choice").refused(3, "answers.jsonl:1", "expected a letter from A to D");
        run("{}", "--mode", "strict").refused(2, "--mode is `strict`", "[clean, math-verify]");
        run("{}", "--kind", "letters").refused(2, "--kind is `letters`", "[mathematics, choice, program]");
        run("{}", "--kind", "choice", "--mode", "math-verify").refused(2, "mathematics only");
        Cli.run("grade", directory.resolve("absent").toString()).refused(3, "no such file");
        Files.write(directory.resolve("latin"), new byte[] {'{', '}', '\n', '{', '"', (byte) 0xE9, '"', '}'});
        Cli.run("grade", directory.resolve("latin").toString()).refused(3, "latin:1");
    }
}
