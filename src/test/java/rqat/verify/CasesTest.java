package rqat.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.verify.mathematics.MathVerifier;
import rqat.verify.program.ProgramVerifier;
import rqat.verify.program.Sandbox;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Answers of the kinds that users found judged wrongly, each with the verdict of a careful reader; the siblings are our own.
class CasesTest {

    @ParameterizedTest
    @ValueSource(strings = {"answers", "answers-siblings"})
    void answersAreJudgedAsACarefulReaderWould(String file) throws IOException {
        var verifier = new MathVerifier();
        var wrong = new ArrayList<String>();
        for (JsonNode line : lines(file)) {
            Verdict verdict = verifier.verify(line.path("completion").asString(), false, line.path("gold").asString());
            if ((verdict.reason() == Reason.MATCH) != line.path("right").asBoolean()) {
                wrong.add("%s: gold %s, answer %s: %s".formatted(line.path("kind").asString(), line.path("gold").asString(), line.path("completion").asString(), verdict.reason()));
            }
        }
        assertThat(wrong).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"letters", "letters-siblings"})
    void lettersAreThoseChosenClearly(String file) throws IOException {
        var verifier = new ChoiceVerifier(AnswerScope.AUTO, false);
        for (JsonNode line : lines(file)) {
            String completion = line.path("completion").asString();
            assertThat(verifier.verify(completion, false, "A").extracted()).as(completion).isEqualTo(line.path("letter").asString(""));
        }
    }

    @Test
    void anAnswerInsideThinkingThatThePromptOpenedCountsForNothing() throws IOException {
        var letters = new ChoiceVerifier(AnswerScope.AUTO, false);
        for (JsonNode line : lines("open_thinking")) {
            boolean opened = line.path("prompt_opens_think").asBoolean();
            String completion = line.path("completion").asString();
            boolean cut = line.path("stop").asString().equals("length");
            boolean right = line.path("right").asBoolean();
            assertThat(new MathVerifier().judge(line.path("gold").asString()).verdict(new Attempt(completion, cut, opened)).correct()).as(completion).isEqualTo(right);
            String choice = completion.replace("\\boxed{18}", "\\boxed{B}").replace("\\boxed{17}", "\\boxed{C}").replace("18.", "\\boxed{B}");
            assertThat(letters.judge("B").verdict(new Attempt(choice, cut, opened)).correct()).as(choice).isEqualTo(right);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"right_programs", "right_programs-siblings"})
    void rightProgramsAreRight(String file) throws IOException {
        Sandbox.Detection detection = Sandbox.detect();
        Assumptions.assumeTrue(detection.sandbox() != null, detection.refusal());
        var verifier = new ProgramVerifier(detection.sandbox(), ProgramVerifier.Mode.REPAIRED);
        for (JsonNode line : lines(file)) {
            var inputs = new ArrayList<String>();
            var outputs = new ArrayList<String>();
            line.path("tests").forEach(test -> {
                inputs.add(test.get(0).asString());
                outputs.add(test.get(1).asString());
            });
            String program = line.path("program").asString();
            String gold = JsonMapper.shared().writeValueAsString(Map.of("inputs", inputs, "outputs", outputs));
            assertThat(verifier.verify("```python\n" + program + "```\n", false, gold).reason()).as(program).isEqualTo(Reason.MATCH);
            String listed = "1. So:\n" + ("```python\n" + program + "```\n").indent(3);
            assertThat(verifier.verify(listed, false, gold).reason()).as("in a list: %s", program).isEqualTo(Reason.MATCH);
            assertThat(verifier.verify("<think>```python\n" + program + "```\n</think>No.", false, gold).reason()).isEqualTo(Reason.NO_ANSWER);
            assertThat(verifier.verify("<think>```python\n" + program + "```\n", true, gold).reason()).isEqualTo(Reason.TRUNCATED);
        }
    }

    static List<JsonNode> lines(String file) throws IOException {
        try (var in = CasesTest.class.getResourceAsStream("/cases/" + file + ".jsonl")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().map(line -> JsonMapper.shared().readTree(line)).toList();
        }
    }
}
