package rqat.generate;

import java.util.List;
import rqat.Failure;

/// Whatever can say how probable given tokens are.
public interface Scorer {
    /// For each sequence the natural log-probabilities of its tokens but the first, each given those before it, at temperature 1 under the
    /// whole vocabulary: element `t` is that of token `t + 1`. A sequence of one token has none.
    ///
    /// @throws rqat.Failure USAGE when a sequence is empty, longer than the model's context or has unknown ids; INTERRUPTED when the thread
    ///                      is interrupted
    List<float[]> score(List<int[]> sequences);

    /// What every model says of sequences that it cannot score.
    ///
    /// @param index of the sequence, for the message
    /// @throws Failure USAGE when it is empty, longer than the context or has unknown ids
    static void check(int index, int[] tokens, int maxPositions, int vocabularySize) {
        if (tokens.length == 0) throw Failure.usage("sequence %d to score is empty; give at least one token".formatted(index));
        if (tokens.length > maxPositions) {
            throw Failure.usage("sequence %d to score has %d tokens; the model's context is %d. Cut it into windows.".formatted(index, tokens.length, maxPositions));
        }
        for (int token : tokens) {
            if (token < 0 || token >= vocabularySize) {
                throw Failure.usage("sequence %d to score contains token %d; the model has tokens 0 to %d. Is this its tokenizer?".formatted(index, token, vocabularySize - 1));
            }
        }
    }
}
