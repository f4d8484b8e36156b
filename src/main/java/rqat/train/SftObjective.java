package rqat.train;

import java.util.List;
import java.util.function.LongFunction;
import rqat.data.TokenSequence;

/// Next-token cross-entropy, the loss of pretraining and of supervised fine-tuning: the mean over all loss tokens of the optimiser step.
///
/// @param batches    the sequences of a step, a pure function of the step
/// @param microBatch sequences that go through the model together
/// @param chunk      rows whose logits are held at a time (see [ChunkedHead#chunkFor])
public record SftObjective(LongFunction<List<TokenSequence>> batches, int microBatch, int chunk) implements Objective {

    @Override
    public StepReport accumulate(Student student, long step) {
        ChunkedHead head = student.head(chunk);
        return TokenMean.accumulate(
                student,
                batches.apply(step),
                step,
                microBatch,
                (batch, _, hidden, coefficient) -> head.crossEntropy(hidden, batch.targets(student.place()), coefficient));
    }
}
