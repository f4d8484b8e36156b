package rqat.train;

import java.util.LinkedHashMap;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import rqat.Failure;
import rqat.data.TokenSequence;
import rqat.tensor.Scope;

/// The mean of a per-token loss over all loss tokens of an optimiser step. They are counted before the first backward pass, so neither the
/// micro-batch size nor the order of the rows changes the gradient.
final class TokenMean {
    private TokenMean() {}

    /// The loss of one micro-batch.
    @FunctionalInterface
    interface RowLoss {
        /// @param rows        the batch's loss rows
        /// @param hidden      the student's final hidden states at those rows
        /// @param coefficient what each row's loss is multiplied by
        ChunkedHead.Loss of(MicroBatch batch, Tensor rows, Tensor hidden, double coefficient);
    }

    /// Adds the gradient of the mean to the student's.
    static StepReport accumulate(Student student, List<TokenSequence> sequences, long step, int microBatch, RowLoss loss) {
        List<MicroBatch> microBatches = MicroBatch.cut(sequences, microBatch);
        long count = microBatches.stream().mapToLong(MicroBatch::lossTokens).sum();
        if (count == 0) {
            throw Failure.badFile(("step %d has no token in the loss: every sequence of the batch is masked or one token long."
                            + " Check the loss mask and the maximal length of the training data.")
                    .formatted(step));
        }
        double sum = 0;
        for (MicroBatch batch : microBatches) {
            if (batch.lossTokens() == 0) continue;
            sum += Scope.get(() -> {
                Tensor rows = batch.lossRows(student.place());
                ForwardPass pass = student.forward(batch.ids(student.place()));
                ChunkedHead.Loss result = loss.of(batch, rows, pass.rows(rows), 1.0 / count);
                pass.backward(rows, result.hidden());
                return result.sum();
            });
        }
        long tokens = microBatches.stream().mapToLong(MicroBatch::tokens).sum();
        return new StepReport(sum / count, tokens, new LinkedHashMap<>());
    }
}
