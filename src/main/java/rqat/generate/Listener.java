package rqat.generate;

/// Hears of tokens and completions as they come, on the generating thread; requests are named by their place in the list. What it throws
/// ends the generation.
public interface Listener {
    /// Hears nothing.
    Listener NONE = new Listener() {};

    /// One more token of a request, in order.
    default void token(int request, int token) {}

    /// A request is done; its last token has been told.
    default void completed(int request, Completion completion) {}
}
