package rqat.rl;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import rqat.Failure;

/// The clipped policy loss of GRPO and its relatives, with its gradient in closed form.
///
/// For completion i with advantage A and its token t, with `r = exp(new - old)`:
///
///     l = w * max(-min(r, ratioCap) A, -clip(r, 1 - low, 1 + high) A) + klWeight * k,    for A < 0 the maximum is at most dualClip |A|
///
/// and the loss is the sum of `l` over the tokens of the mask divided as the [Preset] says. The gradient with respect to each token's new
/// log-probability is a number that depends on that token's log-probabilities only (or on its completion's, for GSPO), so no autograd is
/// needed: the head multiplies it into the gradient of its log-softmax. When `old` is the detached `new` (one optimiser step per rollout)
/// `r` is exactly 1, nothing is clipped, and the gradient is `-w A / denominator`, known before the forward pass.
///
/// Denominators are counted over the whole optimiser step ([Step]) before its first backward pass; micro-batches only add up, so neither
/// their size nor the order of rows changes anything (except for `BNPO`, which is defined per micro-batch).
///
/// Sources: Shao et al. 2024 (GRPO, arXiv:2402.03300), Yu et al. 2025 (DAPO, arXiv:2503.14476), Liu et al. 2025 (Dr. GRPO,
/// arXiv:2503.20783), Zheng et al. 2025 (GSPO, arXiv:2507.18071), Ye et al. 2020 (dual clip, arXiv:1912.09729). Deviation: the KL
/// estimate is clamped, see [#KL_INPUT_LIMIT].
///
/// All log-probabilities are those of the tokens that were sampled, from logits divided by the rollout temperature.
///
/// @param preset        how token losses become one number
/// @param clipLow       how far the ratio may fall below 1 before a token with a negative advantage stops counting
/// @param clipHigh      how far it may rise above 1 before a token with a positive advantage stops counting
/// @param ratioCap      upper bound of the ratio in the unclipped branch (two-sided clipping); infinity for none
/// @param dualClip      upper bound of `l / |A|` for negative advantages, above 1; infinity for none
/// @param klWeight      weight of the KL divergence to the reference; 0 needs no reference
/// @param klGradient    what the KL term's gradient estimates
/// @param maximumLength the longest completion that sampling allows; only `DR_GRPO` reads it
public record GrpoLoss(
        Preset preset,
        double clipLow,
        double clipHigh,
        double ratioCap,
        double dualClip,
        double klWeight,
        KlGradient klGradient,
        int maximumLength) {

    /// `d = reference - new` is clamped to plus and minus this before `exp(d) - d - 1`, so that one token cannot overflow the loss.
    public static final double KL_INPUT_LIMIT = 20;

    /// The KL estimate of one token is clamped to this.
    public static final double KL_OUTPUT_LIMIT = 10;

    /// How token losses are summed up over one optimiser step of N completions with L tokens each.
    public enum Preset {
        /// Mean over completions of the mean over tokens. Long completions weigh as much as short ones, so each of their tokens weighs less.
        GRPO,
        /// Mean over all tokens of the step.
        DAPO,
        /// Mean over the tokens of each micro-batch, then over micro-batches. Depends on the micro-batch size; kept to reproduce others.
        BNPO,
        /// Sum over tokens divided by N times the maximum length: a constant, so that length has no influence.
        DR_GRPO,
        /// Mean over completions of the sum over tokens.
        SEQUENCE_SUM,
        /// As `GRPO`, with one ratio per completion, `exp(mean of new - old)`, that all its tokens share.
        GSPO
    }

    /// The two readings of the gradient of the KL term, whose value is always `exp(d) - d - 1` (k3).
    public enum KlGradient {
        /// The derivative of the value: on policy its mean is the gradient of KL(reference || policy).
        PLAIN,
        /// `-d`: on policy its mean is the gradient of KL(policy || reference), which is what the value estimates.
        CORRECTED
    }

    /// The denominators of one optimiser step, over all its micro-batches and all ranks.
    ///
    /// @param completions  rows, those without loss tokens included
    /// @param tokens       tokens of the mask
    /// @param microBatches how many calls of [GrpoLoss#of] make up the step
    public record Step(long completions, long tokens, long microBatches) {
        /// Counts a step that is a single micro-batch.
        public static Step of(boolean[][] mask) {
            return new Step(mask.length, count(mask), 1);
        }
    }

    /// Rows of one micro-batch, `[completions][tokens]`; rows may differ in length. Where the mask is false the other arrays are not read.
    ///
    /// @param current    log-probabilities under the weights that are being trained
    /// @param old        log-probabilities under the weights at the start of the rollout's first optimiser step
    /// @param reference  log-probabilities under the reference model; null without a KL term
    /// @param weights    importance weights against the sampler's own log-probabilities ([Mismatch#weights]); null for 1
    /// @param mask       the tokens that count
    /// @param advantages one per completion
    public record Rows(
            double[][] current,
            double[][] old,
            double @Nullable [][] reference,
            double @Nullable [][] weights,
            boolean[][] mask,
            double[] advantages) {}

    /// Loss and gradient of one micro-batch; everything but the gradient adds up over micro-batches.
    ///
    /// @param loss        the micro-batch's share of the loss of the step
    /// @param gradient    of `loss` with respect to `current`; 0 where the mask is false
    /// @param tokens      tokens of the mask
    /// @param clippedLow  tokens (for GSPO: all tokens of completions) below `1 - clipLow` with a negative advantage
    /// @param clippedHigh tokens above `1 + clipHigh` with a positive advantage
    /// @param dualClipped tokens held by `dualClip`
    /// @param klSum       sum of the KL estimates
    /// @param klClamped   tokens whose KL estimate met a limit
    public record Result(
            double loss,
            double[][] gradient,
            long tokens,
            long clippedLow,
            long clippedHigh,
            long dualClipped,
            double klSum,
            long klClamped) {}

    /// Checks the ranges.
    ///
    /// @throws Failure USAGE when a value is out of range
    public GrpoLoss {
        require(clipLow > 0 && clipLow <= 1, "clip low", clipLow, "above 0 and at most 1");
        require(clipHigh > 0, "clip high", clipHigh, "above 0");
        require(ratioCap >= 1, "ratio cap", ratioCap, "at least 1");
        require(dualClip > 1, "dual clip", dualClip, "above 1");
        require(klWeight >= 0 && Double.isFinite(klWeight), "KL weight", klWeight, "0 or more");
        require(maximumLength > 0, "maximum completion length", maximumLength, "1 or more");
    }

    /// The defaults of a preset: clipping at 0.2 on both sides (GSPO: 3e-4 and 4e-4, the paper's, since the mean over a completion moves far
    /// less than its tokens), nothing else.
    public static GrpoLoss of(Preset preset, int maximumLength) {
        boolean sequence = preset == Preset.GSPO;
        return new GrpoLoss(
                preset,
                sequence ? 3e-4 : 0.2,
                sequence ? 4e-4 : 0.2,
                Double.POSITIVE_INFINITY,
                Double.POSITIVE_INFINITY,
                0,
                KlGradient.CORRECTED,
                maximumLength);
    }

    /// Loss and gradient of one micro-batch of `step`.
    public Result of(Rows rows, Step step) {
        double loss = 0;
        double klSum = 0;
        long clippedLow = 0, clippedHigh = 0, dualClipped = 0, klClamped = 0;
        long tokens = count(rows.mask);
        double[][] gradient = new double[rows.mask.length][];
        for (int i = 0; i < rows.mask.length; i++) {
            boolean[] mask = rows.mask[i];
            gradient[i] = new double[mask.length];
            long length = count(mask);
            if (length == 0) continue;
            double advantage = rows.advantages[i];
            double denominator = denominator(length, tokens, step);
            double sequenceShift = preset == Preset.GSPO ? meanShift(rows, i, length) : Double.NaN;
            double sequenceGradient = 0; // of the completion's loss with respect to the shift that its tokens share
            for (int t = 0; t < mask.length; t++) {
                if (!mask[t]) continue;
                double weight = rows.weights == null ? 1 : rows.weights[i][t];
                double shift = preset == Preset.GSPO ? sequenceShift : rows.current[i][t] - rows.old[i][t];
                Policy policy = policy(Math.exp(shift), advantage);
                loss += weight * policy.loss / denominator;
                double policyGradient = weight * policy.gradient / denominator;
                if (preset == Preset.GSPO) sequenceGradient += policyGradient;
                else gradient[i][t] = policyGradient;
                if (policy.low) clippedLow++;
                if (policy.high) clippedHigh++;
                if (policy.dual) dualClipped++;
                if (klWeight > 0) {
                    if (rows.reference == null) throw new IllegalArgumentException("a KL weight needs reference log-probabilities");
                    Kl kl = kl(rows.reference[i][t] - rows.current[i][t]);
                    klSum += kl.value;
                    if (kl.clamped) klClamped++;
                    loss += klWeight * kl.value / denominator;
                    gradient[i][t] += klWeight * kl.gradient / denominator;
                }
            }
            if (preset == Preset.GSPO) {
                for (int t = 0; t < mask.length; t++) {
                    if (mask[t]) gradient[i][t] += sequenceGradient / length;
                }
            }
        }
        return new Result(loss, gradient, tokens, clippedLow, clippedHigh, dualClipped, klSum, klClamped);
    }

    /// What a token's loss is divided by, in a completion of `length` and a micro-batch of `tokens` loss tokens.
    private double denominator(long length, long tokens, Step step) {
        return switch (preset) {
            case GRPO, GSPO -> (double) step.completions * length;
            case DAPO -> step.tokens;
            case BNPO -> (double) step.microBatches * tokens;
            case DR_GRPO -> (double) step.completions * maximumLength;
            case SEQUENCE_SUM -> step.completions;
        };
    }

    /// @param gradient with respect to the token's log-probability: that of the ratio is the ratio itself
    private record Policy(double loss, double gradient, boolean low, boolean high, boolean dual) {}

    private Policy policy(double ratio, double advantage) {
        if (advantage == 0) return new Policy(0, 0, false, false, false); // also keeps infinity times zero out
        boolean low = advantage < 0 && ratio < 1 - clipLow;
        boolean high = advantage > 0 && ratio > 1 + clipHigh;
        double open = -Math.min(ratio, ratioCap) * advantage;
        double clipped = -Math.clamp(ratio, 1 - clipLow, 1 + clipHigh) * advantage;
        double loss = Math.max(open, clipped);
        if (advantage < 0 && loss > -dualClip * advantage) {
            return new Policy(-dualClip * advantage, 0, low, high, true);
        }
        // Inside the clip range both branches are the same line.
        boolean moves = open >= clipped && ratio <= ratioCap;
        return new Policy(loss, moves ? -ratio * advantage : 0, low, high, false);
    }

    private record Kl(double value, double gradient, boolean clamped) {}

    /// @param d reference minus current log-probability
    private Kl kl(double d) {
        double bounded = Math.clamp(d, -KL_INPUT_LIMIT, KL_INPUT_LIMIT);
        double value = Math.expm1(bounded) - bounded;
        boolean clamped = bounded != d || value > KL_OUTPUT_LIMIT;
        double gradient = switch (klGradient) {
            case PLAIN -> clamped ? 0 : -Math.expm1(bounded);
            case CORRECTED -> -bounded;
        };
        return new Kl(Math.min(value, KL_OUTPUT_LIMIT), gradient, clamped);
    }

    private static double meanShift(Rows rows, int i, long length) {
        double sum = 0;
        for (int t = 0; t < rows.mask[i].length; t++) {
            if (rows.mask[i][t]) sum += rows.current[i][t] - rows.old[i][t];
        }
        return sum / length;
    }

    private static long count(boolean[][] mask) {
        return Arrays.stream(mask).mapToLong(GrpoLoss::count).sum();
    }

    private static long count(boolean[] mask) {
        long count = 0;
        for (boolean counts : mask) if (counts) count++;
        return count;
    }

    private static void require(boolean holds, String what, double found, String expected) {
        if (!holds) throw Failure.usage("GRPO loss: %s is %s; expected %s".formatted(what, found, expected));
    }
}
