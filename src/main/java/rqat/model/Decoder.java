package rqat.model;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The forward pass of every supported family: embedding, blocks of grouped-query attention and a gated MLP with RMS norms before each,
/// final norm, head. Families differ by the flags of [ModelConfig], never by code elsewhere.
///
/// A decoder is a view: it holds no state but its weights' map, and making one is free. It computes in the dtype of the weights (norms
/// and rotary angles in float32 inside, as the reference implementation does). Not safe for use by two threads under gradients.
///
/// Shapes: B sequences, T tokens, H query heads, K key-value heads, D head dimension, V vocabulary rows.
public final class Decoder {
    private final ModelConfig config;
    private final Weights weights;
    private final Sites sites;

    /// A decoder of full-precision or weight-only quantised weights.
    public Decoder(ModelConfig config, Weights weights) {
        this(config, weights, Sites.NONE);
    }

    /// A decoder whose sites are taken by a compression method.
    public Decoder(ModelConfig config, Weights weights, Sites sites) {
        this.config = config;
        this.weights = weights;
        this.sites = sites;
    }

    /// The configuration.
    public ModelConfig config() {
        return config;
    }

    /// The weights that the forward pass reads.
    public Weights weights() {
        return weights;
    }

    /// Where it computes, and in which dtype: where its weights are.
    public Place place() {
        return Place.of(weights.get(ModelConfig.EMBEDDING));
    }

    /// Final hidden states `[B, T, hidden]` of whole sequences `ids [B, T]` (int64), padded on the right if at all.
    public Tensor hidden(Tensor ids) {
        return hidden(ids, Tensors.range(place(), 0, ids.size(1)).unsqueeze(0), Attention.CAUSAL);
    }

    /// Final hidden states `[B, T, hidden]` of `ids [B, T]` at `positions [B or 1, T]` (both int64).
    public Tensor hidden(Tensor ids, Tensor positions, Attention attention) {
        Rotation rotation = rotation(positions);
        Tensor x = embed(ids);
        for (int layer = 0; layer < config.layers(); layer++) {
            int index = layer;
            Tensor input = x;
            // Temporaries go with their block; under gradients the graph keeps what it needs.
            x = Scope.keep(() -> block(index, input, rotation, attention));
        }
        return finalNorm(x);
    }

    /// Token embeddings `[B, T, hidden]` of `ids [B, T]`.
    public Tensor embed(Tensor ids) {
        return torch.embedding(weights.get(ModelConfig.EMBEDDING), ids);
    }

    /// The rotary embedding for `positions [B or 1, T]`, shared by all blocks.
    public Rotation rotation(Tensor positions) {
        Tensor frequencies = Tensors.of(place().as(ScalarType.Float), config.rope().inverseFrequencies(config.headDimension()), config.headDimension() / 2);
        return Rotation.of(positions, frequencies, config.rope().attentionFactor(), weights.get(ModelConfig.EMBEDDING).scalar_type());
    }

    /// One decoder block on `x [B, T, hidden]`.
    public Tensor block(int layer, Tensor x, Rotation rotation, Attention attention) {
        Tensor afterAttention = x.add(attention(layer, x, rotation, attention));
        return afterAttention.add(mlp(layer, afterAttention));
    }

    /// The last norm, `[B, T, hidden]` to the same shape.
    public Tensor finalNorm(Tensor x) {
        return norm(x, ModelConfig.FINAL_NORM);
    }

    /// Logits `[..., V]` of final hidden states `[..., hidden]`.
    public Tensor logits(Tensor hidden) {
        return torch.linear(hidden, weights.get(config.head()));
    }

    /// What the attention half of a block adds to its input `x [B, T, hidden]`.
    public Tensor attention(int layer, Tensor x, Rotation rotation, Attention attention) {
        Tensor input = sites.attentionInput(layer, norm(x, ModelConfig.attentionNorm(layer)));
        Tensor queries = heads(linear(Linear.QUERY, layer, input), config.heads());
        Tensor keys = heads(linear(Linear.KEY, layer, input), config.keyValueHeads());
        Tensor values = heads(linear(Linear.VALUE, layer, input), config.keyValueHeads());
        if (config.queryKeyNorm()) {
            queries = norm(queries, ModelConfig.queryNorm(layer));
            keys = norm(keys, ModelConfig.keyNorm(layer));
        }
        queries = sites.queries(layer, rotation.apply(queries.transpose(1, 2)));
        keys = sites.keys(layer, rotation.apply(keys.transpose(1, 2)));
        values = sites.values(layer, values.transpose(1, 2));
        Tensor attended = attention.attend(layer, queries, keys, values)
                .transpose(1, 2)
                .reshape(x.size(0), x.size(1), (long) config.heads() * config.headDimension());
        return linear(Linear.OUTPUT, layer, sites.attentionOutput(layer, attended));
    }

    /// What the MLP half of a block adds to its input `x [B, T, hidden]`.
    public Tensor mlp(int layer, Tensor x) {
        Tensor input = sites.mlpInput(layer, norm(x, ModelConfig.mlpNorm(layer)));
        Tensor hidden = torch.silu(linear(Linear.GATE, layer, input)).mul(linear(Linear.UP, layer, input));
        return linear(Linear.DOWN, layer, sites.mlpHidden(layer, hidden));
    }

    private Tensor linear(Linear linear, int layer, Tensor x) {
        Tensor weight = weights.get(linear.weight(layer));
        return config.hasBias(linear)
                ? torch.linear(x, weight, Tensors.optional(weights.get(linear.bias(layer))))
                : torch.linear(x, weight);
    }

    /// `[B, T, heads * D]` to `[B, T, heads, D]`.
    private Tensor heads(Tensor x, int heads) {
        return x.view(x.size(0), x.size(1), heads, config.headDimension());
    }

    /// `x / rms(x)` over the last axis in float32 (float64 for a float64 model), rounded to the compute dtype, times the norm's weight.
    private Tensor norm(Tensor x, String weightName) {
        Tensor wide = Tensors.type(x) == ScalarType.Double ? x : x.to(ScalarType.Float);
        Tensor meanSquare = wide.mul(wide).mean(new long[] {-1}, true, new ScalarTypeOptional());
        Tensor normalised = wide.mul(meanSquare.add(new Scalar(config.normEpsilon())).rsqrt());
        return normalised.to(x.scalar_type()).mul(weights.get(weightName));
    }
}
