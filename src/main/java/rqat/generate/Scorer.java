package rqat.generate;

import java.util.List;

/// Whatever can say how probable given tokens are.
public interface Scorer {
    /// For each sequence the natural log-probabilities of its tokens but the first, each given those before it, at temperature 1 under the
    /// whole vocabulary: element `t` is that of token `t + 1`. A sequence of one token has none.
    ///
    /// @throws rqat.Failure USAGE when a sequence is empty, longer than the model's context or has unknown ids; INTERRUPTED when the thread
    ///                      is interrupted
    List<float[]> score(List<int[]> sequences);
}
