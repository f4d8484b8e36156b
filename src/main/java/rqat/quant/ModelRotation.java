package rqat.quant;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.format.ActivationFormat;
import rqat.format.Site;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.run.RandomStream;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// QuaRot (Ashkboos et al. 2024, arXiv:2404.00456): rotates a model, without changing what it computes, into one whose activations have no
/// outliers. With H_n the orthonormal [Hadamard] rotation of n channels:
///
///  1. Norms are fused: their weights go into the columns of the maps behind them. A head that is tied to the embedding is untied first.
///  2. The residual stream is rotated by `Q = D H^T`, D random signs: embedding, columns of query, key, value, gate, up and head; rows and
///     biases of output and down.
///  3. Values, and the columns of output, are rotated in each head; what is left of the rotation over all heads is applied across heads at the
///     input of the output map.
///  4. The input of down is rotated as it passes, and its columns with it.
///  5. Queries and keys are rotated after the rotary embedding, for the sake of the quantised keys.
///
/// With shards the input of down is rotated shard by shard and nothing crosses heads. Query and key norms stay: they act before step 5 and on
/// nothing that is rotated. Everything is computed in float64 and rounded once.
///
/// Deviations from the reference code: tied embeddings and `head_dim` as `config.json` says are handled; a head count without a Hadamard
/// matrix, such as 14, goes without the rotation across heads; more orders ([Hadamard]).
public final class ModelRotation {
    /// Rows of a matrix that are widened to float64 at a time hold about this many elements.
    private static final long CHUNK_ELEMENTS = 1 << 24;

    private ModelRotation() {}

    /// A rotated model, not quantised yet. Its tensors belong to the caller.
    ///
    /// @param config  of the rotated model: untied
    /// @param latents float32, one for each of the config's tensors
    /// @param sites   the rotations that activations pass through
    public record Rotated(ModelConfig config, SequencedMap<String, Tensor> latents, ActivationSites sites) {}

    /// Rotates the full-precision model of `latents`, which stay as they are.
    ///
    /// @param format what the sites will quantise, for its shards
    /// @param seed   of the signs
    /// @throws Failure USAGE when a width has no Hadamard matrix or the shards do not divide it, before any work
    public static Rotated rotate(ModelConfig config, Map<String, Tensor> latents, ActivationFormat format, long seed) {
        check(config, format.shards());
        Place place = Place.of(latents.get(ModelConfig.EMBEDDING)).as(ScalarType.Double);
        var rotated = new LinkedHashMap<String, Tensor>();
        try {
            return Grad.off(() -> {
                ModelConfig untied = config.untied();
                Scope.run(() -> {
                    var rotations = new Rotations(place, config, format.shards(), seed);
                    untied.tensors().keySet().forEach(name -> {
                        Tensor source = latents.get(name.equals(untied.head()) ? config.head() : name);
                        rotated.put(name, Scope.own(source::clone));
                    });
                    rotations.apply(rotated);
                });
                return new Rotated(untied, rotated, new ActivationSites(untied, format, online(place, config, format.shards())));
            });
        } catch (RuntimeException e) {
            rotated.values().forEach(Tensor::close);
            throw e;
        }
    }

    /// The signs of D for a seed, `[n]`, float64.
    static Tensor signs(Place place, int width, long seed) {
        var random = new RandomStream(seed);
        var signs = new double[width];
        for (int i = 0; i < width; i++) signs[i] = random.nextBoolean() ? 1 : -1;
        return Tensors.of(place, signs, width);
    }

    /// `x [..., n] D H^T`, in float64.
    static Tensor residual(Tensor x, Tensor signs, KroneckerTransform transform) {
        return transform.apply(x.mul(signs));
    }

    /// @throws Failure as [#rotate]
    static void check(ModelConfig config, int shards) {
        int down = config.inputs(Linear.DOWN);
        for (int width : new int[] {down, config.inputs(Linear.OUTPUT)}) {
            if (width % shards != 0) {
                throw Failure.usage("%d shards do not divide a width of %d; choose a number of shards that does".formatted(shards, width));
            }
        }
        for (int width : new int[] {config.hiddenSize(), config.headDimension(), down / shards}) {
            if (!Hadamard.exists(width)) {
                throw Failure.usage(("quarot: the model has a width of %d, for which no Hadamard matrix is known here (hidden_size %d, head_dim %d,"
                                + " intermediate_size %d in %d shards). Use flatquant, whose transforms have any size.")
                        .formatted(width, config.hiddenSize(), config.headDimension(), down, shards));
            }
        }
    }

    private static boolean acrossHeads(ModelConfig config, int shards) {
        return shards == 1 && config.heads() > 1 && Hadamard.exists(config.heads());
    }

    /// The rotations that cannot be folded into weights, by the names of [ActivationSites].
    private static SequencedMap<String, Tensor> online(Place place, ModelConfig config, int shards) {
        var tensors = new LinkedHashMap<String, Tensor>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Site site : new Site[] {Site.QUERIES, Site.KEYS}) {
                put(tensors, site.tensor(layer, ActivationSites.RIGHT), 1, () -> rotation(place, config.headDimension()));
            }
            if (acrossHeads(config, shards)) {
                put(tensors, Site.ATTENTION_OUTPUT.tensor(layer, ActivationSites.LEFT), 1, () -> rotation(place, config.heads()));
            }
            int down = config.inputs(Linear.DOWN) / shards;
            put(tensors, Site.MLP_HIDDEN.tensor(layer, ActivationSites.LEFT), shards, () -> Hadamard.transform(place, down).left());
            put(tensors, Site.MLP_HIDDEN.tensor(layer, ActivationSites.RIGHT), shards, () -> Hadamard.transform(place, down).right());
        }
        return tensors;
    }

    /// The matrix that a row vector is multiplied by.
    private static Tensor rotation(Place place, int width) {
        KroneckerTransform transform = Hadamard.transform(place, width);
        return transform.left().kron(transform.right());
    }

    private static void put(Map<String, Tensor> tensors, String name, int shards, Supplier<Tensor> matrix) {
        tensors.put(name, Scope.own(() -> {
            Tensor narrow = matrix.get().to(ScalarType.Float);
            return shards == 1 ? narrow : narrow.unsqueeze(0).repeat(shards, 1, 1);
        }));
    }

    /// The rotations that are folded into weights.
    private static final class Rotations {
        private final ModelConfig config;
        private final int shards;
        private final Tensor signs;
        private final KroneckerTransform hidden;
        private final KroneckerTransform head;
        private final KroneckerTransform heads;
        private final KroneckerTransform down;

        Rotations(Place place, ModelConfig config, int shards, long seed) {
            this.config = config;
            this.shards = shards;
            signs = signs(place, config.hiddenSize(), seed);
            hidden = Hadamard.transform(place, config.hiddenSize());
            head = Hadamard.transform(place, config.headDimension());
            heads = new KroneckerTransform(acrossHeads(config, shards) ? rotation(place, config.heads()) : null, rotation(place, config.headDimension()));
            down = Hadamard.transform(place, config.inputs(Linear.DOWN) / shards);
        }

        void apply(Map<String, Tensor> latents) {
            columns(latents.get(ModelConfig.EMBEDDING), this::residual);
            for (int layer = 0; layer < config.layers(); layer++) block(latents, layer);
            fuse(latents.get(ModelConfig.FINAL_NORM), latents.get(config.untied().head()));
        }

        private void block(Map<String, Tensor> latents, int layer) {
            fuse(
                    latents.get(ModelConfig.attentionNorm(layer)),
                    latents.get(Linear.QUERY.weight(layer)),
                    latents.get(Linear.KEY.weight(layer)),
                    latents.get(Linear.VALUE.weight(layer)));
            fuse(latents.get(ModelConfig.mlpNorm(layer)), latents.get(Linear.GATE.weight(layer)), latents.get(Linear.UP.weight(layer)));
            Tensor value = latents.get(Linear.VALUE.weight(layer));
            columns(value.t(), this::eachHead);
            if (config.hasBias(Linear.VALUE)) columns(latents.get(Linear.VALUE.bias(layer)).unsqueeze(0), this::eachHead);
            for (Linear linear : new Linear[] {Linear.OUTPUT, Linear.DOWN}) {
                Tensor weight = latents.get(linear.weight(layer));
                columns(weight, linear == Linear.OUTPUT ? heads::apply : this::eachShard);
                columns(weight.t(), this::residual);
                if (config.hasBias(linear)) columns(latents.get(linear.bias(layer)).unsqueeze(0), this::residual);
            }
        }

        /// Moves the weight of a norm into the columns of the maps behind it, which are rotated.
        private void fuse(Tensor norm, Tensor... weights) {
            Tensor factor = norm.to(ScalarType.Double);
            for (Tensor weight : weights) columns(weight, rows -> residual(rows.mul(factor)));
            norm.fill_(new Scalar(1.0));
        }

        private Tensor residual(Tensor rows) {
            return ModelRotation.residual(rows, signs, hidden);
        }

        private Tensor eachHead(Tensor rows) {
            return head.apply(rows.view(rows.size(0), -1, config.headDimension())).view(Tensors.shape(rows));
        }

        private Tensor eachShard(Tensor rows) {
            return down.apply(rows.view(rows.size(0), shards, -1)).view(Tensors.shape(rows));
        }

        /// Replaces the rows of `matrix`, a few at a time, by what `change` makes of them in float64.
        private static void columns(Tensor matrix, UnaryOperator<Tensor> change) {
            long atOnce = Math.max(1, CHUNK_ELEMENTS / matrix.size(1));
            for (long from = 0; from < matrix.size(0); from += atOnce) {
                Tensor rows = matrix.narrow(0, from, Math.min(atOnce, matrix.size(0) - from));
                Scope.run(() -> rows.copy_(change.apply(rows.to(ScalarType.Double).contiguous())));
            }
        }
    }
}
