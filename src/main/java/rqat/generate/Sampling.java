package rqat.generate;

import java.util.List;
import java.util.Set;
import rqat.Failure;

/// How tokens are chosen, and what ends a completion.
///
/// @param temperature  divides the logits; 0 takes the most probable token (the lowest id of equals)
/// @param topP         keeps the smallest set of most probable tokens whose mass, of what top-k leaves, reaches this; 1 keeps all
/// @param topK         keeps this many most probable tokens; 0 keeps all
/// @param maxNewTokens limit of a completion's length
/// @param stopIds      ids that end a completion; may be empty
/// @param stopTexts    texts that end a completion as soon as its text contains one of them, wherever the borders of tokens are; may be empty
public record Sampling(double temperature, double topP, int topK, int maxNewTokens, Set<Integer> stopIds, List<String> stopTexts) {

    /// @throws Failure USAGE naming the first value out of range
    public Sampling {
        if (!(temperature >= 0 && temperature <= 100)) {
            throw Failure.usage("temperature is " + temperature + "; expected 0 (greedy) to 100");
        }
        if (!(topP > 0 && topP <= 1)) throw Failure.usage("top-p is " + topP + "; expected more than 0 and at most 1");
        if (topK < 0) throw Failure.usage("top-k is " + topK + "; expected 0 (off) or more");
        if (maxNewTokens < 1) throw Failure.usage("max new tokens is " + maxNewTokens + "; expected 1 or more");
        stopIds = Set.copyOf(stopIds);
        stopTexts = List.copyOf(stopTexts);
        if (stopTexts.contains("")) throw Failure.usage("a stop text is empty; expected at least one character");
    }

    /// Without stop texts.
    public Sampling(double temperature, double topP, int topK, int maxNewTokens, Set<Integer> stopIds) {
        this(temperature, topP, topK, maxNewTokens, stopIds, List.of());
    }

    /// The most probable token at every step.
    public static Sampling greedy(int maxNewTokens, Set<Integer> stopIds) {
        return new Sampling(0, 1, 0, maxNewTokens, stopIds);
    }

    /// What divides the logits before the softmax that log-probabilities are of: the temperature, or 1 for greedy decoding, which needs none.
    public double divisor() {
        return temperature == 0 ? 1 : temperature;
    }
}
