package rqat.data;

/// Token ids of one training text and which of them the loss counts.
///
/// @param ids    the tokens, first to last
/// @param inLoss per token, whether its prediction is learned; position `t - 1` of the model predicts token `t`, so the first token
///               never counts, whatever its mark
public record TokenSequence(int[] ids, boolean[] inLoss) {

    /// Checks that both arrays are equally long and not empty.
    public TokenSequence {
        if (ids.length == 0 || ids.length != inLoss.length) {
            throw new IllegalArgumentException("%d tokens with %d loss marks".formatted(ids.length, inLoss.length));
        }
    }

    /// A text of which every token is learned.
    public static TokenSequence all(int[] ids) {
        boolean[] inLoss = new boolean[ids.length];
        java.util.Arrays.fill(inLoss, true);
        return new TokenSequence(ids, inLoss);
    }

    /// Number of predictions that the loss counts.
    public int lossTokens() {
        int count = 0;
        for (int t = 1; t < inLoss.length; t++) {
            if (inLoss[t]) count++;
        }
        return count;
    }
}
