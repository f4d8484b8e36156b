package rqat.generate;

import java.util.List;
import rqat.Failure;

/// Hears of one request that was given to a [Scheduler], on the thread that steps it, which waits meanwhile: hand over whatever may block.
///
/// First [#prompt] if that was asked for, then [#token] for each token in order, then once either [#completed] or [#failed], and nothing after
/// that. A listener that throws ends its own request and no other: it is told of what it threw by [#failed].
public interface RequestListener {
    /// How probable the prompt was.
    ///
    /// @param choices for each of its tokens but the first, given those before it
    default void prompt(List<Choice> choices) {}

    /// One more token.
    ///
    /// @param text what became certain with it, for requests that want text: often nothing, where a character needs more tokens or a stop text may
    ///             have begun. The pieces joined are the completion's text, without special tokens, the token that stopped it or the
    ///             text that did
    default void token(Choice choice, String text) {}

    /// It is done; its last token has been told. [StopReason#ABORTED] when it was cancelled, or the scheduler closed.
    default void completed(Completion completion) {}

    /// It could not be completed, and the failure says why; the tokens that were told are valid. Whatever this throws is ignored.
    default void failed(Failure failure) {}
}
