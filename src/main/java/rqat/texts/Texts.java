package rqat.texts;

/// Which texts of the word problems a stage reads: those of the task that the model is evaluated on, or others (paper, section 3.5, which has
/// mathematics and an encyclopedia).
public enum Texts {
    /// Question, reasoning and answer.
    WORKED,
    /// The questions alone: language that the model knows, without reasoning.
    QUESTIONS,
    /// Tokens drawn evenly from the vocabulary: no language at all.
    RANDOM
}
