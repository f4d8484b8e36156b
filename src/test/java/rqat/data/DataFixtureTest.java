package rqat.data;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Fixtures;
import rqat.verify.Reason;
import rqat.verify.Verifier;
import rqat.verify.mathematics.Gold;
import rqat.verify.mathematics.MathVerifier;

/// The real files that are kept beside the fixtures.
class DataFixtureTest {

    @ParameterizedTest
    @ValueSource(strings = {"gsm8k/train.jsonl", "gsm8k/test.jsonl", "aime24/test.jsonl"})
    void everyPublishedAnswerIsUsableAndItsOwnSolutionIsRight(String file) {
        List<Exercise> exercises = read(Fixtures.path("../data/" + file)).stream().map(row -> Exercise.of(row).orElseThrow()).toList();
        assertThat(new HashSet<>(exercises.stream().map(Exercise::id).toList())).hasSameSizeAs(exercises);
        for (Exercise exercise : exercises) {
            Gold gold = Gold.of(exercise.answer());
            assertThat(gold.usable()).as(exercise.id()).isTrue();
            String solution = file.startsWith("gsm8k") ? exercise.solution() : "\\boxed{" + gold.text() + "}";
            Verifier.Judge judge = new MathVerifier().judge(exercise.answer());
            assertThat(judge.verdict(solution, false).reason()).as(exercise.id()).isEqualTo(Reason.MATCH);
            assertThat(judge.verdict("\\boxed{1" + gold.text().strip() + "}", false).correct()).as(exercise.id()).isFalse();
        }
    }

    @Test
    void wikiTextHasARowForEveryLine() {
        List<Row> rows = read(Fixtures.path("../data/wikitext-2/test.txt"));
        assertThat(rows.stream().mapToLong(row -> row.text("text").length() + 1).sum()).isGreaterThan(1_200_000);
        assertThat(rows.get(1).text("text")).isEqualTo(" = Robert <unk> = ");
    }

    private static List<Row> read(Path file) {
        try (Stream<Row> rows = RowFiles.rows(file)) {
            return rows.toList();
        }
    }
}
