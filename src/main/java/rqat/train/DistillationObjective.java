package rqat.train;

import java.util.List;
import java.util.function.LongFunction;
import org.bytedeco.pytorch.Tensor;
import rqat.Failure;
import rqat.data.TokenSequence;
import rqat.model.Decoder;
import rqat.tensor.Grad;
import rqat.tensor.Scope;

/// Knowledge distillation: the student's next-token distribution follows that of a teacher that reads the same tokens, normally the
/// full-precision model before compression. The mean over all loss tokens of the optimiser step of the full-vocabulary divergence.
///
/// @param batches     the sequences of a step, a pure function of the step
/// @param microBatch  sequences that go through both models together
/// @param chunk       rows whose logits are held at a time (see [ChunkedHead#chunkFor])
/// @param teacher     same tokenizer and number of vocabulary rows as the student, any width
/// @param divergence  what is minimised
/// @param temperature both softmaxes; the loss has the factor temperature squared
public record DistillationObjective(
        LongFunction<List<TokenSequence>> batches,
        int microBatch,
        int chunk,
        Decoder teacher,
        Divergence divergence,
        double temperature)
        implements Objective {

    /// Checks the temperature.
    public DistillationObjective {
        if (!(temperature > 0)) throw new IllegalArgumentException("temperature is %s; expected above 0".formatted(temperature));
    }

    @Override
    public StepReport accumulate(Student student, long step) {
        if (student.config().vocabularySize() != teacher.config().vocabularySize()) {
            throw Failure.usage("the student has %d vocabulary rows and the teacher %d; distillation compares them row by row"
                    .formatted(student.config().vocabularySize(), teacher.config().vocabularySize()));
        }
        ChunkedHead head = student.head(chunk);
        Tensor teacherHead = teacher.weights().get(teacher.config().head());
        return TokenMean.accumulate(student, batches.apply(step), step, microBatch, (batch, rows, hidden, coefficient) -> {
            Tensor teacherHidden = Grad.off(() -> Scope.keep(() ->
                    teacher.hidden(batch.ids()).view(-1, teacher.config().hiddenSize()).index_select(0, rows)));
            return head.divergence(hidden, teacherHidden, teacherHead, divergence, temperature, coefficient);
        });
    }
}
