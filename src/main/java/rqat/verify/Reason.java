package rqat.verify;

/// Why a completion was scored as it was. Only [#MATCH] is right.
public enum Reason {
    /// The final answer equals the gold answer.
    MATCH,
    /// There is a final answer and it is another one.
    MISMATCH,
    /// The model ended by itself without a final answer: no box, an empty box, or thinking that was never closed.
    NO_ANSWER,
    /// A final answer was begun but cannot be read: its box is never closed, or it is longer than any answer.
    UNPARSABLE,
    /// Comparing would have cost more steps than one answer is worth, or a program ran longer than it may.
    TIMEOUT,
    /// A program does not compile, raises, dies, or uses more memory or output than it may.
    PROGRAM_ERROR,
    /// The generation was cut by its length limit before a final answer was complete.
    TRUNCATED
}
