package rqat.train;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.function.LongFunction;
import org.bytedeco.pytorch.Tensor;
import rqat.Failure;
import rqat.data.TokenSequence;
import rqat.tensor.Scope;

/// Next-token cross-entropy, the loss of pretraining and of supervised fine-tuning: the mean over all loss tokens of the optimiser step,
/// so that neither the micro-batch size nor the order of the rows changes the gradient.
///
/// @param batches    the sequences of a step, a pure function of the step
/// @param microBatch sequences that go through the model together
/// @param chunk      rows whose logits are held at a time (see [ChunkedHead#chunkFor])
public record SftObjective(LongFunction<List<TokenSequence>> batches, int microBatch, int chunk) implements Objective {

    @Override
    public StepReport accumulate(Student student, long step) {
        List<MicroBatch> microBatches = MicroBatch.cut(batches.apply(step), microBatch);
        long count = lossTokens(microBatches, step);
        ChunkedHead head = student.head(chunk);
        double sum = 0;
        for (MicroBatch batch : microBatches) {
            if (batch.lossTokens() == 0) continue;
            sum += Scope.get(() -> {
                Tensor rows = batch.lossRows();
                ForwardPass pass = student.forward(batch.ids());
                ChunkedHead.Loss loss = head.crossEntropy(pass.rows(rows), batch.targets(), 1.0 / count);
                pass.backward(rows, loss.hidden());
                return loss.sum();
            });
        }
        long tokens = microBatches.stream().mapToLong(MicroBatch::tokens).sum();
        return new StepReport(sum / count, tokens, new LinkedHashMap<>());
    }

    /// Loss tokens of a whole step, which must have some.
    static long lossTokens(List<MicroBatch> microBatches, long step) {
        long count = microBatches.stream().mapToLong(MicroBatch::lossTokens).sum();
        if (count == 0) {
            throw Failure.badFile(("step %d has no token in the loss: every sequence of the batch is masked or one token long."
                            + " Check the loss mask and the maximal length of the training data.")
                    .formatted(step));
        }
        return count;
    }
}
