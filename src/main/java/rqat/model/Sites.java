package rqat.model;

import org.bytedeco.pytorch.Tensor;

/// The named places of a decoder block where a compression method may act: rotate, transform, fake-quantise, or only look. Every site is
/// the identity by default, and this is all that the decoder knows of quantisation.
///
/// Shapes: B sequences, T tokens, H query heads, K key-value heads, D head dimension.
public interface Sites {
    /// No site does anything.
    Sites NONE = new Sites() {};

    /// Input of the query, key and value maps, `[B, T, hidden]`.
    default Tensor attentionInput(int layer, Tensor x) {
        return x;
    }

    /// Queries after the rotary embedding, `[B, H, T, D]`.
    default Tensor queries(int layer, Tensor queries) {
        return queries;
    }

    /// Keys after the rotary embedding and before the cache, `[B, K, T, D]`.
    default Tensor keys(int layer, Tensor keys) {
        return keys;
    }

    /// Values before the cache, `[B, K, T, D]`.
    default Tensor values(int layer, Tensor values) {
        return values;
    }

    /// Input of the output map, `[B, T, H * D]`.
    default Tensor attentionOutput(int layer, Tensor x) {
        return x;
    }

    /// Input of the gate and up maps, `[B, T, hidden]`.
    default Tensor mlpInput(int layer, Tensor x) {
        return x;
    }

    /// Input of the down map, `[B, T, intermediate]`.
    default Tensor mlpHidden(int layer, Tensor x) {
        return x;
    }
}
