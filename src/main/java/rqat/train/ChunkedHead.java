package rqat.train;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The head and the losses on its logits, a chunk of rows at a time, so that `[tokens, vocabulary]` never exists: peak memory is a few
/// times `chunk * vocabulary` floats whatever the sequence length. The gradient of each loss with respect to the logits has a closed form,
/// so no graph is recorded: with `d` that gradient, the hidden states get `d W` and the head `d^T h`.
///
/// Shapes: N rows (positions whose prediction counts), V vocabulary rows. Softmaxes are in float32 whatever the compute dtype (in float64
/// when the hidden states are).
public final class ChunkedHead {
    private final Tensor weight;
    private final @Nullable Tensor gradient;
    private final int chunk;

    /// A head.
    ///
    /// @param weight   `[V, hidden]` in the compute dtype
    /// @param gradient `[V, hidden]`, fp32, that gradients are added to; null when the head is frozen or nothing is trained
    /// @param chunk    rows whose logits are held at a time
    public ChunkedHead(Tensor weight, @Nullable Tensor gradient, int chunk) {
        if (chunk < 1) throw new IllegalArgumentException("chunk of %d rows; expected at least 1".formatted(chunk));
        this.weight = weight;
        this.gradient = gradient;
        this.chunk = chunk;
    }

    /// A chunk size that keeps the logits of one chunk near 64 million numbers, at most 1024 rows.
    public static int chunkFor(long vocabulary) {
        return (int) Math.clamp((1L << 26) / vocabulary, 1, 1024);
    }

    /// A loss and its gradient.
    ///
    /// @param sum    the loss summed over the rows, not multiplied by the coefficient
    /// @param hidden `[N, hidden]`, the gradient of `coefficient * sum` with respect to the hidden states, in the compute dtype
    public record Loss(double sum, Tensor hidden) {}

    /// Cross-entropy `-log p(target)` of `hidden [N, hidden]` against `targets [N]` (int64).
    public Loss crossEntropy(Tensor hidden, Tensor targets, double coefficient) {
        return loss(hidden, (logits, from, rows) -> {
            Tensor target = targets.narrow(0, from, rows).unsqueeze(1);
            Tensor logProbabilities = logits.log_softmax(-1);
            Tensor sum = logProbabilities.gather(1, target).sum().neg();
            Tensor slope = logProbabilities.exp_();
            slope.scatter_add_(1, target, torch.ones_like(target).to(slope.scalar_type()).neg());
            return new ChunkLoss(sum, slope.mul_(new Scalar(coefficient)));
        });
    }

    /// Sum over a chunk and the coefficient-weighted gradient with respect to its logits.
    private record ChunkLoss(Tensor sum, Tensor slope) {}

    @FunctionalInterface
    private interface ChunkFunction {
        /// @param logits `[rows, V]`, fp32 or fp64, may be overwritten
        ChunkLoss apply(Tensor logits, long from, long rows);
    }

    private Loss loss(Tensor hidden, ChunkFunction function) {
        return Grad.off(() -> {
            Tensor h = hidden.detach();
            Tensor hiddenGradient = torch.empty_like(h);
            double sum = 0;
            for (long from = 0; from < h.size(0); from += chunk) {
                long start = from;
                long rows = Math.min(chunk, h.size(0) - from);
                sum += Scope.get(() -> {
                    Tensor part = h.narrow(0, start, rows);
                    ChunkLoss loss = function.apply(wide(torch.linear(part, weight)), start, rows);
                    Tensor slope = loss.slope.to(h.scalar_type());
                    torch.mm_out(hiddenGradient.narrow(0, start, rows), slope, weight);
                    if (gradient != null) accumulate(slope, part);
                    return Tensors.item(loss.sum);
                });
            }
            return new Loss(sum, hiddenGradient);
        });
    }

    private void accumulate(Tensor slope, Tensor part) {
        if (Tensors.type(gradient) == Tensors.type(slope)) {
            gradient.addmm_(slope.t(), part);
        } else {
            gradient.add_(slope.t().mm(part));
        }
    }

    private static Tensor wide(Tensor logits) {
        return Tensors.type(logits) == ScalarType.Double ? logits : logits.to(ScalarType.Float);
    }
}
