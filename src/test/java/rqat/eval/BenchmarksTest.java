package rqat.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import rqat.Failure;
import rqat.data.DataSource;
import rqat.verify.Reason;

/// The benchmarks on small files of our own with the published schemas.
class BenchmarksTest {
    private static final DataSource DATA = DataSource.of(Path.of("src/test/resources/rqat/data"));

    @ParameterizedTest
    @EnumSource(Protocol.class)
    void mathematicsIsAskedAsInThePaper(Protocol protocol) {
        Task.Answering task = answering("math_500", protocol);
        assertThat(question(task.problems().get(1)))
                .isEqualTo("What is $2+2$?\n\nPlease reason step by step, and put your final answer within \\boxed{}.");
        assertThat(task.problems().get(1).gold()).isEqualTo(protocol == Protocol.PAPER ? "It is $\\boxed{4}$." : "4");
        for (Task.Problem problem : task.problems()) {
            String gold = problem.id().endsWith("1.json") ? "\\left(3,\\frac{\\pi}{2}\\right)" : "4";
            assertThat(task.verifier().verify("<think>hm</think> \\boxed{" + gold + "}", false, problem.gold()).reason()).isEqualTo(Reason.MATCH);
            assertThat(task.verifier().verify("<think>hm</think> \\boxed{17}", false, problem.gold()).reason()).isEqualTo(Reason.MISMATCH);
        }
        // Only the paper's protocol takes an answer out of reasoning that never ended.
        boolean found = task.verifier().verify("<think>it is \\boxed{4}, or", true, task.problems().get(1).gold()).correct();
        assertThat(found).isEqualTo(protocol == Protocol.PAPER);
    }

    @Test
    void aime120JoinsTheYearsAndKeepsIdsApart() {
        Task.Answering task = answering("aime_120", Protocol.CLEAN);
        assertThat(task.problems()).extracting(Task.Problem::id).containsExactly("2022-2024/1", "2022-2024/2", "2025/1");
        assertThat(task.verifier().verify("\\boxed{25}", false, task.problems().getFirst().gold()).correct()).isTrue();
    }

    @Test
    void gsm8kIsJudgedByItsLastLine() {
        Task.Answering task = answering("gsm8k", Protocol.CLEAN);
        assertThat(task.verifier().verify("\\boxed{\\$4000}", false, task.problems().get(1).gold()).correct()).isTrue();
        assertThat(task.verifier().verify("\\boxed{3000}", false, task.problems().get(1).gold()).correct()).isFalse();
        assertThat(((Task.Answering) Benchmarks.of("gsm8k", DATA, Protocol.CLEAN, 1)).problems()).containsExactly(task.problems().getFirst());
    }

    /// No answer could be right on these; all of them are named at once.
    @Test
    void referenceAnswersThatCannotBeReadAreListed(@TempDir Path directory) throws IOException {
        Path folder = Files.createDirectories(directory.resolve("math_500"));
        var rows = new StringBuilder();
        for (int i = 0; i < 30; i++) {
            String answer = i < 3 ? "\\\\frac{" + (i + 1) + "}{7}" : i == 3 ? "" : i == 4 ? "$ $" : i % 2 == 0 ? "9".repeat(20_000) : "42";
            rows.append("{\"problem\": \"What?\", \"solution\": \"\", \"answer\": \"%s\", \"subject\": \"a\", \"level\": 1, \"unique_id\": \"p%d\"}\n".formatted(answer, i));
        }
        Files.writeString(folder.resolve("test.jsonl"), rows);
        assertThatThrownBy(() -> Benchmarks.of("math_500", DataSource.of(directory), Protocol.CLEAN, 0))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("math_500: 14 of 30 reference answers cannot be read")
                .hasMessageContaining("problem p3: ")
                .hasMessageContaining("problem p4: ")
                .hasMessageContaining("and so on")
                .satisfies(failure -> assertThat(failure.getMessage()).doesNotContain("problem p0").hasSizeLessThan(4000));
    }

    @Test
    void gpqaShowsTheRightAnswerAtAPlaceThatDependsOnTheRecordAlone() {
        Task.Answering task = answering("gpqa_diamond", Protocol.CLEAN);
        assertThat(task.problems()).extracting(Task.Problem::id).containsExactly("recA", "recB", "recC");
        for (Task.Problem problem : task.problems()) {
            String right = switch (problem.id()) {
                case "recA" -> "the second";
                case "recB" -> "H2O";
                default -> "whale";
            };
            assertThat(question(problem)).contains("\n" + problem.gold() + ") " + right);
            assertThat(task.verifier().verify("Answer: " + problem.gold(), false, problem.gold()).correct()).isTrue();
        }
        assertThat(question(task.problems().getFirst()))
                .startsWith("Answer the following multiple choice question. The last line of your response should be of the following format: "
                        + "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering.\n\n"
                        + "Two states have lifetimes\nof 1 s and 2 s. Which, of these, is \"longer\"?\n\nA) ");
        assertThat(question(task.problems().getFirst()).replace("the second", "").replaceAll("[A-D]\\) ", "|"))
                .containsSubsequence("the first", "both", "neither, ever");
    }

    @Test
    void gpqaPlacesAreUniform() {
        var counts = new HashMap<Integer, Integer>();
        for (int i = 0; i < 8000; i++) counts.merge(GpqaDiamond.place("rec" + i), 1, Integer::sum);
        assertThat(counts).hasSize(4).allSatisfy((_, count) -> assertThat(count).isBetween(1850, 2150));
    }

    @Test
    void winograndeScoresTheRestAfterEitherName() {
        var task = (Task.Choosing) Benchmarks.of("winogrande", DATA, Protocol.CLEAN, 0);
        assertThat(task.questions().getFirst()).isEqualTo(new Task.Question(
                "1",
                List.of(
                        new Task.Option("The cup did not fit the case because the cup", " was too large."),
                        new Task.Option("The cup did not fit the case because the case", " was too large.")),
                0));
        assertThat(task.perCharacter()).isFalse();
    }

    @Test
    void hellaSwagIsCleanedOfItsMarks() {
        var task = (Task.Choosing) Benchmarks.of("hellaswag", DATA, Protocol.CLEAN, 0);
        assertThat(task.perCharacter()).isTrue();
        assertThat(task.questions().get(0).options().get(1)).isEqualTo(new Task.Option("Washing hands: A man turns on the tap. He", " flies away."));
        assertThat(task.questions().get(1).options().getFirst()).isEqualTo(new Task.Option("Baking: How to bake. Mix the flour.", "  Add water."));
        assertThat(task.questions().get(1).answer()).isZero();
    }

    @Test
    void wikiTextIsJoinedByEmptyLines() {
        var task = (Task.Reading) Benchmarks.of("wikitext2", DATA, Protocol.CLEAN, 0);
        assertThat(task.text()).isEqualTo("\n\n = Heading = \n\n\n\n\n First line of text . \n\n\n Second line of text . \n\n\n");
        assertThat(task.window()).isEqualTo(2048);
    }

    @Test
    void whatIsNotThereIsNamed() {
        assertThatThrownBy(() -> Benchmarks.of("gsm9k", DATA, Protocol.CLEAN, 0)).isInstanceOf(Failure.class).hasMessageContaining("math_500, gsm8k");
        DataSource empty = DataSource.of(Path.of("src/test/resources"));
        assertThatThrownBy(() -> Benchmarks.of("gsm8k", empty, Protocol.CLEAN, 0))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("no files of gsm8k")
                .hasMessageContaining("openai/gsm8k");
    }

    private static Task.Answering answering(String name, Protocol protocol) {
        return (Task.Answering) Benchmarks.of(name, DATA, protocol, 0);
    }

    private static String question(Task.Problem problem) {
        return (String) ((Prompt.Conversation) problem.prompt()).messages().getFirst().get("content");
    }
}
