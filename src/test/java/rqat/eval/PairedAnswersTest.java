package rqat.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.generate.StopReason;
import rqat.verify.Reason;

class PairedAnswersTest {

    @Test
    void flipsAndLengthAreOfTheAnswersThatBothGave() {
        var reference = List.of(
                sample("easy", 1, "a", true, 10), sample("easy", 1, "b", true, 20), sample("easy", 2, "a", false, 30), sample("easy", 2, "b", true, 40),
                sample("hard", 1, "a", false, 50), sample("gone", 1, "a", true, 1));
        var given = List.of(
                sample("hard", 1, "a", true, 75), // in another order
                sample("easy", 2, "a", true, 30), sample("easy", 1, "b", false, 60), sample("easy", 1, "a", true, 10),
                sample("easy", 1, "z", false, 1000)); // no partner, and (2, b) has none either
        List<PairedAnswers> found = PairedAnswers.of(reference, given);
        assertThat(found).hasSize(3);
        assertThat(found.get(0)).isEqualTo(new PairedAnswers("easy", 3, 2, 1, 1, 100.0 / 60, 1));
        assertThat(found.get(1)).isEqualTo(new PairedAnswers("hard", 1, 0, 0, 1, 1.5, 1));
        assertThat(found.get(2)).isEqualTo(new PairedAnswers(PairedAnswers.ALL, 4, 2, 1, 2, 175.0 / 110, 1));
    }

    @Test
    void anotherReferenceAnswerIsAnotherProblem() {
        Sample before = new Sample("easy", 1L, "a", "p", "c", "4", Reason.MATCH, "4", StopReason.STOP_TOKEN, 3);
        Sample after = new Sample("easy", 1L, "a", "p", "c", "5", Reason.MATCH, "5", StopReason.STOP_TOKEN, 3);
        assertThat(PairedAnswers.of(List.of(before), List.of(after))).isEmpty();
    }

    @Test
    void choicesHaveFlipsButNoLengthAndWindowsHaveNothing() {
        Sample window = new Sample("text", null, "0", "p", "", "64", Reason.MATCH, "-1.5", null, 63);
        Sample right = new Sample("choice", null, "a", "p", "yes", "yes", Reason.MATCH, "yes", null, 1);
        Sample wrong = new Sample("choice", null, "a", "p", "no", "yes", Reason.MISMATCH, "no", null, 1);
        assertThat(PairedAnswers.of(List.of(window, right), List.of(window, wrong)))
                .containsExactly(new PairedAnswers("choice", 1, 0, 1, 0, null, 1));
    }

    /// By brute force over all divisions of n throws.
    @Test
    void mcNemarsProbabilityIsThatOfAFairCoin() {
        for (int n = 0; n <= 14; n++) {
            for (int lost = 0; lost <= n; lost++) {
                int asUneven = 0;
                for (int throwsOf = 0; throwsOf < 1 << n; throwsOf++) {
                    int heads = Integer.bitCount(throwsOf);
                    if (Math.abs(2 * heads - n) >= Math.abs(2 * lost - n)) asUneven++;
                }
                assertThat(Distributions.fairCoinTwoSided(lost, n - lost)).as("%d of %d", lost, n).isCloseTo(asUneven / Math.pow(2, n), within(1e-12));
            }
        }
        // Large counts: 2 * sum of C(11700, k) / 2^11700 for k up to 5700, in exact integers.
        assertThat(Distributions.fairCoinTwoSided(6000, 5700)).isCloseTo(0.005702989808408016, within(1e-12));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "15*3=45 45+1=46 | 45 | true",
        "the answer is 45. Or is it 46? | 45 | true",
        "45.5 | 45 | false",
        "x = 4.5 | 5 | false",
        "145 and 451 | 45 | false",
        "it is -45 | 45 | false",
        "60-45=15 | 45 | true",
        "it is -45 | -45 | true",
        "1,234 in all | 1234 | true",
        "1234 in all | 1,234 | true",
        "so x = \\frac{1}{2} then | \\frac{1}{2} | true",
        "so x = \\frac {1} {2} | \\frac{1}{2} | true",
        "A or B | A | false",
        "10 20 | 1020 | false",
        "nothing here | 7 | false",
        "Paris it was, then London | Paris | true",
        "Parisian | Paris | false"
    })
    void aReachedAnswerStandsByItself(String text, String gold, boolean reached) {
        assertThat(Reached.in(text, gold)).isEqualTo(reached);
    }

    @Test
    void onlyWrongWrittenAnswersCountAsReachedNotGiven() {
        assertThat(new Sample("t", 1L, "a", "p", "is 4, no, 5", "4", Reason.MISMATCH, "5", StopReason.STOP_TOKEN, 9).reachedNotGiven()).isTrue();
        assertThat(new Sample("t", 1L, "a", "p", "is 4, no, hm", "4", Reason.TRUNCATED, "", StopReason.LENGTH, 9).reachedNotGiven()).isTrue();
        assertThat(new Sample("t", 1L, "a", "p", "is 4", "4", Reason.MATCH, "4", StopReason.STOP_TOKEN, 9).reachedNotGiven()).isFalse();
        assertThat(new Sample("t", null, "a", "p", "no 4", "4", Reason.MISMATCH, "no", null, 1).reachedNotGiven()).isFalse();
    }

    /// A text of a million characters that matches almost everywhere takes no time worth mentioning.
    @Test
    void hostileTextsAreSearchedInLinearTime() {
        var samples = new ArrayList<Boolean>();
        samples.add(Reached.in("1,".repeat(500_000), "111"));
        samples.add(Reached.in(" \t".repeat(500_000), "1 1"));
        samples.add(Reached.in("1".repeat(1_000_000), "1".repeat(40)));
        assertThat(samples).containsExactly(false, false, false);
    }

    private static Sample sample(String task, long seed, String id, boolean right, int tokens) {
        return new Sample(task, seed, id, "p", "c", "g", right ? Reason.MATCH : Reason.MISMATCH, "x", StopReason.STOP_TOKEN, tokens);
    }
}
