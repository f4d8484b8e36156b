package rqat.rl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import rqat.Failure;
import rqat.rl.GrpoLoss.KlGradient;
import rqat.rl.GrpoLoss.Preset;
import rqat.rl.GrpoLoss.Result;
import rqat.rl.GrpoLoss.Rows;
import rqat.rl.GrpoLoss.Step;

class GrpoLossTest {
    private static final double OFF = Double.POSITIVE_INFINITY;

    /// Two completions of 2 and 4 tokens whose values were worked out by hand.
    private static final Rows EXAMPLE = new Rows(
            new double[][] {{-1.0, -0.5}, {-2.0, -1.0, -0.3, -0.7}},
            new double[][] {{-1.3, -0.5}, {-2.0, -0.7, -0.3, -0.6}},
            new double[][] {{-1.1, -0.6}, {-1.9, -1.0, -0.5, -0.7}},
            null,
            new boolean[][] {{true, true}, {true, true, true, true}},
            new double[] {1, -1});

    @ParameterizedTest
    @CsvSource({
        "GRPO, 0, -0.0868953227",
        "DAPO, 0, 0.2508062363",
        "BNPO, 0, 0.2508062363",
        "DR_GRPO, 0, 0.0940523386",
        "SEQUENCE_SUM, 0, 0.7524187090",
        "GRPO, 0.04, -0.0866790660",
        "DAPO, 0.04, 0.2510300797",
        "BNPO, 0.04, 0.2510300797",
        "DR_GRPO, 0.04, 0.0941362799",
        "SEQUENCE_SUM, 0.04, 0.7530902392",
    })
    void theWorkedExample(Preset preset, double klWeight, double expected) {
        Result result = loss(preset, OFF, OFF, klWeight, KlGradient.PLAIN).of(EXAMPLE, Step.of(EXAMPLE.mask()));

        assertThat(result.loss()).isCloseTo(expected, within(1e-10));
        assertThat(result.clippedHigh()).isOne();
        assertThat(result.clippedLow()).isOne();
        assertThat(result.tokens()).isEqualTo(6);
    }

    @Test
    void clippedTokensHaveNoGradientAndTheOthersHaveRatioTimesAdvantage() {
        Result result = loss(Preset.SEQUENCE_SUM, OFF, OFF, 0, KlGradient.PLAIN).of(EXAMPLE, Step.of(EXAMPLE.mask()));

        assertThat(result.gradient()[0]).containsExactly(new double[] {0, -0.5}, within(1e-12));
        assertThat(result.gradient()[1]).containsExactly(new double[] {0.5, 0, 0.5, 0.5 * Math.exp(-0.1)}, within(1e-12));
    }

    @Test
    void dualClipBoundsTheLossOfANegativeAdvantage() {
        Rows rows = new Rows(
                new double[][] {{Math.log(5)}}, new double[][] {{0}}, null, null, new boolean[][] {{true}}, new double[] {-1});

        Result without = loss(Preset.DAPO, OFF, OFF, 0, KlGradient.PLAIN).of(rows, Step.of(rows.mask()));
        Result with = loss(Preset.DAPO, OFF, 3, 0, KlGradient.PLAIN).of(rows, Step.of(rows.mask()));

        assertThat(without.loss()).isCloseTo(5, within(1e-12));
        assertThat(without.gradient()[0][0]).isCloseTo(5, within(1e-12));
        assertThat(with.loss()).isCloseTo(3, within(1e-12));
        assertThat(with.gradient()[0][0]).isZero();
        assertThat(with.dualClipped()).isOne();
    }

    @ParameterizedTest
    @EnumSource(Preset.class)
    void theGradientIsThatOfFiniteDifferences(Preset preset) {
        Rows rows = random(8, 6, 11);
        Step step = Step.of(rows.mask());
        GrpoLoss loss = loss(preset, 1.5, 2.5, 0.3, KlGradient.PLAIN);
        double[][] gradient = loss.of(rows, step).gradient();
        double h = 1e-6;
        int compared = 0;
        for (int i = 0; i < rows.mask().length; i++) {
            for (int t = 0; t < rows.mask()[i].length; t++) {
                double up = loss.of(moved(rows, i, t, h), step).loss();
                double down = loss.of(moved(rows, i, t, -h), step).loss();
                assertThat(gradient[i][t]).as("row %d token %d", i, t).isCloseTo((up - down) / (2 * h), within(1e-8));
                if (gradient[i][t] != 0) compared++;
            }
        }
        assertThat(compared).isGreaterThan(12);
    }

    @ParameterizedTest
    @EnumSource(value = Preset.class, names = "BNPO", mode = EnumSource.Mode.EXCLUDE)
    void microBatchesAndTheOrderOfRowsChangeNothing(Preset preset) {
        Rows rows = random(64, 9, 5);
        GrpoLoss loss = loss(preset, OFF, 3, 0.04, KlGradient.CORRECTED);
        Result whole = loss.of(rows, Step.of(rows.mask()));
        for (int size : new int[] {1, 2, 4, 16, 64}) {
            List<Integer> order = new ArrayList<>(IntStream.range(0, 64).boxed().toList());
            Collections.shuffle(order, new Random(size));
            Step step = new Step(64, whole.tokens(), 64 / size);
            double sum = 0;
            for (int start = 0; start < 64; start += size) {
                List<Integer> part = order.subList(start, start + size);
                Result result = loss.of(pick(rows, part), step);
                sum += result.loss();
                for (int i = 0; i < size; i++) {
                    assertThat(result.gradient()[i]).containsExactly(whole.gradient()[part.get(i)], within(1e-15));
                }
            }
            assertThat(sum).isCloseTo(whole.loss(), within(1e-12));
        }
    }

    @Test
    void onPolicyTheRatioIsOneAndTheGradientIsKnownBeforehand() {
        Rows random = random(8, 6, 3);
        Rows rows = new Rows(random.current(), random.current(), null, random.weights(), random.mask(), random.advantages());

        Result result = GrpoLoss.of(Preset.DAPO, 8).of(rows, Step.of(rows.mask()));

        assertThat(result.clippedLow() + result.clippedHigh() + result.dualClipped()).isZero();
        for (int i = 0; i < 8; i++) {
            for (int t = 0; t < rows.mask()[i].length; t++) {
                double expected = rows.mask()[i][t] ? -rows.weights()[i][t] * rows.advantages()[i] / result.tokens() : 0;
                assertThat(result.gradient()[i][t]).isEqualTo(expected);
            }
        }
    }

    @Test
    void rowsWithoutAdvantageHaveNoGradientButCountInTheDenominator() {
        Rows rows = random(6, 5, 21);
        double[] advantages = rows.advantages().clone();
        advantages[1] = advantages[4] = 0;
        Rows some = new Rows(rows.current(), rows.old(), null, null, rows.mask(), advantages);
        Step step = Step.of(rows.mask());
        for (Preset preset : List.of(Preset.GRPO, Preset.DAPO, Preset.DR_GRPO, Preset.SEQUENCE_SUM, Preset.GSPO)) {
            GrpoLoss loss = GrpoLoss.of(preset, 8);
            Result all = loss.of(some, step);
            Result skipped = loss.of(pick(some, List.of(0, 2, 3, 5)), step);

            assertThat(skipped.loss()).isEqualTo(all.loss());
            assertThat(skipped.gradient()).isDeepEqualTo(
                    new double[][] {all.gradient()[0], all.gradient()[2], all.gradient()[3], all.gradient()[5]});
            assertThat(all.gradient()[1]).containsOnly(0.0);
        }
    }

    @Test
    void theCorrectedKlGradientIsTheGradientOfTheExactDivergenceInExpectation() {
        double[] policy = {0.3, 0.1, 0.25, 0.05, 0.3};
        double[] reference = {0.2, 0.2, 0.1, 0.3, 0.2};
        double divergence = IntStream.range(0, 5).mapToDouble(v -> policy[v] * Math.log(policy[v] / reference[v])).sum();
        double[] exact = new double[5]; // of KL(policy || reference) with respect to the logits
        double[] other = new double[5]; // of KL(reference || policy)
        for (int v = 0; v < 5; v++) {
            exact[v] = policy[v] * (Math.log(policy[v] / reference[v]) - divergence);
            other[v] = policy[v] - reference[v];
        }

        assertThat(expectedLogitGradient(policy, reference, KlGradient.CORRECTED)).containsExactly(exact, within(1e-14));
        assertThat(expectedLogitGradient(policy, reference, KlGradient.PLAIN)).containsExactly(other, within(1e-14));
        assertThat(klSum(policy, reference)).isCloseTo(divergence, within(1e-14));
    }

    @Test
    void aTokenFarFromTheReferenceIsClampedAndCounted() {
        Rows rows = new Rows(new double[][] {{-50, -0.1}}, new double[][] {{-50, -0.1}}, new double[][] {{-1, -60}}, null,
                new boolean[][] {{true, true}}, new double[] {0});

        Result result = loss(Preset.SEQUENCE_SUM, OFF, OFF, 1, KlGradient.CORRECTED).of(rows, Step.of(rows.mask()));

        assertThat(result.klClamped()).isEqualTo(2);
        assertThat(result.klSum()).isEqualTo(2 * GrpoLoss.KL_OUTPUT_LIMIT);
        assertThat(result.gradient()[0]).containsExactly(-GrpoLoss.KL_INPUT_LIMIT, GrpoLoss.KL_INPUT_LIMIT);
    }

    @Test
    void bnpoIsTheMeanOfMicroBatchMeans() {
        Rows rows = random(4, 5, 2);
        GrpoLoss loss = GrpoLoss.of(Preset.BNPO, 8);
        Step two = new Step(4, Step.of(rows.mask()).tokens(), 2);
        Rows first = pick(rows, List.of(0, 1)), second = pick(rows, List.of(2, 3));

        double sum = loss.of(first, two).loss() + loss.of(second, two).loss();

        double means = loss.of(first, Step.of(first.mask())).loss() + loss.of(second, Step.of(second.mask())).loss();
        assertThat(sum).isCloseTo(means / 2, within(1e-14));
    }

    @Test
    void settingsOutOfRangeAreRefused() {
        assertThatThrownBy(() -> new GrpoLoss(Preset.GRPO, -0.1, 0.2, OFF, OFF, 0, KlGradient.PLAIN, 8))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.USAGE))
                .hasMessage("GRPO loss: clip low is -0.1; expected above 0 and at most 1");
        assertThatThrownBy(() -> new GrpoLoss(Preset.GRPO, 0.2, 0.2, OFF, 0.5, 0, KlGradient.PLAIN, 8)).isInstanceOf(Failure.class);
        assertThatThrownBy(() -> new GrpoLoss(Preset.GRPO, 0.2, 0.2, OFF, OFF, Double.NaN, KlGradient.PLAIN, 8))
                .isInstanceOf(Failure.class);
    }

    private static GrpoLoss loss(Preset preset, double ratioCap, double dualClip, double klWeight, KlGradient klGradient) {
        return new GrpoLoss(preset, 0.2, 0.2, ratioCap, dualClip, klWeight, klGradient, 8);
    }

    private static Rows random(int completions, int longest, long seed) {
        var random = new SplittableRandom(seed);
        double[][][] values = new double[4][completions][];
        boolean[][] mask = new boolean[completions][];
        for (int i = 0; i < completions; i++) {
            int length = 1 + random.nextInt(longest);
            for (int k = 0; k < 4; k++) values[k][i] = new double[length];
            mask[i] = new boolean[length];
            for (int t = 0; t < length; t++) {
                values[0][i][t] = -random.nextDouble(3);
                values[1][i][t] = values[0][i][t] + random.nextDouble(-1.2, 1.2);
                values[2][i][t] = values[0][i][t] + random.nextDouble(-1, 1);
                values[3][i][t] = random.nextDouble(0.5, 2);
                mask[i][t] = random.nextDouble() < 0.9;
            }
        }
        double[] advantages = random.doubles(completions, -1.5, 1.5).toArray();
        return new Rows(values[0], values[1], values[2], values[3], mask, advantages);
    }

    private static Rows moved(Rows rows, int i, int t, double by) {
        double[][] current = Arrays.stream(rows.current()).map(double[]::clone).toArray(double[][]::new);
        current[i][t] += by;
        return new Rows(current, rows.old(), rows.reference(), rows.weights(), rows.mask(), rows.advantages());
    }

    private static Rows pick(Rows rows, List<Integer> indices) {
        return new Rows(
                pick(rows.current(), indices),
                pick(rows.old(), indices),
                rows.reference() == null ? null : pick(rows.reference(), indices),
                rows.weights() == null ? null : pick(rows.weights(), indices),
                indices.stream().map(i -> rows.mask()[i]).toArray(boolean[][]::new),
                indices.stream().mapToDouble(i -> rows.advantages()[i]).toArray());
    }

    private static double[][] pick(double[][] values, List<Integer> indices) {
        return indices.stream().map(i -> values[i]).toArray(double[][]::new);
    }

    /// Sums `probability(v) * coefficient(v) * d log probability(v) / d logits` over a vocabulary of 5.
    private static double[] expectedLogitGradient(double[] policy, double[] reference, KlGradient klGradient) {
        Rows rows = vocabulary(policy, reference);
        Result result = loss(Preset.SEQUENCE_SUM, OFF, OFF, 1, klGradient).of(rows, new Step(1, 1, 1));
        double[] gradient = new double[5];
        for (int v = 0; v < 5; v++) {
            for (int u = 0; u < 5; u++) {
                gradient[u] += policy[v] * result.gradient()[v][0] * ((u == v ? 1 : 0) - policy[u]);
            }
        }
        return gradient;
    }

    private static double klSum(double[] policy, double[] reference) {
        double sum = 0;
        for (int v = 0; v < 5; v++) {
            Rows one = pick(vocabulary(policy, reference), List.of(v));
            sum += policy[v] * loss(Preset.SEQUENCE_SUM, OFF, OFF, 1, KlGradient.PLAIN).of(one, new Step(1, 1, 1)).klSum();
        }
        return sum;
    }

    /// One completion of one token for each token of the vocabulary.
    private static Rows vocabulary(double[] policy, double[] reference) {
        double[][] current = Arrays.stream(policy).mapToObj(p -> new double[] {Math.log(p)}).toArray(double[][]::new);
        double[][] other = Arrays.stream(reference).mapToObj(p -> new double[] {Math.log(p)}).toArray(double[][]::new);
        boolean[][] mask = new boolean[5][1];
        for (boolean[] row : mask) row[0] = true;
        return new Rows(current, current, other, null, mask, new double[5]);
    }
}
