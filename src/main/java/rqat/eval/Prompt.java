package rqat.eval;

/// What a model is asked.
public sealed interface Prompt {

    /// The exact text, special tokens spelt out; nothing is put around it.
    record Text(String text) implements Prompt {}
}
