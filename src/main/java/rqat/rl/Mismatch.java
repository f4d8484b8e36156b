package rqat.rl;

/// How far the sampler's log-probabilities are from those of the training forward pass on the same tokens. With a perfect sampler every
/// ratio `w = exp(training - rollout)` is 1; what is left comes from other kernels, other batch shapes, or a real defect (a layer
/// quantised on one side only, a temperature that one side forgot).
///
/// There is no metric of whole sequences on purpose: over thousands of tokens the product of the ratios is noise, even when every token
/// is as close as two engines can be.
///
/// @param tokens               tokens compared
/// @param absoluteMean         mean of |training - rollout|, in nats
/// @param absoluteMax          largest of them
/// @param k1                   mean of rollout - training: the plain estimate of KL(rollout || training)
/// @param k3                   mean of `w - 1 - log w`, never negative: the low-variance estimate of the same (Schulman 2020)
/// @param probabilityMean      mean difference of the probabilities themselves, absolute
/// @param probabilityMax       largest of them
/// @param effectiveSampleShare `(sum w)^2 / (n sum w^2)`: 1 when all weights are equal
/// @param multiplicativeError  mean of `exp |training - rollout|`
/// @param cappedShare          share of tokens whose weight the cap cut
public record Mismatch(
        long tokens,
        double absoluteMean,
        double absoluteMax,
        double k1,
        double k3,
        double probabilityMean,
        double probabilityMax,
        double effectiveSampleShare,
        double multiplicativeError,
        double cappedShare) {

    /// Compares log-probabilities `[completions][tokens]` where `mask` is true. Without any such token all figures are those of a perfect
    /// sampler.
    ///
    /// @param cap as for [#weights]
    public static Mismatch of(double[][] training, double[][] rollout, boolean[][] mask, double cap) {
        long n = 0, capped = 0;
        double absoluteSum = 0, absoluteMax = 0, k1 = 0, k3 = 0, probabilitySum = 0, probabilityMax = 0;
        double weightSum = 0, squareSum = 0, multiplicativeSum = 0;
        for (int i = 0; i < mask.length; i++) {
            for (int t = 0; t < mask[i].length; t++) {
                if (!mask[i][t]) continue;
                double difference = training[i][t] - rollout[i][t];
                double absolute = Math.abs(difference);
                double weight = Math.exp(difference);
                double probability = Math.abs(Math.exp(training[i][t]) - Math.exp(rollout[i][t]));
                n++;
                absoluteSum += absolute;
                absoluteMax = Math.max(absoluteMax, absolute);
                k1 -= difference;
                k3 += Math.expm1(difference) - difference;
                probabilitySum += probability;
                probabilityMax = Math.max(probabilityMax, probability);
                weightSum += weight;
                squareSum += weight * weight;
                multiplicativeSum += Math.exp(absolute);
                if (weight > cap) capped++;
            }
        }
        if (n == 0) return new Mismatch(0, 0, 0, 0, 0, 0, 0, 1, 1, 0);
        return new Mismatch(
                n,
                absoluteSum / n,
                absoluteMax,
                k1 / n,
                k3 / n,
                probabilitySum / n,
                probabilityMax,
                weightSum * weightSum / (n * squareSum),
                multiplicativeSum / n,
                (double) capped / n);
    }

    /// Truncated importance weights `min(exp(training - rollout), cap)` per token (Yao et al. 2025): they correct the expectation for
    /// sampling from a slightly different distribution, and the cap bounds their variance. Constants of the step: no gradient flows
    /// through them.
    ///
    /// @param cap 1 or more; 2 is customary
    public static double[][] weights(double[][] training, double[][] rollout, double cap) {
        double[][] weights = new double[training.length][];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = new double[training[i].length];
            for (int t = 0; t < weights[i].length; t++) {
                weights[i][t] = Math.min(Math.exp(training[i][t] - rollout[i][t]), cap);
            }
        }
        return weights;
    }
}
