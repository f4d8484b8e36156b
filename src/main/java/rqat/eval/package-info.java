/// Is a model right, and how often: tasks, the runner that samples and scores them, and the statistics of the scores.
///
/// Knows neither how a model was compressed nor how it was trained; it sees a [rqat.generate.Generator], a tokenizer and verifiers.
@NullMarked
package rqat.eval;

import org.jspecify.annotations.NullMarked;
