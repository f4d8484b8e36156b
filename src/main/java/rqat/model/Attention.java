package rqat.model;

import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;

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

    private static Tensor dotProduct(
            Tensor queries, Tensor keys, Tensor values, @org.jspecify.annotations.Nullable Tensor mask, boolean causal) {
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

    /// `[B, K, T, D]` to `[B, K * groups, T, D]`, each key-value head repeated for the query heads that share it. The fused CPU kernel needs
    /// equal head counts; with it the scores are never stored.
    private static Tensor perQueryHead(Tensor x, long groups) {
        if (groups == 1) return x;
        long b = x.size(0), k = x.size(1), t = x.size(2), d = x.size(3);
        return x.unsqueeze(2).expand(b, k, groups, t, d).reshape(b, k * groups, t, d);
    }
}
