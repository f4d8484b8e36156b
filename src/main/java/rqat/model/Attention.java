package rqat.model;

import java.util.ArrayList;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.tensor.Place;
import rqat.tensor.Tensors;

/// How the tokens of a forward pass see each other. Whole sequences use [#CAUSAL] or [#masked]; a KV cache is another implementation that
/// remembers keys and values between calls.
///
/// Shapes: B sequences, T tokens, H query heads, K key-value heads (K divides H), D head dimension.
@FunctionalInterface
public interface Attention {
    /// Whole sequences from their first token: each token sees itself and what came before. Padding on the right is harmless, since no
    /// real token sees it.
    Attention CAUSAL = (_, queries, keys, values) -> dotProduct(queries, keys, values, null, true);

    /// Attends from `queries [B, H, T, D]` to `keys`, `values [B, K, T, D]` of the same tokens (and to what an implementation remembers),
    /// scores scaled by `1 / sqrt(D)`; returns `[B, H, T, D]`.
    Tensor attend(int layer, Tensor queries, Tensor keys, Tensor values);

    /// Whole sequences under an explicit boolean mask `[B, 1, T, T]`, true where a query (third axis) may see a key (fourth).
    static Attention masked(Tensor mask) {
        return (_, queries, keys, values) -> dotProduct(queries, keys, values, mask, false);
    }

    /// Whole sequences one after another in one row (B is 1, T the sum of `lengths`), which do not see each other: for texts of different
    /// lengths without padding.
    static Attention packed(int... lengths) {
        return (layer, queries, keys, values) -> {
            var attended = new ArrayList<Tensor>();
            long from = 0;
            for (int length : lengths) {
                attended.add(CAUSAL.attend(
                        layer, queries.narrow(2, from, length), keys.narrow(2, from, length), values.narrow(2, from, length)));
                from += length;
            }
            return Tensors.cat(attended, 2);
        };
    }

    /// Up to this many scores per head the plain products are used: on CPUs with bfloat16 units they are several times faster than the fused
    /// kernel, above all backwards. Longer sequences would store too much.
    long LARGEST_STORED_SCORES = 1 << 18;

    private static Tensor dotProduct(
            Tensor queries, Tensor keys, Tensor values, @Nullable Tensor mask, boolean causal) {
        return queries.size(2) * keys.size(2) <= LARGEST_STORED_SCORES
                ? storedScores(queries, keys, values, mask, causal)
                : fused(queries, keys, values, mask, causal);
    }

    /// Scores held in memory, query heads that share a key-value head stacked as rows so that keys and values are not repeated.
    private static Tensor storedScores(
            Tensor queries, Tensor keys, Tensor values, @Nullable Tensor mask, boolean causal) {
        long b = queries.size(0), h = queries.size(1), t = queries.size(2), d = queries.size(3);
        long k = keys.size(1), s = keys.size(2), groups = h / k;
        Tensor rows = queries.mul(new Scalar(1 / Math.sqrt(d))).reshape(b * k, groups * t, d);
        Tensor scores = torch.bmm(rows, keys.reshape(b * k, s, d).transpose(1, 2));
        if (causal) {
            scores = scores.view(b * k, groups, t, s).add(hidden(Tensors.lowerTriangle(Place.of(queries).as(ScalarType.Float), t, s), queries));
        } else if (mask != null) {
            scores = scores.view(b, h, t, s).add(hidden(mask, queries));
        }
        Tensor shares = torch.softmax(scores.view(b * k, groups * t, s), -1);
        return torch.bmm(shares, values.reshape(b * k, s, d)).view(b, h, t, d);
    }

    /// 0 where `visible` is true or 1 and minus infinity elsewhere, in the dtype of `like`.
    private static Tensor hidden(Tensor visible, Tensor like) {
        return Tensors.zerosLike(visible, Tensors.type(like))
                .masked_fill(visible.eq(new Scalar(0)), new Scalar(Double.NEGATIVE_INFINITY));
    }

    /// The fused kernel: scores are never stored, but every query head needs its own copy of keys and values. Computes in float32: on CPUs
    /// its backward pass in bfloat16 takes ten times as long.
    private static Tensor fused(Tensor queries, Tensor keys, Tensor values, @Nullable Tensor mask, boolean causal) {
        if (queries.scalar_type().intern() != ScalarType.Float) {
            return fused(queries.to(ScalarType.Float), keys.to(ScalarType.Float), values.to(ScalarType.Float), mask, causal)
                    .to(queries.scalar_type());
        }
        long groups = queries.size(1) / keys.size(1);
        return torch.scaled_dot_product_attention(
                queries,
                perQueryHead(keys, groups),
                perQueryHead(values, groups),
                mask == null ? new TensorOptional() : new TensorOptional(mask),
                0.0,
                causal,
                new DoubleOptional(),
                false);
    }

    /// `[B, K, T, D]` to `[B, K * groups, T, D]`, each key-value head repeated for the query heads that share it.
    private static Tensor perQueryHead(Tensor x, long groups) {
        if (groups == 1) return x;
        long b = x.size(0), k = x.size(1), t = x.size(2), d = x.size(3);
        return x.unsqueeze(2).expand(b, k, groups, t, d).reshape(b, k * groups, t, d);
    }
}
