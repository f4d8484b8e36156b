package rqat.generate;

import java.util.List;

/// A token of a completion or of a prompt, and how probable the model found it.
///
/// @param token          its id
/// @param logProbability natural logarithm of its probability under the whole vocabulary, before any top-p or top-k cut; at the sampling
///                       temperature for a token of a completion, at temperature 1 for greedy decoding and for a token of a prompt
/// @param alternatives   the most probable tokens of the vocabulary in its place, most probable first, equals by ascending id, whether it
///                       is among them or not; as many as were asked for, none if none were
public record Choice(int token, float logProbability, List<Alternative> alternatives) {
    /// A token that might have stood there, and its log-probability.
    public record Alternative(int token, float logProbability) {}
}
