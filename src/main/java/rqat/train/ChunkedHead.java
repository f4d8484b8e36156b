package rqat.train;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The head and the losses on its logits, a chunk of rows at a time, so that `[tokens, vocabulary]` never exists: peak memory is a few
/// times `chunk * vocabulary` floats whatever the sequence length. The gradient of each loss with respect to the logits has a closed form,
/// so no graph is recorded: with `d` that gradient, the hidden states get `d W` and the head `d^T h`.
///
/// Shapes: N rows (positions whose prediction counts), V vocabulary rows. Softmaxes are in float32 whatever the compute dtype (in float64
/// when the hidden states are).
public final class ChunkedHead {
    /// Vocabulary rows whose gradient is held at a time where it has to be converted.
    public static final int GRADIENT_ROWS = 8192;

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

    /// Cross-entropy `-log p(target)` of `hidden [N, hidden]` against `targets [N]` (int64). Gradient: `p - onehot(target)`.
    public Loss crossEntropy(Tensor hidden, Tensor targets, double coefficient) {
        return loss(hidden, 1, (logProbabilities, from, rows) -> {
            Tensor target = targets.narrow(0, from, rows).unsqueeze(1);
            Tensor values = logProbabilities.gather(1, target).neg_();
            Tensor slope = logProbabilities.exp_();
            slope.scatter_add_(1, target, torch.full_like(values, new Scalar(-1.0)));
            return new ChunkLoss(values, slope.mul_(new Scalar(coefficient)));
        });
    }

    /// The divergence between what `teacherHead` makes of `teacherHidden [N, teacher hidden]` and what this head makes of
    /// `hidden [N, hidden]`, both at `temperature`, times the temperature squared (Hinton et al. 2015: gradients then keep their size).
    ///
    /// @param teacherHead `[V, teacher hidden]`, in the dtype of the teacher's hidden states
    public Loss divergence(
            Tensor hidden, Tensor teacherHidden, Tensor teacherHead, Divergence divergence, double temperature, double coefficient) {
        return loss(hidden, temperature, (student, from, rows) -> {
            Tensor teacher = logProbabilities(teacherHidden.narrow(0, from, rows), teacherHead, temperature);
            Divergence.Rows result = divergence.of(student, teacher);
            return new ChunkLoss(
                    result.values().mul_(new Scalar(temperature * temperature)),
                    result.slope().mul_(new Scalar(coefficient * temperature)));
        });
    }

    /// What a model thought of given tokens.
    ///
    /// @param logProbabilities `[N]`, fp32, natural logarithm, of the targets
    /// @param entropies        `[N]`, fp32, of the full distribution, in nats
    public record Scores(Tensor logProbabilities, Tensor entropies) {}

    /// Log-probabilities of `targets [N]` (int64) and entropies at `temperature`, without gradients; the tensors belong to the caller's scope.
    public Scores scores(Tensor hidden, Tensor targets, double temperature) {
        return Grad.off(() -> {
            Tensor h = hidden.detach();
            Tensor picked = Tensors.empty(Place.of(h).as(wideType(h)), h.size(0));
            Tensor entropies = Tensors.empty(Place.of(h).as(wideType(h)), h.size(0));
            forEachChunk(h.size(0), (from, rows) -> {
                Tensor logProbabilities = logProbabilities(h.narrow(0, from, rows), weight, temperature);
                picked.narrow(0, from, rows)
                        .copy_(logProbabilities.gather(1, targets.narrow(0, from, rows).unsqueeze(1)).squeeze(1));
                Tensor terms = logProbabilities.exp().mul_(logProbabilities);
                entropies.narrow(0, from, rows).copy_(Divergence.sum(terms).squeeze(1).neg_());
            });
            return new Scores(picked, entropies);
        });
    }

    /// The gradient of `sum_i coefficients_i * log p(target_i)` at `temperature`, for any upstream gradient `coefficients [N]` (of any
    /// float dtype): `coefficient * (onehot(target) - p) / temperature` per row. Adds to the head's gradient and returns that of the hidden
    /// states, `[N, hidden]`, with the weighted sum itself.
    public Loss weightedLogProbabilities(Tensor hidden, Tensor targets, Tensor coefficients, double temperature) {
        return loss(hidden, temperature, (logProbabilities, from, rows) -> {
            Tensor target = targets.narrow(0, from, rows).unsqueeze(1);
            Tensor coefficient = coefficients.narrow(0, from, rows).unsqueeze(1).to(logProbabilities.scalar_type());
            Tensor values = logProbabilities.gather(1, target).mul_(coefficient);
            Tensor slope = logProbabilities.exp_();
            slope.scatter_add_(1, target, torch.full_like(values, new Scalar(-1.0)));
            return new ChunkLoss(values, slope.mul_(coefficient.mul(new Scalar(-1 / temperature))));
        });
    }

    /// Values of the rows of a chunk, `[rows, 1]`, and the gradient of their coefficient-weighted sum with respect to the logits.
    private record ChunkLoss(Tensor values, Tensor slope) {}

    @FunctionalInterface
    private interface ChunkFunction {
        /// @param logProbabilities `[rows, V]` at the temperature, may be overwritten
        ChunkLoss apply(Tensor logProbabilities, long from, long rows);
    }

    private Loss loss(Tensor hidden, double temperature, ChunkFunction function) {
        return Grad.off(() -> {
            Tensor h = hidden.detach();
            Tensor hiddenGradient = torch.empty_like(h);
            double[] sum = new double[1];
            forEachChunk(h.size(0), (from, rows) -> {
                Tensor part = h.narrow(0, from, rows);
                ChunkLoss loss = function.apply(logProbabilities(part, weight, temperature), from, rows);
                Tensor slope = loss.slope.to(h.scalar_type());
                torch.mm_out(hiddenGradient.narrow(0, from, rows), slope, weight);
                if (gradient != null) accumulate(slope, part);
                sum[0] += Tensors.item(loss.values.to(ScalarType.Double).sum());
            });
            return new Loss(sum[0], hiddenGradient);
        });
    }

    @FunctionalInterface
    private interface ChunkBody {
        void accept(long from, long rows);
    }

    private void forEachChunk(long total, ChunkBody body) {
        for (long from = 0; from < total; from += chunk) {
            long start = from;
            Scope.run(() -> body.accept(start, Math.min(chunk, total - start)));
        }
    }

    private void accumulate(Tensor slope, Tensor part) {
        if (Tensors.type(gradient) == Tensors.type(slope)) {
            gradient.addmm_(slope.t(), part);
            return;
        }
        // Adding another dtype makes a copy in this one: of some rows of the vocabulary at a time.
        for (long from = 0; from < slope.size(1); from += GRADIENT_ROWS) {
            long start = from;
            long rows = Math.min(GRADIENT_ROWS, slope.size(1) - from);
            Scope.run(() -> gradient.narrow(0, start, rows).add_(slope.narrow(1, start, rows).t().mm(part)));
        }
    }

    /// `log softmax(hidden weight^T / temperature)`, `[rows, V]`; the logits are gone when it returns.
    private static Tensor logProbabilities(Tensor hidden, Tensor weight, double temperature) {
        return Scope.keep(() -> {
            Tensor logits = torch.linear(hidden, weight).to(wideType(hidden));
            if (temperature != 1) logits.div_(new Scalar(temperature));
            return logits.log_softmax(-1);
        });
    }

    private static ScalarType wideType(Tensor tensor) {
        return Tensors.type(tensor) == ScalarType.Double ? ScalarType.Double : ScalarType.Float;
    }
}
