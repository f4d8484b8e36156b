package rqat.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.LinkedHashMap;
import java.util.List;
import org.junit.jupiter.api.Test;
import rqat.report.RunComparison.Difference;
import rqat.report.Results.Row;
import rqat.report.Results.Score;

class RunComparisonTest {
    private static Row row(String name, Score score) {
        var scores = new LinkedHashMap<String, Score>();
        scores.put("gsm8k", score);
        return Row.of(name, "3", scores);
    }

    @Test
    void noiseIsTwiceTheStandardErrorOfTheDifference() {
        var first = new Results(List.of(row("gptq", new Score(50, 3, 100, 9)), row("alone", new Score(1, 0, 1, 1))));
        var second = new Results(List.of(row("gptq", new Score(53, 4, 100, 4)), row("other", new Score(1, 0, 1, 1))));
        Difference difference = RunComparison.of(first, second).getFirst();
        assertThat(difference.points()).isEqualTo(3);
        assertThat(difference.noise()).isEqualTo(2 * Math.sqrt(9.0 / 9 + 16.0 / 4));
        assertThat(difference.real()).isFalse();
        assertThat(RunComparison.text(first, second)).contains("within noise").contains("only in the first: alone").contains("only in the second: other");
    }

    @Test
    void oneSeedLeavesTheNumberOfProblems() {
        var first = new Results(List.of(row("gptq", new Score(50, Double.NaN, 400, 1))));
        var second = new Results(List.of(row("gptq", new Score(60, Double.NaN, 400, 1))));
        Difference difference = RunComparison.of(first, second).getFirst();
        assertThat(difference.points()).isCloseTo(10, org.assertj.core.data.Offset.offset(1e-9));
        assertThat(difference.noise()).isCloseTo(200 * Math.sqrt(0.25 / 400 + 0.24 / 400), org.assertj.core.data.Offset.offset(1e-9));
        assertThat(difference.real()).isTrue();
        assertThat(RunComparison.text(first, second)).contains("better").contains("+10.00");
        assertThat(RunComparison.text(second, first)).contains("worse");
    }
}
