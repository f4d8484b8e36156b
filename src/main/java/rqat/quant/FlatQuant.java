package rqat.quant;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.run.RandomStream;
import rqat.run.Seeds;
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
/// @param config the model's
/// @param method the format
public record FlatQuant(ModelConfig config, Method.FlatQuant method) {
    private static final String SCALE = "scale";
    /// sigmoid(4) = 0.982
    private static final double INITIAL_CLIP = 4;
    /// Share of the activations in the first channel scales, as an exponent.
    private static final double SMOOTHING = 0.3;
    private static final double SMALLEST = 1e-5;

    /// A site's input, transformed by channel scales and a Kronecker product, and the maps that read it.
    private enum Input {
        ATTENTION(Site.ATTENTION_INPUT, Linear.QUERY, Linear.KEY, Linear.VALUE),
        MLP(Site.MLP_INPUT, Linear.GATE, Linear.UP),
        HIDDEN(Site.MLP_HIDDEN, Linear.DOWN);

        private final Site site;
        private final List<Linear> readers;

        Input(Site site, Linear... readers) {
            this.site = site;
            this.readers = List.of(readers);
        }
    }

    /// Every parameter with its shape, block by block.
    ///
    /// @throws Failure USAGE when the shards do not divide the heads or the intermediate size
    public SequencedMap<String, long[]> shapes() {
        var shapes = new LinkedHashMap<String, long[]>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Input input : Input.values()) {
                int shards = shards(input.site), width = input.site.width(config);
                require(width % shards == 0, "the intermediate size", width);
                int left = leftFactor(width / shards);
                shapes.put(input.site.tensor(layer, ActivationSites.LEFT), square(shards, left));
                shapes.put(input.site.tensor(layer, ActivationSites.RIGHT), square(shards, width / shards / left));
                shapes.put(input.site.tensor(layer, SCALE), new long[] {width});
            }
            require(config.heads() % method.shards() == 0, "the number of heads", config.heads());
            shapes.put(Site.ATTENTION_OUTPUT.tensor(layer, ActivationSites.LEFT), square(method.shards(), config.heads() / method.shards()));
            shapes.put(Site.VALUES.tensor(layer, ActivationSites.RIGHT), square(1, config.headDimension()));
            shapes.put(Site.KEYS.tensor(layer, ActivationSites.RIGHT), square(1, config.headDimension()));
            for (Site site : method.activations().quantisers().keySet()) {
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
        if (!divides) throw Failure.usage("flatquant: %d shards do not divide %s of %d; choose others".formatted(method.shards(), what, size));
    }

    /// Whether this parameter is a clip logit; the others are transforms and channel scales.
    public static boolean isClip(String name) {
        return name.endsWith("." + ActivationSites.CLIP_HIGH) || name.endsWith("." + ActivationSites.CLIP_LOW);
    }

    /// The parameters before calibration, which the caller closes: random orthogonal matrices, channel scales 1, logits 4. A pure function
    /// of the shapes and names.
    public SequencedMap<String, Tensor> initial() {
        var parameters = new LinkedHashMap<String, Tensor>();
        shapes().forEach((name, shape) -> parameters.put(name, Scope.own(() -> {
            if (isClip(name)) return Tensors.full(ScalarType.Float, INITIAL_CLIP, shape);
            return shape.length == 1 ? Tensors.full(ScalarType.Float, 1, shape) : orthogonal(name, shape);
        })));
        return parameters;
    }

    /// The Q of a normal random matrix, its columns signed by the diagonal of R: uniform over the orthogonal matrices.
    private static Tensor orthogonal(String name, long[] shape) {
        var random = new RandomStream(Seeds.ofString(name));
        long size = 1;
        for (long length : shape) size *= length;
        double[] values = new double[Math.toIntExact(size)];
        for (int i = 0; i < values.length; i++) values[i] = random.nextGaussian();
        var factors = torch.linalg_qr(Tensors.of(values, shape));
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
        for (Input input : Input.values()) {
            List<Tensor> columns = new ArrayList<>();
            for (Linear linear : input.readers) {
                columns.add(latents.get(linear.weight(layer)).abs().amax(new long[] {0}, true));
            }
            Tensor weight = atLeast(Tensors.cat(columns, 0).amax(new long[] {0}, false), SMALLEST);
            Tensor activation = atLeast(largest.get(input.site), SMALLEST);
            scales.put(
                    input.site.tensor(layer, SCALE),
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
        var results = new LinkedHashMap<String, Tensor>();
        String attentionNorm = ModelConfig.attentionNorm(layer), mlpNorm = ModelConfig.mlpNorm(layer);
        results.put(attentionNorm, narrow(() -> norm(layer, attentionNorm, Site.ATTENTION_INPUT, tensors)));
        results.put(mlpNorm, narrow(() -> norm(layer, mlpNorm, Site.MLP_INPUT, tensors)));
        for (Linear linear : Linear.values()) {
            results.put(linear.weight(layer), narrow(() -> weight(layer, linear, tensors)));
            boolean follows = linear == Linear.VALUE || linear == Linear.UP;
            if (follows && config.hasBias(linear)) results.put(linear.bias(layer), narrow(() -> bias(layer, linear, tensors)));
        }
        return results;
    }

    private static Tensor narrow(Supplier<Tensor> wide) {
        return Scope.keep(() -> wide.get().to(ScalarType.Float));
    }

    /// The weight of a map rounded to its grid for `unrounded [R, C]`, whose scales depend on it: differentiable, as the references'
    /// fake quantiser is.
    public Tensor rounded(Linear linear, Tensor unrounded) {
        return new ActivationQuantiser(new ActivationSpec(method.grid().bits(), true, 1), groups(linear), null, null).apply(unrounded);
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
                narrow(() -> wide(tensors, Site.KEYS.tensor(layer, ActivationSites.RIGHT)).inverse().t().contiguous()));
        return results;
    }

    private Tensor norm(int layer, String name, Site site, Map<String, Tensor> tensors) {
        return wide(tensors, name).mul(wide(tensors, site.tensor(layer, SCALE)));
    }

    private Tensor weight(int layer, Linear linear, Map<String, Tensor> tensors) {
        Tensor weight = wide(tensors, linear.weight(layer));
        Tensor transformed = switch (linear) {
            case QUERY, KEY, VALUE -> undone(layer, Site.ATTENTION_INPUT, weight, tensors);
            case GATE, UP -> undone(layer, Site.MLP_INPUT, weight, tensors);
            case DOWN -> undone(layer, Site.MLP_HIDDEN, weight, tensors);
            case OUTPUT -> new KroneckerTransform(
                            wide(tensors, Site.ATTENTION_OUTPUT.tensor(layer, ActivationSites.LEFT)), values(layer, tensors))
                    .inverseTransposed()
                    .apply(weight);
        };
        Tensor clipped = clipped(layer, linear, transformed, tensors);
        return switch (linear) {
            case VALUE -> values(layer, tensors)
                    .t()
                    .matmul(clipped.view(config.keyValueHeads(), config.headDimension(), -1))
                    .view(Tensors.shape(weight));
            case UP -> clipped.mul(wide(tensors, Site.MLP_HIDDEN.tensor(layer, SCALE)).unsqueeze(1));
            default -> clipped;
        };
    }

    private Tensor bias(int layer, Linear linear, Map<String, Tensor> tensors) {
        Tensor bias = wide(tensors, linear.bias(layer));
        return linear == Linear.VALUE
                ? bias.view(-1, config.headDimension()).matmul(values(layer, tensors)).view(-1)
                : bias.mul(wide(tensors, Site.MLP_HIDDEN.tensor(layer, SCALE)));
    }

    /// `(W / d) (L^-T kron R^-T)`.
    private Tensor undone(int layer, Site site, Tensor weight, Map<String, Tensor> tensors) {
        var transform = new KroneckerTransform(
                wide(tensors, site.tensor(layer, ActivationSites.LEFT)), wide(tensors, site.tensor(layer, ActivationSites.RIGHT)));
        return transform.inverseTransposed().apply(weight.div(wide(tensors, site.tensor(layer, SCALE))));
    }

    private Tensor values(int layer, Map<String, Tensor> tensors) {
        return wide(tensors, Site.VALUES.tensor(layer, ActivationSites.RIGHT));
    }

    /// Every row, or part of a row that belongs to a shard, clamped to the learned parts of its own range.
    private Tensor clipped(int layer, Linear linear, Tensor weight, Map<String, Tensor> tensors) {
        Tensor parts = weight.view(weight.size(0), groups(linear), -1);
        Tensor high = wide(tensors, weightClip(layer, linear, ActivationSites.CLIP_HIGH)).sigmoid().unsqueeze(-1);
        Tensor low = wide(tensors, weightClip(layer, linear, ActivationSites.CLIP_LOW)).sigmoid().unsqueeze(-1);
        high = high.mul(parts.amax(new long[] {-1}, true));
        low = low.mul(parts.amin(new long[] {-1}, true));
        return torch.minimum(torch.maximum(parts, low), high).view(Tensors.shape(weight));
    }

    private static String weightClip(int layer, Linear linear, String part) {
        return linear.weight(layer) + "." + part;
    }

    private static Tensor wide(Map<String, Tensor> tensors, String name) {
        return Objects.requireNonNull(tensors.get(name), name).to(ScalarType.Double);
    }

    private int shards(Site site) {
        return site.isSharded() ? method.shards() : 1;
    }

    private int groups(Linear linear) {
        return linear == Linear.OUTPUT || linear == Linear.DOWN ? method.shards() : 1;
    }

    private static long[] square(int shards, int size) {
        return shards == 1 ? new long[] {size, size} : new long[] {shards, size, size};
    }
}
