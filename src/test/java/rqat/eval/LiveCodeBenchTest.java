package rqat.eval;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import rqat.data.DataSource;
import rqat.verify.Reason;
import rqat.verify.program.Sandbox;

class LiveCodeBenchTest {
    @Test
    void programsAreJudgedByTheTestsOfTheProblemThatTheyAnswer() {
        Assumptions.assumeTrue(Sandbox.detect().sandbox() != null, "no sandbox on this machine");
        var task = (Task.Answering) Benchmarks.of(
                "livecodebench_v4_v5", DataSource.of(Path.of("src/test/resources/rqat/data")), Protocol.PAPER, 0);
        assertThat(task.problems()).extracting(Task.Problem::id).containsExactly("q1", "q2", "q3", "q4");
        assertThat(question(task, 0)).startsWith("You will be given a question").contains("Question: Add two numbers, é case 1.\n\nRead the inputs from stdin");
        assertThat(question(task, 1)).contains("enclose your code within delimiters.\n```python\nclass Solution:\n    def addNumbers(");
        String program = "Here:\n```python\na, b = map(int, input().split())\nprint(a %s b)\n```";
        String function = "```python\nclass Solution:\n    def addNumbers(self, a, b):\n        return a + b\n```";
        assertThat(reason(task, 0, program.formatted("+"))).isEqualTo(Reason.MATCH);
        // right for the public test and for 2 2 only
        assertThat(reason(task, 0, program.formatted("*"))).isEqualTo(Reason.MISMATCH);
        assertThat(reason(task, 1, function)).isEqualTo(Reason.MATCH);
        assertThat(reason(task, 1, function.replace("a + b", "a * b"))).isEqualTo(Reason.MISMATCH);
        assertThat(reason(task, 2, "no code")).isEqualTo(Reason.NO_ANSWER);
    }

    private static Reason reason(Task.Answering task, int problem, String completion) {
        return task.verifier().verify(completion, false, task.problems().get(problem).gold()).reason();
    }

    private static String question(Task.Answering task, int problem) {
        return (String) ((Prompt.Conversation) task.problems().get(problem).prompt()).messages().getFirst().get("content");
    }
}
