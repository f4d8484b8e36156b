package rqat.generate;

import rqat.run.Progress;

/// Hears of tokens and completions as they come, on the generating thread; requests are named by their place in the list. What it throws
/// ends the generation.
public interface Listener {
    /// Hears nothing.
    Listener NONE = new Listener() {};

    /// Counts completions for whoever watches `task`.
    static Listener counting(Progress.Task task) {
        return new Listener() {
            @Override
            public void completed(int request, Completion completion) {
                task.advance(1);
            }
        };
    }

    /// One more token of a request, in order.
    default void token(int request, int token) {}

    /// A request is done; its last token has been told.
    default void completed(int request, Completion completion) {}
}
