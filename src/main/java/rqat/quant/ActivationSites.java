package rqat.quant;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.format.ActivationFormat;
import rqat.format.ActivationSpec;
import rqat.format.Site;
import rqat.model.ModelConfig;
import rqat.model.Sites;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// What a compressed model does to its activations: at each [Site] of each block an optional linear transform, then an optional quantiser.
/// Prefill, decoding, scoring and training all pass here, token by token: no result depends on a neighbour in the batch.
///
/// Computed in float32, or in float64 for a model that is run in it, and rounded to the dtype of the input afterwards. A site without
/// transform and quantiser returns its input itself.
///
/// The tensors, float32, are named by [Site#tensor] with these parts: [#LEFT] and [#RIGHT] of the transform, [#CLIP_HIGH] and [#CLIP_LOW]
/// of the quantiser. Closing closes them.
public final class ActivationSites implements Sites, AutoCloseable {
    /// [KroneckerTransform#left].
    public static final String LEFT = "left";
    /// [KroneckerTransform#right].
    public static final String RIGHT = "right";
    /// [ActivationQuantiser#clipHigh].
    public static final String CLIP_HIGH = "clip_high";
    /// [ActivationQuantiser#clipLow].
    public static final String CLIP_LOW = "clip_low";

    static final List<String> PARTS = List.of(LEFT, RIGHT, CLIP_HIGH, CLIP_LOW);

    private record Step(@Nullable KroneckerTransform transform, @Nullable ActivationQuantiser quantiser) {
        Tensor apply(Tensor x) {
            Tensor transformed = transform == null ? x : transform.apply(x);
            return quantiser == null ? transformed : quantiser.apply(transformed);
        }
    }

    private final ModelConfig config;
    private final ActivationFormat format;
    private final SequencedMap<String, Tensor> tensors;
    private final @Nullable Step[][] steps;

    /// Sites of a model, which take over `tensors`.
    ///
    /// @throws IllegalArgumentException when a tensor belongs to no site or has a shape that does not fit there
    public ActivationSites(ModelConfig config, ActivationFormat format, SequencedMap<String, Tensor> tensors) {
        this.config = config;
        this.format = format;
        this.tensors = tensors;
        this.steps = new Step[config.layers()][Site.values().length];
        var unknown = new LinkedHashMap<>(tensors);
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Site site : Site.values()) steps[layer][site.ordinal()] = step(layer, site, unknown);
        }
        if (!unknown.isEmpty()) throw new IllegalArgumentException(unknown.firstEntry().getKey() + " belongs to no site of this model");
    }

    /// Sites that do nothing.
    public static ActivationSites none(ModelConfig config) {
        return new ActivationSites(config, ActivationFormat.NONE, new LinkedHashMap<>());
    }

    private @Nullable Step step(int layer, Site site, Map<String, Tensor> unknown) {
        Tensor left = unknown.remove(site.tensor(layer, LEFT)), right = unknown.remove(site.tensor(layer, RIGHT));
        Tensor high = unknown.remove(site.tensor(layer, CLIP_HIGH)), low = unknown.remove(site.tensor(layer, CLIP_LOW));
        ActivationSpec spec = format.quantisers().get(site);
        int groups = site.isSharded() ? format.shards() : 1;
        int width = site.width(config);
        require(width % groups == 0, layer, site, LEFT, "%d shards do not divide its %d columns".formatted(groups, width));
        if (left != null || right != null) checkTransform(layer, site, left, right, width);
        if (high != null) checkClip(layer, site, CLIP_HIGH, high, groups, spec);
        if (low != null) checkClip(layer, site, CLIP_LOW, low, groups, spec);
        if (left == null && right == null && spec == null) return null;
        return new Step(
                left == null && right == null ? null : new KroneckerTransform(left, right),
                spec == null ? null : new ActivationQuantiser(spec, groups, high, low));
    }

    private static void checkTransform(
            int layer, Site site, @Nullable Tensor left, @Nullable Tensor right, int width) {
        long product = 1, shards = 1;
        for (Tensor matrix : new @Nullable Tensor[] {left, right}) {
            if (matrix == null) continue;
            String part = matrix == left ? LEFT : RIGHT;
            long dimensions = matrix.dim();
            boolean square = (dimensions == 2 || dimensions == 3) && matrix.numel() > 0 && matrix.size(-1) == matrix.size(-2);
            require(square, layer, site, part, "has shape %s; expected square matrices".formatted(Arrays.toString(Tensors.shape(matrix))));
            if (dimensions == 3) {
                require(shards == 1 || shards == matrix.size(0), layer, site, part, "and its partner have different numbers of matrices");
                shards = matrix.size(0);
            }
            product *= matrix.size(-1);
        }
        boolean whole = left != null && right != null;
        String part = left != null ? LEFT : RIGHT;
        require(
                whole ? product * shards == width : width % (product * shards) == 0,
                layer,
                site,
                part,
                "does not fit the %d columns of the site".formatted(width));
    }

    private static void checkClip(int layer, Site site, String part, Tensor logit, int groups, @Nullable ActivationSpec spec) {
        require(spec != null, layer, site, part, "belongs to a site that is not quantised");
        boolean fits = logit.dim() == 1 && logit.numel() == groups;
        require(fits, layer, site, part, "has shape %s; expected [%d]".formatted(Arrays.toString(Tensors.shape(logit)), groups));
    }

    private static void require(boolean holds, int layer, Site site, String part, String what) {
        if (!holds) throw new IllegalArgumentException(site.tensor(layer, part) + " " + what);
    }

    /// Which sites are quantised and how.
    public ActivationFormat format() {
        return format;
    }

    /// The transforms and clip logits.
    public SequencedMap<String, Tensor> tensors() {
        return Collections.unmodifiableSequencedMap(tensors);
    }

    /// Whether no site does anything.
    public boolean isEmpty() {
        return tensors.isEmpty() && !quantises();
    }

    /// Whether some site is quantised.
    public boolean quantises() {
        return !format.quantisers().isEmpty();
    }

    /// The transforms alone, sharing these tensors.
    public ActivationSites withoutQuantisers() {
        var transforms = new LinkedHashMap<>(tensors);
        transforms.keySet().removeIf(name -> name.endsWith("." + CLIP_HIGH) || name.endsWith("." + CLIP_LOW));
        return new ActivationSites(config, new ActivationFormat(Map.of(), format.shards()), transforms);
    }

    private Tensor apply(int layer, Site site, Tensor x) {
        Step step = steps[layer][site.ordinal()];
        if (step == null) return x;
        boolean wide = Tensors.type(x) == ScalarType.Double;
        return Scope.keep(() -> step.apply(wide ? x : x.to(ScalarType.Float)).to(x.scalar_type()));
    }

    @Override
    public Tensor attentionInput(int layer, Tensor x) {
        return apply(layer, Site.ATTENTION_INPUT, x);
    }

    @Override
    public Tensor queries(int layer, Tensor queries) {
        return apply(layer, Site.QUERIES, queries);
    }

    @Override
    public Tensor keys(int layer, Tensor keys) {
        return apply(layer, Site.KEYS, keys);
    }

    @Override
    public Tensor values(int layer, Tensor values) {
        return apply(layer, Site.VALUES, values);
    }

    @Override
    public Tensor attentionOutput(int layer, Tensor x) {
        return apply(layer, Site.ATTENTION_OUTPUT, x);
    }

    @Override
    public Tensor mlpInput(int layer, Tensor x) {
        return apply(layer, Site.MLP_INPUT, x);
    }

    @Override
    public Tensor mlpHidden(int layer, Tensor x) {
        return apply(layer, Site.MLP_HIDDEN, x);
    }

    @Override
    public void close() {
        tensors.values().forEach(Tensor::close);
    }
}
