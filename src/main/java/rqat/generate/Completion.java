package rqat.generate;

/// What a model answered to one [Request].
///
/// @param tokens           the sampled ids, the stop token included
/// @param logProbabilities for each token its natural log-probability under the whole vocabulary at the sampling temperature, before any
///                         top-p or top-k cut; at temperature 1 for greedy decoding
/// @param stop             why it ended
public record Completion(int[] tokens, float[] logProbabilities, StopReason stop) {}
