/// Text in, token ids out, and back: the tokenizer of a model directory, chat templates, assistant masks.
///
/// Everything here is plain Java over the files of a Hugging Face model directory; no tensors, no native code, no printing.
/// Files and texts are untrusted: every loop is bounded by its input and every complaint is one [rqat.Failure].
@NullMarked
package rqat.text;

import org.jspecify.annotations.NullMarked;
