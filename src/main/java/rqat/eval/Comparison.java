package rqat.eval;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// Is one model better than another on the average over tasks, beyond noise?
///
/// Both models answer the same problems in the same *repetitions* (a repetition is a training seed with its evaluation seeds, or, where
/// nothing was trained more than once, an evaluation seed), so all is said about the differences `d[t][r][i]` of task t, repetition r and
/// problem i. Their mean over everything, tasks weighted equally, moves for two reasons, and each is measured by the spread it causes:
///
/// - other problems: `V_t = var_i(mean_r d[t][r][i]) / (problems * tasks^2)` for each task, `problems - 1` degrees of freedom;
/// - other seeds: `V_s = var_r(mean_t mean_i d[t][r][i]) / repetitions`, `repetitions - 1` degrees of freedom.
///
/// The variance of the difference is taken as the sum of all of these; the noise of single answers is in both kinds, so the sum is too large
/// rather than too small. The test is Student's t with the degrees of freedom of Welch and Satterthwaite, `(sum V)^2 / sum(V^2 / df)`, and a
/// difference is *beyond noise* at a probability below 5 %. Between equal models of three repetitions and 100 problems, that found a
/// difference in 1 % (no noise of training) to 7 % (far more of it than of problems) of simulated cases. Comparisons are not corrected for
/// their number.
///
/// @param difference        of the averages, as a share of one
/// @param standardError     of the difference
/// @param degreesOfFreedom  of the test; NaN where nothing varies
/// @param probability       of a difference at least as far from 0 if there were none
public record Comparison(double difference, double standardError, double degreesOfFreedom, double probability) {
    /// From where on a difference is beyond noise.
    public static final double LEVEL = 0.05;

    /// Whether the difference, whatever its sign, exceeds its noise.
    public boolean beyondNoise() {
        return probability < LEVEL;
    }

    /// Compares `first` with `second`.
    ///
    /// @param first  for each task `[repetition][problem]`, the share of right answers to the problem in the repetition
    /// @param second of the same shape
    /// @throws IllegalArgumentException when the shapes differ or there is nothing
    public static Comparison of(List<double[][]> first, List<double[][]> second) {
        int tasks = first.size();
        if (tasks == 0 || second.size() != tasks) throw new IllegalArgumentException("%d and %d tasks".formatted(tasks, second.size()));
        int repetitions = first.getFirst().length;
        double[] perRepetition = new double[repetitions];
        double variance = 0;
        double squares = 0;
        for (int t = 0; t < tasks; t++) {
            double[][] d = differences(first.get(t), second.get(t), repetitions);
            int problems = d[0].length;
            double[] perProblem = new double[problems];
            for (int r = 0; r < repetitions; r++) {
                for (int i = 0; i < problems; i++) {
                    perProblem[i] += d[r][i] / repetitions;
                    perRepetition[r] += d[r][i] / problems / tasks;
                }
            }
            if (problems > 1) {
                double part = variance(perProblem) / problems / tasks / tasks;
                variance += part;
                squares += part * part / (problems - 1);
            }
        }
        if (repetitions > 1) {
            double part = variance(perRepetition) / repetitions;
            variance += part;
            squares += part * part / (repetitions - 1);
        }
        double difference = mean(perRepetition);
        double standardError = Math.sqrt(variance);
        if (!(squares > 0)) return new Comparison(difference, 0, Double.NaN, Math.abs(difference) < 1e-12 ? 1 : 0);
        double degreesOfFreedom = variance * variance / squares;
        return new Comparison(difference, standardError, degreesOfFreedom, Distributions.studentTwoSided(difference / standardError, degreesOfFreedom));
    }

    private static double[][] differences(double[][] first, double[][] second, int repetitions) {
        if (first.length != repetitions || second.length != repetitions || repetitions == 0) {
            throw new IllegalArgumentException("%d and %d repetitions; expected %d".formatted(first.length, second.length, repetitions));
        }
        int problems = first[0].length;
        return IntStream.range(0, repetitions)
                .mapToObj(r -> {
                    if (first[r].length != problems || second[r].length != problems || problems == 0) {
                        throw new IllegalArgumentException("%d and %d problems; expected %d".formatted(first[r].length, second[r].length, problems));
                    }
                    return IntStream.range(0, problems).mapToDouble(i -> first[r][i] - second[r][i]).toArray();
                })
                .toArray(double[][]::new);
    }

    private static double mean(double[] values) {
        return Arrays.stream(values).average().orElseThrow();
    }

    private static double variance(double[] values) {
        double mean = mean(values);
        return Arrays.stream(values).map(value -> (value - mean) * (value - mean)).sum() / (values.length - 1);
    }
}
