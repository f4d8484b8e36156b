package rqat.rl;

import java.util.Arrays;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/// How much better each completion of a prompt is than its siblings: the baseline of GRPO is the group itself (Shao et al. 2024,
/// arXiv:2402.03300, section 4.1).
///
/// Completions of one prompt are neighbours: group `g` is the rows `g * groupSize .. (g + 1) * groupSize - 1`. `NaN` is a missing reward:
/// it takes no part in any mean or deviation and its own advantage is 0. Standard deviations divide by n - 1 and have [#EPSILON] added.
/// When all rewards of a group are equal its advantages are exactly 0, whatever rounding does to their mean.
public final class Advantages {
    /// Added to every standard deviation, so that a tiny spread is not blown up.
    public static final double EPSILON = 1e-4;

    private Advantages() {}

    /// What a reward is compared with and divided by.
    public enum Scaling {
        /// `(R - mean) / (std + EPSILON)` within the group: GRPO.
        GROUP_STD,
        /// `(R - group mean) / (std of the whole batch + EPSILON)`: easy and hard prompts keep their relative size.
        BATCH_STD,
        /// `R - mean`: Dr. GRPO (Liu et al. 2025, arXiv:2503.20783), which leaves out the division because it favours prompts that are
        /// nearly always or nearly never solved.
        NONE,
        /// `R - mean of the others`, not divided: RLOO (Ahmadian et al. 2024, arXiv:2402.14740), an unbiased baseline.
        LEAVE_ONE_OUT
    }

    /// One advantage per completion from one reward per completion.
    public static double[] of(double[] rewards, int groupSize, Scaling scaling) {
        if (groupSize < 1 || rewards.length % groupSize != 0) {
            throw new IllegalArgumentException("%d rewards are not whole groups of %d".formatted(rewards.length, groupSize));
        }
        double batchDeviation = scaling == Scaling.BATCH_STD ? deviation(rewards) : 0;
        double[] advantages = new double[rewards.length];
        for (int start = 0; start < rewards.length; start += groupSize) {
            double[] group = Arrays.copyOfRange(rewards, start, start + groupSize);
            if (isFlat(group)) continue;
            double mean = mean(group);
            double factor = switch (scaling) {
                case GROUP_STD -> 1 / (deviation(group) + EPSILON);
                case BATCH_STD -> 1 / (batchDeviation + EPSILON);
                case NONE -> 1;
                // R - (n mean - R) / (n - 1) = n / (n - 1) (R - mean); a group that is not flat has n >= 2
                case LEAVE_ONE_OUT -> {
                    double n = present(group).count();
                    yield n / (n - 1);
                }
            };
            for (int i = 0; i < groupSize; i++) {
                advantages[start + i] = Double.isNaN(group[i]) ? 0 : (group[i] - mean) * factor;
            }
        }
        return advantages;
    }

    /// The weighted sum of several rewards, `rewards [completions][kinds]` and `weights [kinds]` to `[completions]`. Missing ones are left
    /// out of the sum; where all are missing the sum is missing.
    public static double[] weightedSum(double[][] rewards, double[] weights) {
        return Arrays.stream(rewards).mapToDouble(row -> weightedSum(row, weights)).toArray();
    }

    /// GDPO (arXiv:2601.05242): each kind of reward is normalised within its group before the weighted sum, so that kinds of different
    /// spread do not drown each other; the sums are then normalised over the batch.
    public static double[] normaliseThenSum(double[][] rewards, double[] weights, int groupSize) {
        double[][] normalised = new double[rewards.length][weights.length];
        for (int kind = 0; kind < weights.length; kind++) {
            int k = kind;
            double[] advantages = of(Arrays.stream(rewards).mapToDouble(row -> row[k]).toArray(), groupSize, Scaling.GROUP_STD);
            for (int i = 0; i < rewards.length; i++) {
                normalised[i][kind] = Double.isNaN(rewards[i][kind]) ? Double.NaN : advantages[i];
            }
        }
        double[] sums = weightedSum(normalised, weights);
        return of(sums, sums.length, Scaling.GROUP_STD);
    }

    /// Whether a group's rewards are all equal (or missing, or a single one is left): it teaches nothing.
    public static boolean isFlat(double[] group) {
        return present(group).min().orElse(0) == present(group).max().orElse(0);
    }

    private static double weightedSum(double[] rewards, double[] weights) {
        if (rewards.length != weights.length) {
            throw new IllegalArgumentException("%d rewards, %d weights".formatted(rewards.length, weights.length));
        }
        if (present(rewards).findAny().isEmpty()) return Double.NaN;
        return IntStream.range(0, rewards.length)
                .filter(k -> !Double.isNaN(rewards[k]))
                .mapToDouble(k -> weights[k] * rewards[k])
                .sum();
    }

    static double mean(double[] values) {
        return present(values).average().orElse(Double.NaN);
    }

    /// Standard deviation with n - 1; 0 when fewer than two values are there.
    static double deviation(double[] values) {
        double mean = mean(values);
        long count = present(values).count();
        if (count < 2) return 0;
        return Math.sqrt(present(values).map(value -> (value - mean) * (value - mean)).sum() / (count - 1));
    }

    private static DoubleStream present(double[] values) {
        return Arrays.stream(values).filter(value -> !Double.isNaN(value));
    }
}
