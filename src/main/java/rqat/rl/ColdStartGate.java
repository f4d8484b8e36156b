package rqat.rl;

import java.util.Arrays;
import java.util.Locale;
import rqat.Failure;

/// Refuses reinforcement learning on a model that cannot learn from it: the central finding of the Reasoning-QAT paper is that a collapsed
/// low-bit model gains nothing from rewards (10.41 to 10.84), while a distilled one does. Also catches the wrong checkpoint and a broken
/// chat template, in minutes instead of days.
///
/// @param minimumPassRate   smallest acceptable [Outcome#passRate]
/// @param minimumMixedShare smallest acceptable [Outcome#mixedShare]
public record ColdStartGate(double minimumPassRate, double minimumMixedShare) {
    /// One answer in five right, one group in ten with something to learn from.
    public static final ColdStartGate DEFAULT = new ColdStartGate(0.2, 0.1);

    /// A model that is right this often has few mixed groups because it is good; there is little to gain, and nothing to refuse.
    private static final double SOLVED = 0.9;

    /// What a model does on held-out prompts, several samples each.
    ///
    /// @param prompts    number of prompts
    /// @param groupSize  samples per prompt
    /// @param passRate   share of right samples: pass@1
    /// @param mixedShare share of prompts with both right and wrong samples; only these have a gradient
    public record Outcome(int prompts, int groupSize, double passRate, double mixedShare) {
        /// From rewards of 0 or 1 (`NaN` for none), completions of one prompt being neighbours.
        public static Outcome of(double[] rewards, int groupSize) {
            if (rewards.length == 0 || rewards.length % groupSize != 0) {
                throw new IllegalArgumentException("%d rewards are not whole groups of %d".formatted(rewards.length, groupSize));
            }
            int prompts = rewards.length / groupSize;
            long mixed = 0;
            for (int start = 0; start < rewards.length; start += groupSize) {
                if (!Advantages.isFlat(Arrays.copyOfRange(rewards, start, start + groupSize))) mixed++;
            }
            return new Outcome(prompts, groupSize, Advantages.mean(rewards), (double) mixed / prompts);
        }
    }

    /// Lets the outcome pass or stops.
    ///
    /// @param force pass whatever the outcome
    /// @throws Failure GATE when the outcome is below the minimum
    public void check(Outcome outcome, boolean force) {
        boolean learnable = outcome.mixedShare >= minimumMixedShare || outcome.passRate >= SOLVED;
        if (force || outcome.passRate >= minimumPassRate && learnable) return;
        String advice = outcome.passRate < minimumPassRate
                ? "The model is too weak to find rewards: distil it longer, start from a better quantisation, use easier prompts, and check the"
                        + " checkpoint and its chat template"
                : "It always solves some prompts and never the others: use prompts of a difficulty in between, or a larger group";
        throw Failure.gate(String.format(
                Locale.ROOT,
                "cold-start gate: on %d held-out prompts with %d samples each, %.1f %% of the samples are right (minimum %.1f %%) and %.1f %% of"
                        + " the prompts have right and wrong samples (minimum %.1f %%). %s. To go on all the same, force it.",
                outcome.prompts,
                outcome.groupSize,
                100 * outcome.passRate,
                100 * minimumPassRate,
                100 * outcome.mixedShare,
                100 * minimumMixedShare,
                advice));
    }
}
