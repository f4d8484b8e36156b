package rqat.eval;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import rqat.Fixtures;
import rqat.data.DataSource;
import rqat.verify.mathematics.Gold;

/// The benchmarks on the real files that are kept beside the fixtures.
class BenchmarksFixtureTest {

    @ParameterizedTest
    @EnumSource(Protocol.class)
    void gsm8kTakesEveryPublishedAnswerAndNoOther(Protocol protocol) {
        var task = (Task.Answering) Benchmarks.of("gsm8k", data(), protocol, 0);
        assertThat(task.problems()).hasSize(1319);
        for (Task.Problem problem : task.problems()) {
            String number = Gold.of(problem.gold()).text();
            String completion = "<think>\nhm\n</think>\n\nThe answer is \\boxed{%s}.";
            assertThat(task.verifier().verify(completion.formatted(number), false, problem.gold()).correct()).as(problem.id()).isTrue();
            assertThat(task.verifier().verify(completion.formatted("1" + number), false, problem.gold()).correct()).as(problem.id()).isFalse();
        }
    }

    @ParameterizedTest
    @EnumSource(Protocol.class)
    void aimeTakesEveryPublishedAnswerAndNoOther(Protocol protocol) {
        var task = (Task.Answering) Benchmarks.of("aime_2024", data(), protocol, 0);
        assertThat(task.problems()).hasSize(30);
        for (Task.Problem problem : task.problems()) {
            int answer = Integer.parseInt(problem.gold());
            assertThat(task.verifier().verify("<think>\n</think>\\boxed{" + answer + "}", false, problem.gold()).correct()).isTrue();
            assertThat(task.verifier().verify("<think>\n</think>\\boxed{" + (answer + 1) + "}", false, problem.gold()).correct()).isFalse();
        }
    }

    @Test
    void wikiTextIsReadWhole() {
        var task = (Task.Reading) Benchmarks.of("wikitext2", data(), Protocol.CLEAN, 0);
        assertThat(task.text()).startsWith("\n\n = Robert <unk> = \n\n\n").contains(" He had a guest @-@ starring role");
    }

    private static DataSource data() {
        Path directory = Fixtures.path("../data");
        return DataSource.of(directory);
    }
}
