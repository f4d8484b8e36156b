package rqat.verify;

/// What a model wrote, as a [Verifier] needs to know it.
///
/// @param text      what it generated after the prompt, special tokens removed or not
/// @param truncated whether the generation stopped at its length limit instead of at an end-of-text token
/// @param thinking  whether the prompt had opened the thinking already, as the templates of DeepSeek-R1's distillations, QwQ and Qwen3-Thinking do: then the
///                  text begins inside it
public record Attempt(String text, boolean truncated, boolean thinking) {}
