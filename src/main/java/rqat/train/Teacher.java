package rqat.train;

import org.bytedeco.pytorch.Tensor;
import rqat.Failure;
import rqat.model.Decoder;
import rqat.tensor.Grad;
import rqat.tensor.Scope;

/// Whose next-token distribution a student follows, and by which measure; whoever wrote the tokens that both read.
///
/// @param decoder     same tokenizer and number of vocabulary rows as the student, any width; normally the model before compression
/// @param divergence  what is minimised
/// @param temperature both softmaxes; the loss has the factor temperature squared
public record Teacher(Decoder decoder, Divergence divergence, double temperature) {

    /// Checks the temperature.
    public Teacher {
        if (!(temperature > 0)) throw new IllegalArgumentException("temperature is %s; expected above 0".formatted(temperature));
    }

    /// The divergence over the full vocabulary at `rows`, with its gradient.
    ///
    /// @param chunk       rows whose logits are held at a time (see [ChunkedHead#chunkFor])
    /// @param ids         `[B, T]`, int64, what both have read
    /// @param rows        `[N]`, indices into the flattened `[B * T]`
    /// @param hidden      `[N, hidden]`, the student's final hidden states at `rows`
    /// @param coefficient what each row's divergence is multiplied by in the gradient
    /// @throws Failure USAGE when the vocabularies differ
    public ChunkedHead.Loss loss(Student student, int chunk, Tensor ids, Tensor rows, Tensor hidden, double coefficient) {
        if (student.config().vocabularySize() != decoder.config().vocabularySize()) {
            throw Failure.usage("the student has %d vocabulary rows and the teacher %d; distillation compares them row by row"
                    .formatted(student.config().vocabularySize(), decoder.config().vocabularySize()));
        }
        Tensor own = Grad.off(() -> Scope.keep(() -> decoder.hidden(ids).view(-1, decoder.config().hiddenSize()).index_select(0, rows)));
        Tensor head = decoder.weights().get(decoder.config().head());
        return student.head(chunk).divergence(hidden, own, head, divergence, temperature, coefficient);
    }
}
