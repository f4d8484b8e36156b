package rqat.openai;

import org.jspecify.annotations.Nullable;
import rqat.text.ChatTemplate;
import rqat.text.Tokenizer;

/// What the server knows of its model besides how to run it.
///
/// @param name      by which clients call it
/// @param template  null when the model has none: then there are completions but no chat
/// @param context   longest prompt and completion together, in tokens
/// @param reasoning whether thinking is told apart from the answer
public record ServedModel(String name, Tokenizer tokenizer, @Nullable ChatTemplate template, int context, boolean reasoning) {}
