package rqat.rl;

import rqat.Failure;
import rqat.generate.Sampling;
import rqat.train.ChunkedHead;

/// How [OnPolicyObjective] runs a step.
///
/// @param seed           of problem order and sampling
/// @param prompts        problems per step
/// @param groupSize      samples per problem; at least 2 for [Signal.Rewards]
/// @param sampling       its temperature must be above 0; top-p and top-k must be off, since a truncated distribution would bias
///                       every ratio
/// @param truncation     see there
/// @param microBatch     completions that go through the model together
/// @param chunk          rows whose logits are held at a time ([ChunkedHead#chunkFor])
/// @param mismatchLimits when to stop
public record OnPolicySettings(
        long seed,
        int prompts,
        int groupSize,
        Sampling sampling,
        Truncation truncation,
        int microBatch,
        int chunk,
        MismatchGate.Limits mismatchLimits) {
    /// What becomes of completions that the length limit cut.
    public enum Truncation {
        /// They are trained on like others; unfinished, they are wrong, which is the only pressure towards brevity that a reward for
        /// correctness has.
        KEEP,
        /// They take part in the group's mean and deviation but not in the loss.
        MASK_LOSS
    }

    /// Checks the ranges.
    ///
    /// @throws Failure USAGE naming the first value out of range
    public OnPolicySettings {
        require(prompts >= 1, "prompts per step", prompts, "1 or more");
        require(groupSize >= 1, "group size", groupSize, "1 or more");
        require(sampling.temperature() > 0, "temperature", sampling.temperature(), "more than 0: greedy samples are all alike");
        require(sampling.topP() == 1, "top-p", sampling.topP(), "1: a truncated distribution biases every ratio");
        require(sampling.topK() == 0, "top-k", sampling.topK(), "0 (off): a truncated distribution biases every ratio");
        require(microBatch >= 1, "micro-batch", microBatch, "1 or more");
    }

    static void require(boolean holds, String what, double found, String expected) {
        if (!holds) throw Failure.usage("grpo: %s is %s; expected %s".formatted(what, found, expected));
    }
}
