package rqat.verify;

/// What a [Verifier] says about one completion.
///
/// @param reason    why it is right or wrong
/// @param extracted the text of the final answer as the model wrote it, cut to [#MAX_EXTRACTED] characters; empty when there is none
public record Verdict(Reason reason, String extracted) {

    /// Longer answers are cut in the record (never in the comparison), so that logs stay readable.
    public static final int MAX_EXTRACTED = 1000;

    public Verdict {
        if (extracted.length() > MAX_EXTRACTED) {
            int end = Character.isHighSurrogate(extracted.charAt(MAX_EXTRACTED - 1)) ? MAX_EXTRACTED - 1 : MAX_EXTRACTED;
            extracted = extracted.substring(0, end);
        }
    }

    /// Whether the answer is right.
    public boolean correct() {
        return reason == Reason.MATCH;
    }

    /// The reward: 1 when right, else 0.
    public double score() {
        return correct() ? 1 : 0;
    }
}
