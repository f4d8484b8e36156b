package rqat.train;

import java.util.List;
import java.util.function.LongFunction;
import rqat.data.TokenSequence;

/// Knowledge distillation: the student's next-token distribution follows that of a teacher that reads the same given texts. The mean over
/// all loss tokens of the optimiser step of the full-vocabulary divergence.
///
/// @param batches    the sequences of a step, a pure function of the step
/// @param microBatch sequences that go through both models together
/// @param chunk      rows whose logits are held at a time (see [ChunkedHead#chunkFor])
/// @param teacher    who is followed
public record DistillationObjective(LongFunction<List<TokenSequence>> batches, int microBatch, int chunk, Teacher teacher) implements Objective {

    @Override
    public StepReport accumulate(Student student, long step) {
        return TokenMean.accumulate(student, batches.apply(step), step, microBatch, (batch, rows, hidden, coefficient) ->
                teacher.loss(student, chunk, batch.ids(student.place()), rows, hidden, coefficient));
    }
}
