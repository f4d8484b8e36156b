package rqat.generate;

/// Why a completion ended. Masks and metrics use this, never the last token: a model may have several stop ids, and a completion cut at
/// its limit may happen to end in one.
public enum StopReason {
    /// The model produced a stop id, which is the last token of the completion.
    STOP_TOKEN,
    /// The completion's text contains a stop text, which the last token completed and which is cut from the text with all after it.
    STOP_TEXT,
    /// The completion reached `maxNewTokens`, or prompt and completion together the model's context.
    LENGTH,
    /// The engine gave up on this request, or was asked to; the tokens so far are valid.
    ABORTED
}
