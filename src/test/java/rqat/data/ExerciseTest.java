package rqat.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.data.DataSource.Publication;
import rqat.verify.mathematics.Gold;
import tools.jackson.databind.json.JsonMapper;

class ExerciseTest {
    static final Path DATA = Path.of("src/test/resources/rqat/data");

    @Test
    void openR1GivesTheFirstGenerationThatIsCompleteAndRight() {
        List<Exercise> exercises = read("open-r1/OpenR1-Math-220k");
        assertThat(exercises).extracting(Exercise::id).containsExactly("0000-0", "0000-1", "0000-2", "0000-5");
        assertThat(exercises).extracting(Exercise::answer).containsExactly("0", "2", "4", "10");
        assertThat(exercises).extracting(Exercise::solution).containsExactly(
                "<think>\n0 and 0\n</think>\n\nThe answer is \\boxed{0}.",
                "<think>\n1 and 1 make 2\n</think>\n\nThe answer is \\boxed{2}.",
                "<think>\n2 and 2\n</think>\n\nThe answer is \\boxed{4}.",
                "<think>\njudged by the model\n</think>\n\nThe answer is \\boxed{10}.");
        assertThat(exercises.get(1).question()).isEqualTo("What is $1 + 1$?");
    }

    @Test
    void numinaMathLeavesOutProofsAndWhatIsInvalid() {
        assertThat(read("AI-MO/NuminaMath-1.5")).extracting(Exercise::answer).containsExactly("9", "\\frac{1}{2}");
    }

    @Test
    void gsm8kLosesItsCalculatorMarksAndItsLastLineBecomesABox() {
        List<Exercise> exercises = read("openai/gsm8k");
        assertThat(exercises).extracting(Exercise::solution).containsExactly(
                "There are 3*4=12 eggs.\n\\boxed{12}",
                "The other costs 3*1000=$3000.\nBoth cost 1000+3000=$4,000.\n\\boxed{4,000}");
        assertThat(exercises.get(1).answer()).endsWith("#### 4,000");
        assertThat(exercises).extracting(Exercise::id).containsExactly("test-00000-of-00001.parquet:1", "test-00000-of-00001.parquet:2");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            HuggingFaceH4/MATH-500  | test/made/1.json, test/made/2.json
            xiaoyuanliu/AIME90      | 1, 2
            yentinglin/aime_2025    | 1
            Maxwell-Jia/AIME_2024   | 2024-I-9
            """)
    void everyPublisherOfProblemsAndAnswersIsUnderstood(String repository, String ids) {
        List<Exercise> exercises = read(repository);
        assertThat(exercises).extracting(Exercise::id).containsExactly(ids.split(", "));
        assertThat(exercises).allSatisfy(exercise -> {
            assertThat(exercise.question()).isNotBlank();
            assertThat(exercise.solution()).isNotBlank();
            assertThat(Gold.of(exercise.answer()).usable()).isTrue();
        });
    }

    @Test
    void conversationsGiveTheirFirstExchange() {
        assertThat(of("""
                {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                  {"role": "assistant", "content": "<think>\\nt\\n</think>\\n\\n\\\\boxed{3}"}, {"role": "user", "content": "again"}]}"""))
                .hasValueSatisfying(exercise -> {
                    assertThat(exercise.question()).isEqualTo("q");
                    assertThat(exercise.solution()).isEqualTo("<think>\nt\n</think>\n\n\\boxed{3}");
                    assertThat(Gold.of(exercise.answer()).text()).isEqualTo("3");
                });
        assertThat(of("{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}")).isEmpty();
        assertThatThrownBy(() -> of("{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}]}")).isInstanceOf(Failure.class);
    }

    @Test
    void anEarlyRevisionCalledTheProblemAQuestion() {
        assertThat(of("{\"id\": 5, \"question\": \"q\", \"answer\": \"70\"}")).contains(new Exercise("5", "q", "70", null));
    }

    @Test
    void otherColumnsAreRefusedByName() {
        assertThatThrownBy(() -> of("{\"prompt\": \"q\", \"answer\": \"70\"}"))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("no column `problem` or `question`")
                .hasMessageContaining("prompt, answer");
        assertThatThrownBy(() -> of("{\"generations\": \"text\", \"problem\": \"\"}")).hasMessageContaining("expected a list");
    }

    private static Optional<Exercise> of(String json) {
        return Exercise.of(new Row("made.jsonl", 1, JsonMapper.shared().readTree(json)));
    }

    private static List<Exercise> read(String repository) {
        try (Stream<Row> rows = DataSource.of(DATA).rows(Publication.of("unused", repository, "**"))) {
            return rows.map(Exercise::of).flatMap(Optional::stream).toList();
        }
    }
}
