package rqat.train;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Sites;
import rqat.model.Weights;
import rqat.quant.ActivationSites;
import rqat.quant.FlatTransforms;
import rqat.quant.Grid;
import rqat.quant.LiveTransforms;
import rqat.quant.QuantisedModel;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The model in training: fp32 latents that the optimiser moves and the weights that the forward pass computes with, made from them by
/// [#project] once per optimiser step, outside the graph. The cost of a token is that of full-precision training.
///
/// A computed weight is recorded as an identity (a copy or a cast) of its latent and then overwritten with the projection: the
/// straight-through estimator for the price of one graph node. Autograd thus sums the gradient of every micro-batch in the latent's fp32
/// buffer, whatever the compute dtype; [#gradients] masks it once per optimiser step. All gradients are views of one buffer, so zeroing,
/// norm and averaging over ranks are one operation.
///
/// Latents and grids belong to the caller and are changed in place; the student closes what it made. Not for several threads.
public final class Student implements AutoCloseable {

    /// Learned scales are kept at or above this, so that a step too large cannot turn a group's sign.
    private static final double SMALLEST_SCALE = 1e-6;

    /// How a student computes and what it leaves alone.
    ///
    /// @param compute    dtype of the forward pass, Float or BFloat16
    /// @param checkpoint keep only block inputs and compute blocks twice ([ForwardPass])
    /// @param frozen     exact names of parameters that are not trained
    public record Options(ScalarType compute, boolean checkpoint, Set<String> frozen) {
        /// Checks the dtype.
        public Options {
            if (compute != ScalarType.Float && compute != ScalarType.BFloat16) {
                throw new IllegalArgumentException("compute dtype is %s; expected Float or BFloat16".formatted(compute));
            }
        }

        /// Computing in float32.
        public static Options float32(boolean checkpoint, Set<String> frozen) {
            return new Options(ScalarType.Float, checkpoint, frozen);
        }
    }

    /// Which weights are quantised and how they are trained.
    ///
    /// @param grids      the quantised weights' grids by weight name
    /// @param sites      what is done to activations
    /// @param transforms learned transforms, trained too, from which sites and weights follow; null for none
    public record Quantisation(
            SequencedMap<String, Grid> grids, ScaleMode scaleMode, MaskRule maskRule, Sites sites, @Nullable LiveTransforms transforms) {
        /// Full precision.
        public static final Quantisation NONE = weightsOnly(Collections.emptySortedMap(), ScaleMode.STATIC, MaskRule.HALF_STEP);

        /// Activations keep full precision.
        public static Quantisation weightsOnly(SequencedMap<String, Grid> grids, ScaleMode scaleMode, MaskRule maskRule) {
            return new Quantisation(grids, scaleMode, maskRule, Sites.NONE, null);
        }
    }

    /// How far training has moved the deployed model.
    ///
    /// @param flippedStep  share of codes that the last projection changed
    /// @param flippedTotal share of codes that differ from those of the start
    /// @param saturated    share of weights whose gradient the mask held back in the last step; NaN where there is no mask (learned clipping)
    public record CodeReport(double flippedStep, double flippedTotal, double saturated) {}

    /// A quantised weight: its grid, the codes of the last projection and of the start, and its scales when they are trained.
    private record Quantised(Grid grid, Tensor codes, Tensor start, @Nullable Parameter scale) {}

    private final ModelConfig config;
    private final Options options;
    private final Quantisation quantisation;
    private final SequencedMap<String, Tensor> latents;
    private final SequencedMap<String, Tensor> weights = new LinkedHashMap<>();
    private final SequencedMap<String, Parameter> parameters = new LinkedHashMap<>();
    private final SequencedMap<String, Quantised> quantised = new LinkedHashMap<>();
    /// Trained transforms and clip logits.
    private final SequencedMap<String, Parameter> transforms = new LinkedHashMap<>();
    /// Where the graph from latents and transforms to weights and sites begins, and the gradients that it is to take back from its end.
    private final SequencedMap<String, Tensor> sources = new LinkedHashMap<>();
    private final SequencedMap<String, Tensor> upstream = new LinkedHashMap<>();
    private final Sites sites;
    private final List<Tensor> owned = new ArrayList<>();
    private final Tensor gradient;
    /// Codes flipped in the last projection and since the start, int64; read once per step.
    private final Tensor flips;
    /// Weights whose gradient passed in the last step, float64.
    private final Tensor passed;
    private long gradientUsed;

    /// A student of `latents` (fp32, one for each of [ModelConfig#tensors]), its weights projected.
    ///
    /// @throws Failure USAGE when a frozen name is not a parameter or nothing is left to train
    public Student(ModelConfig config, SequencedMap<String, Tensor> latents, Quantisation quantisation, Options options) {
        this.config = config;
        this.options = options;
        this.quantisation = quantisation;
        this.latents = latents;
        checkFrozen();
        long size = 0;
        for (var latent : latents.entrySet()) {
            Grid grid = quantisation.grids().get(latent.getKey());
            if (options.frozen().contains(latent.getKey())) continue;
            size += latent.getValue().numel();
            if (grid != null && quantisation.scaleMode() == ScaleMode.LEARNED) size += grid.scale().numel();
        }
        if (live() != null) {
            for (var parameter : live().parameters().entrySet()) {
                if (!options.frozen().contains(parameter.getKey())) size += parameter.getValue().numel();
            }
        }
        if (size == 0) throw Failure.usage("every parameter is frozen; nothing to train");
        long total = size;
        Place place = place();
        gradient = own(() -> Tensors.zeros(place.as(ScalarType.Float), total));
        flips = own(() -> Tensors.zeros(place.as(ScalarType.Long), 2));
        passed = own(() -> Tensors.zeros(place.as(ScalarType.Double), 1));
        latents.forEach((name, latent) -> {
            if (isDerived(name)) addDerived(name, latent);
            else if (options.frozen().contains(name)) addFrozen(name, latent);
            else addTrained(name, latent);
        });
        sites = live() == null ? quantisation.sites() : addTransforms(live());
        project();
        restart();
    }

    /// A student of `model`, whose latents and grids it trains in place.
    public Student(QuantisedModel model, Options options) {
        this(
                model.config(),
                model.latents(),
                new Quantisation(model.grids(), model.scaleMode(), model.maskRule(), model.sites(), model.transforms()),
                options);
    }

    /// A full-precision student of `latents`.
    public Student(ModelConfig config, SequencedMap<String, Tensor> latents, Options options) {
        this(config, latents, Quantisation.NONE, options);
    }

    private void checkFrozen() {
        var unknown = new TreeSet<>(options.frozen());
        unknown.removeAll(latents.keySet());
        if (live() != null) unknown.removeAll(live().parameters().keySet());
        if (!unknown.isEmpty()) {
            throw Failure.usage("frozen parameters %s are not in the model; names are exact, for example `%s`"
                    .formatted(unknown, latents.firstEntry().getKey()));
        }
    }

    private void addFrozen(String name, Tensor latent) {
        Grid grid = quantisation.grids().get(name);
        if (grid == null && Tensors.type(latent) == options.compute()) weights.put(name, latent);
        else weights.put(name, own(() -> (grid == null ? latent : grid.fakeQuantise(latent)).to(options.compute())));
    }

    private void addTrained(String name, Tensor latent) {
        Grid grid = quantisation.grids().get(name);
        Tensor part = gradient(Tensors.shape(latent));
        Tensor leaf = leaf(latent, part);
        parameters.put(name, new Parameter(name, latent, part));
        boolean narrow = Tensors.type(latent) != options.compute();
        if (grid == null && !narrow) {
            weights.put(name, leaf); // shares the latent's memory: nothing to project
            return;
        }
        weights.put(name, own(() -> Grad.on(() -> narrow ? leaf.to(options.compute()) : leaf.clone())));
        if (grid == null) return;
        Tensor codes = own(() -> grid.codes(latent));
        Parameter scale = null;
        if (quantisation.scaleMode() == ScaleMode.LEARNED) {
            scale = new Parameter(name + ".scale", own(() -> grid.scale().clone()), gradient(Tensors.shape(grid.scale())));
        }
        quantised.put(name, new Quantised(grid, codes, own(codes::clone), scale));
    }

    private @Nullable LiveTransforms live() {
        return quantisation.transforms();
    }

    /// Whether this weight follows from latents and transforms together.
    private boolean isDerived(String name) {
        return live() != null && live().unrounded().containsKey(name);
    }

    /// A leaf that shares the memory of `value` and sums its gradient in `gradient`.
    private Tensor leaf(Tensor value, Tensor gradient) {
        Tensor leaf = own(() -> value.detach().requires_grad_(true));
        Scope.run(() -> leaf.mutable_grad().put(gradient));
        return leaf;
    }

    /// A leaf whose gradient waits for [LiveTransforms#backward].
    private Tensor end(String name, Tensor value) {
        upstream.put(name, own(() -> torch.zeros_like(value)));
        return leaf(value, upstream.get(name));
    }

    private Tensor source(String name, Tensor value, SequencedMap<String, Parameter> trained) {
        if (options.frozen().contains(name)) return value;
        Tensor part = gradient(Tensors.shape(value));
        trained.put(name, new Parameter(name, value, part));
        return leaf(value, part);
    }

    private void addDerived(String name, Tensor latent) {
        sources.put(name, source(name, latent, parameters));
        Tensor end = end(name, own(latent::clone));
        weights.put(
                name, Tensors.type(end) == options.compute() ? end : own(() -> Grad.on(() -> end.to(options.compute()))));
        Grid grid = quantisation.grids().get(name);
        if (grid == null) return;
        Tensor codes = own(() -> grid.codes(live().unrounded().get(name)));
        quantised.put(name, new Quantised(grid, codes, own(codes::clone), null));
    }

    /// Returns sites whose tensors are leaves, sharing the memory of the model's own.
    private Sites addTransforms(LiveTransforms live) {
        live.parameters().forEach((name, value) -> sources.put(name, source(name, value, transforms)));
        if (transforms.isEmpty()) return live.sites();
        var tensors = new LinkedHashMap<String, Tensor>();
        live.sites().tensors().forEach((name, tensor) -> tensors.put(name, end(name, tensor)));
        return new ActivationSites(config, live.sites().format(), tensors);
    }

    /// The next part of the gradient buffer.
    private Tensor gradient(long[] shape) {
        long from = gradientUsed;
        Tensor part = own(() -> {
            long size = 1;
            for (long length : shape) size *= length;
            gradientUsed += size;
            return gradient.narrow(0, from, size).view(shape);
        });
        return part;
    }

    private Tensor own(Supplier<Tensor> maker) {
        Tensor tensor = Scope.own(maker);
        owned.add(tensor);
        return tensor;
    }

    /// The configuration of the model.
    public ModelConfig config() {
        return config;
    }

    /// Where it is trained: where its latents are.
    public Place place() {
        return Place.of(latents.firstEntry().getValue());
    }

    /// The weights that the forward pass reads, in the compute dtype and recording gradients; refreshed by [#project].
    public Weights weights() {
        return new Weights(weights);
    }

    /// A decoder of [#weights], for whoever samples from or evaluates the student; without gradients if it says so.
    public Decoder decoder() {
        return new Decoder(config, weights(), sites);
    }

    /// The trained weights in the order of the forward pass.
    public List<Parameter> parameters() {
        return List.copyOf(parameters.values());
    }

    /// The trained scales, `[R, groups]` each, named after their weight with `.scale` appended; none unless the mode is LEARNED.
    public List<Parameter> scales() {
        return quantised.values().stream().map(Quantised::scale).filter(java.util.Objects::nonNull).toList();
    }

    /// The trained matrices and channel scales of learned transforms; none for other methods.
    public List<Parameter> transforms() {
        return transforms.values().stream().filter(parameter -> !FlatTransforms.isClip(parameter.name())).toList();
    }

    /// The trained clip logits of weights and activations; none for methods without.
    public List<Parameter> clips() {
        return transforms.values().stream().filter(parameter -> FlatTransforms.isClip(parameter.name())).toList();
    }

    /// Everything that is trained: [#parameters], [#scales], [#transforms] and [#clips].
    public List<Parameter> trained() {
        return Stream.of(parameters(), scales(), transforms(), clips()).flatMap(List::stream).toList();
    }

    /// The gradients of all parameters, one flat fp32 tensor.
    public Tensor gradient() {
        return gradient;
    }

    /// Makes the weights follow the latents: quantised ones become their nearest points on the grid, the others are rounded to the compute
    /// dtype. Grids are refitted or take over their learned scales first. Counts the codes that changed.
    public void project() {
        Grad.off(() -> Scope.run(() -> {
            flips.zero_();
            for (Parameter parameter : parameters.values()) {
                if (!isDerived(parameter.name())) project(parameter.name(), parameter.value());
            }
            if (live() != null) {
                live().refresh();
                live().unrounded().forEach(this::project);
            }
        }));
    }

    /// @param unrounded what the grid rounds
    private void project(String name, Tensor unrounded) {
        Tensor weight = weights.get(name);
        Quantised part = quantised.get(name);
        if (part != null) Scope.run(() -> weight.copy_(projected(unrounded, part)));
        else if (isDerived(name) || Tensors.type(weight) != ScalarType.Float) weight.copy_(unrounded);
    }

    private Tensor projected(Tensor latent, Quantised part) {
        Grid grid = part.grid;
        switch (quantisation.scaleMode()) {
            case STATIC -> {}
            case DYNAMIC -> grid.refit(latent);
            case LEARNED -> {
                part.scale.value().clamp_min_(new Scalar(SMALLEST_SCALE));
                grid.scale().copy_(Grid.roundScale(grid.spec().scaleType(), part.scale.value()));
            }
        }
        Tensor codes = grid.codes(latent);
        flips.narrow(0, 0, 1).add_(codes.ne(part.codes).count_nonzero());
        flips.narrow(0, 1, 1).add_(codes.ne(part.start).count_nonzero());
        part.codes.copy_(codes);
        return grid.dequantise(codes);
    }

    /// Takes the present codes as those of the start.
    private void restart() {
        quantised.values().forEach(part -> Scope.run(() -> part.start.copy_(part.codes)));
        Scope.run(() -> flips.zero_());
    }

    /// Forgets the gradients of the last step.
    public void zeroGradients() {
        Scope.run(() -> gradient.zero_());
        Scope.run(() -> upstream.values().forEach(Tensor::zero_));
    }

    /// Turns the summed gradients with respect to the weights into those of latents and scales: the straight-through estimator's mask and,
    /// for learned scales, the closed form of LSQ with its factor `1 / sqrt(group columns * largest code)`. Once per optimiser step, after
    /// the last backward pass. Gradients of weights and sites that follow from learned transforms go back to latents and transforms.
    public void gradients() {
        Grad.off(() -> Scope.run(() -> {
            passed.zero_();
            if (live() != null) live().backward(sources, upstream);
            quantised.forEach((name, part) -> Scope.run(() -> {
                if (isDerived(name)) return; // clipping is part of the graph
                Parameter parameter = parameters.get(name);
                Grid grid = part.grid;
                if (part.scale != null) {
                    double size = (double) grid.spec().groupColumns(parameter.value().size(1)) * grid.spec().maximum();
                    part.scale
                            .gradient()
                            .copy_(grid.scaleGradient(parameter.value(), parameter.gradient()).mul_(new Scalar(1 / Math.sqrt(size))));
                }
                Tensor mask = grid.mask(parameter.value(), quantisation.maskRule());
                passed.add_(mask.sum());
                parameter.gradient().mul_(mask);
            }));
        }));
    }

    /// What the last [#gradients] and [#project] did to the codes; null for a student without grids.
    public @Nullable CodeReport codeReport() {
        if (quantised.isEmpty()) return null;
        double size = quantised.values().stream().mapToLong(part -> part.codes.numel()).sum();
        long[] flipped = Tensors.longs(flips);
        return new CodeReport(flipped[0] / size, flipped[1] / size, live() == null ? 1 - Tensors.doubles(passed)[0] / size : Double.NaN);
    }

    /// Runs `ids [B, T]` (int64, padded on the right) through the blocks, recording what [ForwardPass#backward] needs.
    public ForwardPass forward(Tensor ids) {
        return ForwardPass.of(decoder(), ids, options.checkpoint());
    }

    /// The head, `chunk` rows at a time, adding to this student's gradients.
    public ChunkedHead head(int chunk) {
        Parameter head = parameters.get(config.head());
        return new ChunkedHead(weights.get(config.head()), head == null ? null : head.gradient(), chunk);
    }

    /// The tensors that a checkpoint holds, themselves and not copies: latents, learned transforms, grids, learned scales and the codes of the start. Whoever
    /// overwrites them calls [#project] afterwards.
    public SequencedMap<String, Tensor> state() {
        var state = new LinkedHashMap<String, Tensor>();
        parameters.forEach((name, parameter) -> state.put(name, parameter.value()));
        transforms.forEach((name, parameter) -> state.put(name, parameter.value()));
        quantised.forEach((name, part) -> {
            state.put("grid_scale." + name, part.grid.scale());
            state.put("grid_zero." + name, part.grid.zero());
            state.put("start_codes." + name, part.start);
            if (part.scale != null) state.put("learned_scale." + name, part.scale.value());
        });
        return state;
    }

    @Override
    public void close() {
        owned.forEach(Tensor::close);
    }
}
