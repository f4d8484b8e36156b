package rqat.quant;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import org.bytedeco.pytorch.MemoryFormatOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.Provenance;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.tensor.Grad;
import rqat.tensor.Scope;

/// A model in the form that is trained: float32 latents of every parameter, and grids that turn those of the quantised maps into the
/// weights of the forward pass. Without grids it is a full-precision model. Owns its tensors. [ModelDirectory] reads and writes it.
public final class QuantisedModel implements AutoCloseable {
    private final ModelConfig config;
    private final SequencedMap<String, Tensor> latents;
    private final SequencedMap<String, Grid> grids;
    private final @Nullable Method method;
    private final ActivationSites sites;
    private final @Nullable LiveTransforms transforms;
    private final Provenance provenance;
    private ScaleMode scaleMode;
    private MaskRule maskRule;

    /// A model made of these parts, which it takes over, with activations in full precision.
    ///
    /// @param latents float32, one for each of [ModelConfig#tensors]
    /// @param grids   of the quantised maps, under the names of their weights; empty for a full-precision model
    /// @param method  how the grids were found; null for a full-precision model
    public QuantisedModel(
            ModelConfig config,
            SequencedMap<String, Tensor> latents,
            SequencedMap<String, Grid> grids,
            @Nullable Method method,
            ScaleMode scaleMode,
            MaskRule maskRule) {
        this(config, latents, grids, method, scaleMode, maskRule, ActivationSites.none(config));
    }

    /// A model made of these parts, which it takes over.
    ///
    /// @param sites what is done to its activations; nothing for a full-precision model
    public QuantisedModel(
            ModelConfig config,
            SequencedMap<String, Tensor> latents,
            SequencedMap<String, Grid> grids,
            @Nullable Method method,
            ScaleMode scaleMode,
            MaskRule maskRule,
            ActivationSites sites) {
        this(config, latents, grids, method, scaleMode, maskRule, sites, null, Provenance.UNKNOWN);
    }

    /// A model of `latents`, the original weights, and learned `parameters`; takes both over.
    static QuantisedModel transformed(
            ModelConfig config, SequencedMap<String, Tensor> latents, Method method, FlatTransforms flat, SequencedMap<String, Tensor> parameters) {
        var transforms = new LiveTransforms(flat, latents, parameters);
        var grids = new LinkedHashMap<String, Grid>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Linear linear : Linear.values()) {
                String name = linear.weight(layer);
                GridSpec spec = method.activations().grid(method.grid(), config, linear);
                Tensor unrounded = transforms.unrounded().get(name);
                Scope.run(() -> grids.put(name, Grid.fit(spec, unrounded, ClipSearch.NONE).copy()));
            }
        }
        return new QuantisedModel(
                config, latents, grids, method, ScaleMode.DYNAMIC, MaskRule.HALF_STEP, transforms.sites(), transforms, Provenance.UNKNOWN);
    }

    /// As it was saved.
    QuantisedModel(
            ModelConfig config,
            SequencedMap<String, Tensor> latents,
            SequencedMap<String, Grid> grids,
            @Nullable Method method,
            ScaleMode scaleMode,
            MaskRule maskRule,
            ActivationSites sites,
            @Nullable LiveTransforms transforms,
            Provenance provenance) {
        if (grids.isEmpty() != (method == null)) throw new IllegalArgumentException("grids and method go together");
        if (method == null && !sites.isEmpty()) throw new IllegalArgumentException("a full-precision model has no sites");
        this.config = config;
        this.latents = latents;
        this.grids = grids;
        this.method = method;
        this.scaleMode = scaleMode;
        this.maskRule = maskRule;
        this.sites = sites;
        this.transforms = transforms;
        this.provenance = provenance;
    }

    /// The configuration.
    public ModelConfig config() {
        return config;
    }

    /// The float32 latents of every parameter, in the order of the forward pass. An optimiser changes them in place.
    public SequencedMap<String, Tensor> latents() {
        return Collections.unmodifiableSequencedMap(latents);
    }

    /// The grids of the quantised maps; empty for a full-precision model. Whoever learns scales writes them, rounded by
    /// [Grid#roundScale(ScaleType, Tensor)], into the grids' own tensors.
    public SequencedMap<String, Grid> grids() {
        return Collections.unmodifiableSequencedMap(grids);
    }

    /// How the grids were found; null for a full-precision model.
    public @Nullable Method method() {
        return method;
    }

    /// What is done to activations, keys and values; every forward pass needs it.
    public ActivationSites sites() {
        return sites;
    }

    /// The learned transforms of a FlatQuant model, which decide with the latents what the forward pass uses; null for other methods.
    public @Nullable LiveTransforms transforms() {
        return transforms;
    }

    /// What happens to the scales in training.
    public ScaleMode scaleMode() {
        return scaleMode;
    }

    /// Changes the scale mode from the next projection on. LEARNED starts where STATIC is; DYNAMIC keeps the model only if its latents are
    /// the original weights and their ranges were not searched.
    public void scaleMode(ScaleMode scaleMode) {
        this.scaleMode = scaleMode;
    }

    /// Where gradients pass to the latents.
    public MaskRule maskRule() {
        return maskRule;
    }

    /// Changes the mask rule.
    public void maskRule(MaskRule maskRule) {
        this.maskRule = maskRule;
    }

    /// Where this model comes from, as it was saved; unknown for one made in memory.
    public Provenance provenance() {
        return provenance;
    }

    /// The float32 values that the forward pass uses for parameter `name` (before they are rounded to its dtype), in the surrounding scope:
    /// its latent, transformed if the method does, quantised if it has a grid. With dynamic scales the grid is refitted first. The latent
    /// itself when it has neither.
    public Tensor projected(String name) {
        Tensor unrounded = unrounded(name);
        Grid grid = grids.get(name);
        if (grid == null) return unrounded;
        if (scaleMode == ScaleMode.DYNAMIC) grid.refit(unrounded);
        return grid.fakeQuantise(unrounded);
    }

    /// What a grid rounds.
    Tensor unrounded(String name) {
        Tensor latent = latents.get(name);
        return transforms == null ? latent : transforms.unrounded().getOrDefault(name, latent);
    }

    /// The weights of the forward pass in its dtype, for evaluation or sampling. The caller closes the tensors, none of which is shared with
    /// this model.
    public Weights weights(ScalarType compute) {
        var weights = new LinkedHashMap<String, Tensor>();
        Grad.off(() -> {
            for (String name : latents.keySet()) {
                weights.put(name, Scope.own(() -> projected(name).to(compute, false, true, new MemoryFormatOptional())));
            }
        });
        return new Weights(weights);
    }

    @Override
    public void close() {
        latents.values().forEach(Tensor::close);
        grids.values().forEach(Grid::close);
        if (transforms != null) transforms.close();
        else sites.close();
    }

    /// A full-precision model of these latents, which it takes over.
    public static QuantisedModel fullPrecision(ModelConfig config, SequencedMap<String, Tensor> latents) {
        return new QuantisedModel(config, latents, new LinkedHashMap<>(), null, ScaleMode.STATIC, MaskRule.HALF_STEP);
    }
}
