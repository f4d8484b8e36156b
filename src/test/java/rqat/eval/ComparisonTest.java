package rqat.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ComparisonTest {

    @Test
    void tailsOfStudentsTAreThoseOfTheClosedForms() {
        for (double t : new double[] {0, 0.1, 0.7, 1, 2.5, 12.706, 400}) {
            assertThat(Distributions.studentTwoSided(t, 1)).isCloseTo(1 - 2 / Math.PI * Math.atan(t), within(1e-12));
            assertThat(Distributions.studentTwoSided(t, 2)).isCloseTo(1 - t / Math.sqrt(t * t + 2), within(1e-12));
            double sine = t / Math.sqrt(t * t + 4);
            assertThat(Distributions.studentTwoSided(-t, 4)).isCloseTo(1 - 1.5 * sine + 0.5 * sine * sine * sine, within(1e-12));
        }
        // The normal distribution's, from tables.
        assertThat(Distributions.studentTwoSided(1.959963985, 1e9)).isCloseTo(0.05, within(1e-7));
        assertThat(Distributions.studentTwoSided(Double.POSITIVE_INFINITY, 3)).isZero();
    }

    /// One repetition, one task: the paired t test over problems.
    @Test
    void isThePairedTestWhereThereIsOneRepetition() {
        double[][] first = {{1, 1, 1, 0, 1, 1}};
        double[][] second = {{0, 1, 0, 0, 1, 0}};
        Comparison found = Comparison.of(tasks(first), tasks(second));
        assertThat(found.difference()).isCloseTo(0.5, within(1e-15));
        // Differences 1 0 1 0 0 1: variance 6/20, standard error sqrt(0.3/6).
        assertThat(found.standardError()).isCloseTo(Math.sqrt(0.05), within(1e-15));
        assertThat(found.degreesOfFreedom()).isCloseTo(5, within(1e-12));
        assertThat(found.probability()).isCloseTo(Distributions.studentTwoSided(0.5 / Math.sqrt(0.05), 5), within(1e-15));
    }

    /// All problems move together from repetition to repetition: the paired t test over repetitions.
    @Test
    void isTheTestOverRepetitionsWhereProblemsAgree() {
        double[][] first = {{.5, .5}, {.7, .7}, {.9, .9}};
        double[][] second = {{.5, .5}, {.5, .5}, {.5, .5}};
        Comparison found = Comparison.of(tasks(first, first), tasks(second, second));
        assertThat(found.difference()).isCloseTo(0.2, within(1e-12));
        assertThat(found.standardError()).isCloseTo(0.2 / Math.sqrt(3), within(1e-12));
        assertThat(found.degreesOfFreedom()).isCloseTo(2, within(1e-9));
        assertThat(found.beyondNoise()).isFalse();
    }

    @Test
    void addsBothKindsOfNoise() {
        double[][] first = {{1, 0, 1, 1}, {0, 0, 1, 1}, {1, 1, 1, 1}};
        double[][] second = {{0, 0, 0, 1}, {0, 0, 1, 0}, {0, 1, 0, 1}};
        Comparison found = Comparison.of(tasks(first), tasks(second));
        // By problem: 2/3, 0, 2/3, 1/3; by repetition: 1/2, 1/4, 1/2.
        double problems = (sum(2 / 3.0, 0, 2 / 3.0, 1 / 3.0)) / 3 / 4;
        double repetitions = sum(0.5, 0.25, 0.5) / 2 / 3;
        assertThat(found.difference()).isCloseTo(5 / 12.0, within(1e-12));
        assertThat(found.standardError()).isCloseTo(Math.sqrt(problems + repetitions), within(1e-12));
        double degrees = Math.pow(problems + repetitions, 2) / (problems * problems / 3 + repetitions * repetitions / 2);
        assertThat(found.degreesOfFreedom()).isCloseTo(degrees, within(1e-9));
    }

    /// The sum of squared distances to the mean.
    private static double sum(double... values) {
        double mean = IntStream.range(0, values.length).mapToDouble(i -> values[i]).average().orElseThrow();
        return IntStream.range(0, values.length).mapToDouble(i -> (values[i] - mean) * (values[i] - mean)).sum();
    }

    @Test
    void saysWhatIsCertainWhereNothingVaries() {
        double[][] all = {{1, 1}, {1, 1}};
        double[][] none = {{0, 0}, {0, 0}};
        assertThat(Comparison.of(tasks(all), tasks(all)).beyondNoise()).isFalse();
        assertThat(Comparison.of(tasks(all), tasks(none)).beyondNoise()).isTrue();
        assertThatThrownBy(() -> Comparison.of(tasks(all), tasks(new double[][] {{1, 1}}))).isInstanceOf(IllegalArgumentException.class);
    }

    /// Two models of equal ability, each trained anew in every repetition, without and with much noise of training.
    @Test
    void seldomFindsADifferenceWhereThereIsNone() {
        var random = new SplittableRandom(7);
        for (double training : new double[] {0, 0.1}) {
            int found = 0;
            int trials = 2000;
            for (int trial = 0; trial < trials; trial++) {
                if (Comparison.of(tasks(model(random, training)), tasks(model(random, training))).beyondNoise()) found++;
            }
            assertThat(found / (double) trials).isBetween(0.001, 0.085);
        }
    }

    private static List<double[][]> tasks(double[][]... tasks) {
        return List.of(tasks);
    }

    private static double[][] model(SplittableRandom random, double training) {
        return IntStream.range(0, 3)
                .mapToObj(_ -> {
                    double ability = 0.7 + training * (random.nextDouble() - 0.5) * Math.sqrt(12);
                    return IntStream.range(0, 100).mapToDouble(_ -> random.nextDouble() < ability ? 1 : 0).toArray();
                })
                .toArray(double[][]::new);
    }
}
