package rqat.quant;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import rqat.Failure;
import rqat.format.ActivationFormat;
import rqat.format.ActivationSpec;
import rqat.format.GridSpec;
import rqat.format.Site;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// FlatQuant (Sun et al. 2024, as the code base behind the paper's rows runs it): before an input is rounded each channel is scaled and the
/// whole is multiplied by a learned Kronecker product, the weights of the map by the inverse, so that both become flat and easy to round.
///
///     x' = (x d) (L kron R)          W' = (W / d) (L^-T kron R^-T)          x' W'^T = x W^T
///
/// Values get a matrix V per head and attention outputs a matrix O across heads, both undone by the output map; keys K and queries K^-T
/// after the rotary embedding. Weight rows and activations are clipped at a learned part of their range.
///
/// This class knows the parameters of one model and how they turn latents into what the forward pass uses. There is one form of the forward
/// pass, the re-parameterised one: d multiplies the norm before (or the rows of the up map), V the rows of the value map, and
/// what remains at run time are Kronecker products ([ActivationSites]). That form is a differentiable function of the
/// parameters ([#unrounded], [#rounded], [#sites]), so calibration and training differentiate through it and there is no other form that
/// could differ. Inverses and products are float64.
///
/// # Parameters
///
/// Float32, per block, named by [Site#tensor]: `left` and `right` of `attention_input`, `mlp_input`, `mlp_hidden`; `left` of
/// `attention_output` (O); `right` of `values` (V) and `keys` (K); the channel scales d as `scale`; logits `clip_high` and `clip_low` of every
/// quantised site, and of every map's weight as `WEIGHT.clip_high`, `WEIGHT.clip_low`, `[R, shards]`.
///
/// @param config      the model's
/// @param grid        of the weights
/// @param activations what is done to inputs, keys and values
public record FlatTransforms(ModelConfig config, GridSpec grid, ActivationFormat activations) {
    private static final String SCALE = "scale";
    /// sigmoid(4) = 0.982
    private static final double INITIAL_CLIP = 4;
    /// Share of the activations in the first channel scales, as an exponent.
    private static final double SMOOTHING = 0.3;
    private static final double SMALLEST = 1e-5;

    /// The inputs that channel scales and a Kronecker product transform.
    private static final List<Site> TRANSFORMED = List.of(Site.ATTENTION_INPUT, Site.MLP_INPUT, Site.MLP_HIDDEN);

    /// Every parameter with its shape, block by block.
    ///
    /// @throws Failure USAGE when the shards do not divide the heads or the intermediate size
    public SequencedMap<String, long[]> shapes() {
        var shapes = new LinkedHashMap<String, long[]>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Site input : TRANSFORMED) {
                int shards = shards(input), width = input.width(config);
                require(width % shards == 0, "the intermediate size", width);
                int left = leftFactor(width / shards);
                shapes.put(input.tensor(layer, ActivationSites.LEFT), square(shards, left));
                shapes.put(input.tensor(layer, ActivationSites.RIGHT), square(shards, width / shards / left));
                shapes.put(input.tensor(layer, SCALE), new long[] {width});
            }
            require(config.heads() % activations.shards() == 0, "the number of heads", config.heads());
            shapes.put(Site.ATTENTION_OUTPUT.tensor(layer, ActivationSites.LEFT), square(activations.shards(), config.heads() / activations.shards()));
            shapes.put(Site.VALUES.tensor(layer, ActivationSites.RIGHT), square(1, config.headDimension()));
            shapes.put(Site.KEYS.tensor(layer, ActivationSites.RIGHT), square(1, config.headDimension()));
            for (Site site : activations.quantisers().keySet()) {
                shapes.put(site.tensor(layer, ActivationSites.CLIP_HIGH), new long[] {shards(site)});
                shapes.put(site.tensor(layer, ActivationSites.CLIP_LOW), new long[] {shards(site)});
            }
            for (Linear linear : Linear.values()) {
                long[] shape = {config.outputs(linear), groups(linear)};
                shapes.put(weightClip(layer, linear, ActivationSites.CLIP_HIGH), shape);
                shapes.put(weightClip(layer, linear, ActivationSites.CLIP_LOW), shape);
            }
        }
        return shapes;
    }

    private void require(boolean divides, String what, int size) {
        if (!divides) throw Failure.usage("flatquant: %d shards do not divide %s of %d; choose others".formatted(activations.shards(), what, size));
    }

    /// Whether this parameter is a clip logit; the others are transforms and channel scales.
    public static boolean isClip(String name) {
        return name.endsWith("." + ActivationSites.CLIP_HIGH) || name.endsWith("." + ActivationSites.CLIP_LOW);
    }

    /// The parameters before calibration, which the caller closes: random orthogonal matrices, channel scales 1, logits 4. A pure function
    /// of the shapes and names.
    public SequencedMap<String, Tensor> initial(Place place) {
        var parameters = new LinkedHashMap<String, Tensor>();
        shapes().forEach((name, shape) -> parameters.put(name, Scope.own(() -> {
            if (isClip(name)) return Tensors.full(place.as(ScalarType.Float), INITIAL_CLIP, shape);
            return shape.length == 1 ? Tensors.full(place.as(ScalarType.Float), 1, shape) : orthogonal(place, name, shape);
        })));
        return parameters;
    }

    /// The Q of a normal random matrix, its columns signed by the diagonal of R: uniform over the orthogonal matrices.
    private static Tensor orthogonal(Place place, String name, long[] shape) {
        var random = new RandomStream(Seeds.ofString(name));
        long size = 1;
        for (long length : shape) size *= length;
        double[] values = new double[Math.toIntExact(size)];
        for (int i = 0; i < values.length; i++) values[i] = random.nextGaussian();
        var factors = torch.linalg_qr(Tensors.of(place.as(ScalarType.Double), values, shape));
        return factors.get0().mul(factors.get1().diagonal(0, -2, -1).sign().unsqueeze(-2)).to(ScalarType.Float).contiguous();
    }

    /// The factors of a width closest to each other among those whose difference is even (the reference's rule; any, where the width is
    /// twice an odd number and there are none): the smaller one.
    static int leftFactor(int width) {
        int any = 1, even = 0;
        for (int left = 1; (long) left * left <= width; left++) {
            if (width % left != 0) continue;
            any = left;
            if ((width / left - left) % 2 == 0) even = left;
        }
        return even > 0 ? even : any;
    }

    /// First channel scales of the inputs of a block, by parameter name: `w^0.7 / x^0.3` with the largest weight and the largest input of
    /// each channel.
    ///
    /// @param largest per site `[width]`, the largest absolute input over the calibration text
    SequencedMap<String, Tensor> channelScales(int layer, Map<String, Tensor> latents, Map<Site, Tensor> largest) {
        var scales = new LinkedHashMap<String, Tensor>();
        for (Site input : TRANSFORMED) {
            List<Tensor> columns = new ArrayList<>();
            for (Linear linear : input.readers()) {
                columns.add(latents.get(linear.weight(layer)).abs().amax(new long[] {0}, true));
            }
            Tensor weight = atLeast(Tensors.cat(columns, 0).amax(new long[] {0}, false), SMALLEST);
            Tensor activation = atLeast(largest.get(input), SMALLEST);
            scales.put(
                    input.tensor(layer, SCALE),
                    atLeast(power(weight, 1 - SMOOTHING).div(power(activation, SMOOTHING)), SMALLEST));
        }
        return scales;
    }

    private static Tensor atLeast(Tensor x, double smallest) {
        return x.clamp_min(new Scalar(smallest));
    }

    private static Tensor power(Tensor x, double exponent) {
        return x.pow(new Scalar(exponent));
    }

    /// The tensors of block `layer` that the parameters change, after re-parameterisation and before rounding: float32, under their
    /// checkpoint names; differentiable. The others of the block are the latents.
    ///
    /// @param tensors latents and parameters
    public SequencedMap<String, Tensor> unrounded(int layer, Map<String, Tensor> tensors) {
        return unrounded(layer, tensors, ScalarType.Double);
    }

    /// As [#unrounded(int, Map)], in a surrounding scope.
    ///
    /// @param type of everything but the inverses, which are float64; float32 takes half the time, and rounding may then choose another code
    ///             where a weight lies between two
    SequencedMap<String, Tensor> unrounded(int layer, Map<String, Tensor> tensors, ScalarType type) {
        var block = new Block(this, layer, tensors, type);
        var results = new LinkedHashMap<String, Tensor>();
        String attentionNorm = ModelConfig.attentionNorm(layer), mlpNorm = ModelConfig.mlpNorm(layer);
        results.put(attentionNorm, narrow(() -> block.norm(attentionNorm, Site.ATTENTION_INPUT)));
        results.put(mlpNorm, narrow(() -> block.norm(mlpNorm, Site.MLP_INPUT)));
        for (Site input : TRANSFORMED) block.add(results, input, input.readers());
        block.add(results, Site.ATTENTION_OUTPUT, List.of(Linear.OUTPUT));
        for (Linear linear : List.of(Linear.VALUE, Linear.UP)) {
            if (config.hasBias(linear)) results.put(linear.bias(layer), narrow(() -> block.bias(linear)));
        }
        return results;
    }

    private static Tensor narrow(Supplier<Tensor> wide) {
        return Scope.keep(() -> wide.get().to(ScalarType.Float));
    }

    /// The weight of a map rounded to its grid for `unrounded [R, C]`, whose scales depend on it: differentiable, as the references'
    /// fake quantiser is.
    public Tensor rounded(Linear linear, Tensor unrounded) {
        return new ActivationQuantiser(new ActivationSpec(grid.bits(), true, 1), groups(linear), null, null).apply(unrounded);
    }

    /// Rounds the weights of block `layer` among `tensors`; those of maps that read the same input together, which is faster.
    void round(int layer, Map<String, Tensor> tensors) {
        for (Site input : Site.INPUTS) {
            List<Linear> maps = input.readers();
            List<Tensor> rounded = parts(maps, rounded(maps.getFirst(), stacked(maps, map -> tensors.get(map.weight(layer)))));
            for (int i = 0; i < maps.size(); i++) tensors.put(maps.get(i).weight(layer), rounded.get(i));
        }
    }

    /// Tensors of maps below each other.
    private static Tensor stacked(List<Linear> maps, Function<Linear, Tensor> tensor) {
        return maps.size() == 1 ? tensor.apply(maps.getFirst()) : Tensors.cat(maps.stream().map(tensor).toList(), 0);
    }

    /// The inverse of [#stacked].
    private List<Tensor> parts(List<Linear> maps, Tensor stacked) {
        return maps.size() == 1
                ? List.of(stacked)
                : List.of(stacked.split_with_sizes(maps.stream().mapToLong(config::outputs).toArray(), 0).get());
    }

    /// What [ActivationSites] of a model need for block `layer`, float32; differentiable.
    ///
    /// @param tensors the parameters; others are not looked at
    public SequencedMap<String, Tensor> sites(int layer, Map<String, Tensor> tensors) {
        var results = new LinkedHashMap<String, Tensor>();
        for (Site site : Site.values()) {
            for (String part : ActivationSites.PARTS) {
                String name = site.tensor(layer, part);
                Tensor parameter = tensors.get(name);
                boolean folded = site == Site.VALUES && part.equals(ActivationSites.RIGHT);
                if (parameter != null && !folded) results.put(name, parameter);
            }
        }
        results.put(
                Site.QUERIES.tensor(layer, ActivationSites.RIGHT),
                narrow(() -> tensors.get(Site.KEYS.tensor(layer, ActivationSites.RIGHT)).to(ScalarType.Double).inverse().t().contiguous()));
        return results;
    }

    /// One block on its way to [#unrounded].
    ///
    /// @param type of the products
    /// @param undo per site, what the weights of its readers are multiplied by: `L^-T kron R^-T`
    private record Block(FlatTransforms flat, int layer, Map<String, Tensor> tensors, ScalarType type, Map<Site, KroneckerTransform> undo) {
        Block(FlatTransforms flat, int layer, Map<String, Tensor> tensors, ScalarType type) {
            this(flat, layer, tensors, type, new EnumMap<>(Site.class));
            for (Site input : TRANSFORMED) {
                undo.put(input, new KroneckerTransform(part(input, ActivationSites.LEFT), part(input, ActivationSites.RIGHT)).inverseTransposed());
            }
            undo.put(
                    Site.ATTENTION_OUTPUT,
                    new KroneckerTransform(
                                    part(Site.ATTENTION_OUTPUT, ActivationSites.LEFT), part(Site.VALUES, ActivationSites.RIGHT))
                            .inverseTransposed());
        }

        private Tensor tensor(String name) {
            return Objects.requireNonNull(tensors.get(name), name).to(type);
        }

        private Tensor part(Site site, String part) {
            return tensor(site.tensor(layer, part));
        }

        Tensor norm(String name, Site site) {
            return tensor(name).mul(part(site, SCALE));
        }

        /// Adds the weights of maps that read `site`, worked on together, which is faster.
        void add(Map<String, Tensor> results, Site site, List<Linear> maps) {
            List<Tensor> weights = Scope.keepAll(() -> {
                Tensor weight = stacked(maps, map -> tensor(map.weight(layer)));
                if (site != Site.ATTENTION_OUTPUT) weight = weight.div(part(site, SCALE));
                List<Tensor> clipped = flat.parts(maps, clipped(maps, undo.get(site).apply(weight)));
                return IntStream.range(0, maps.size())
                        .mapToObj(i -> followed(maps.get(i), clipped.get(i)).to(ScalarType.Float))
                        .toList();
            });
            for (int i = 0; i < maps.size(); i++) results.put(maps.get(i).weight(layer), weights.get(i));
        }

        /// What the transforms of its output make of a map's weight.
        private Tensor followed(Linear linear, Tensor weight) {
            return switch (linear) {
                case VALUE -> part(Site.VALUES, ActivationSites.RIGHT)
                        .t()
                        .matmul(weight.view(flat.config.keyValueHeads(), flat.config.headDimension(), -1))
                        .view(Tensors.shape(weight));
                case UP -> weight.mul(part(Site.MLP_HIDDEN, SCALE).unsqueeze(1));
                default -> weight;
            };
        }

        Tensor bias(Linear linear) {
            Tensor bias = tensor(linear.bias(layer));
            return linear == Linear.VALUE
                    ? bias.view(-1, flat.config.headDimension()).matmul(part(Site.VALUES, ActivationSites.RIGHT)).view(-1)
                    : bias.mul(part(Site.MLP_HIDDEN, SCALE));
        }

        /// Every row, or part of a row that belongs to a shard, clamped to the learned parts of its own range.
        private Tensor clipped(List<Linear> maps, Tensor weight) {
            Tensor parts = weight.view(weight.size(0), flat.groups(maps.getFirst()), -1);
            Tensor high = stacked(maps, map -> tensor(weightClip(layer, map, ActivationSites.CLIP_HIGH))).sigmoid().unsqueeze(-1);
            Tensor low = stacked(maps, map -> tensor(weightClip(layer, map, ActivationSites.CLIP_LOW))).sigmoid().unsqueeze(-1);
            high = high.mul(ActivationQuantiser.largest(parts));
            low = low.mul(ActivationQuantiser.smallest(parts));
            return clamped(parts, low, high).view(Tensors.shape(weight));
        }
    }

    /// `min(max(x, low), high)`, to the last bit and with its gradients, from masks of zeros and ones: libtorch's own backward passes of
    /// these functions take several times as long. `low` is not above `high`.
    private static Tensor clamped(Tensor x, Tensor low, Tensor high) {
        List<Tensor> masks = Grad.off(() -> {
            Tensor above = x.clone().gt_(high), below = x.clone().lt_(low);
            return List.of(above, below, torch.rsub(above.add(below), new Scalar(1.0)));
        });
        return torch.addcmul(torch.addcmul(x.mul(masks.get(2)), masks.get(0), high), masks.get(1), low);
    }

    private static String weightClip(int layer, Linear linear, String part) {
        return linear.weight(layer) + "." + part;
    }

    private int shards(Site site) {
        return site.isSharded() ? activations.shards() : 1;
    }

    private int groups(Linear linear) {
        return linear == Linear.OUTPUT || linear == Linear.DOWN ? activations.shards() : 1;
    }

    private static long[] square(int shards, int size) {
        return shards == 1 ? new long[] {size, size} : new long[] {shards, size, size};
    }
}
