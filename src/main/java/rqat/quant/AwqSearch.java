package rqat.quant;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.ToDoubleFunction;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import rqat.format.GridSpec;
import rqat.format.Site;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Sites;
import rqat.model.Weights;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// AWQ (Lin et al. 2024, arXiv:2306.00978): rounding hurts most in the channels whose activations are large, so the columns of such channels
/// are scaled up before rounding and what comes before is scaled down, which changes nothing but the rounding. With `a_j = mean |x_j|`,
///
///     s = a^alpha / sqrt(max a^alpha * min a^alpha)        alpha = 0, 0.05 ... 0.95, the one with the smallest output error
///     W <- W diag(s),   norm or rows of the map before /= s
///
/// for query, key, value behind the first norm (error of the whole attention), output behind value (only if they have one shape), gate and up
/// behind the second norm (error of the whole MLP), down behind up. Then the range of every group is shrunk by 0, 5 ... 45 per cent to where
/// its own part of the output, `sum_j w_j x_j` over the group, errs least; query and key are left alone, since their errors meet in a product.
/// All inputs and outputs are those of the full-precision model.
///
/// Deviations from the reference code: windows may differ in length; errors of single maps are `d^T (X^T X) d` with a Gram matrix of their
/// inputs in float64 instead of passes over them, that of all tokens for scales and that of sampled ones for limits; searches compare float64
/// sums.
///
/// Shapes: R rows, C columns, G columns per group, N tokens.
final class AwqSearch {
    static final int RATIOS = 20;
    private static final double SMALLEST_SCALE = 1e-4;
    private static final int LIMITS = 10;
    private static final double LIMIT_STEP = 1.0 / 20;
    private static final int SAMPLED_TOKENS = 512;
    /// Elements of a weight whose clip error is computed at a time.
    private static final long CLIP_ELEMENTS = 1 << 22;

    private AwqSearch() {}

    /// The result of a search over scales.
    ///
    /// @param losses mean squared error of the output for each ratio
    /// @param best   index of the smallest, the first of equals
    /// @param scale  `[C]`, float32
    record Scaling(double[] losses, int best, Tensor scale) {}

    /// What was done to a block; the tensors live during the call only.
    ///
    /// @param scalings of the inputs that are scaled
    /// @param limits   `[R, groups]`, largest absolute values of the scaled weights
    /// @param inputs   `[N, C]`, what was sampled of every input, divided by its scales
    record Block(int layer, SequencedMap<Site, Scaling> scalings, Map<Linear, Tensor> limits, Map<Site, Tensor> inputs) {}

    /// Scales and clips `latents` in place.
    ///
    /// @param weights  the full-precision weights in the compute dtype; not changed
    /// @param listener hears of every ratio that was tried
    /// @param done     called after every block
    /// @throws rqat.Failure as [Calibration#run]
    static void run(
            ModelConfig config,
            Map<String, Tensor> latents,
            Weights weights,
            int[][] windows,
            GridSpec spec,
            Calibration.Listener listener,
            Consumer<Block> done) {
        Calibration.check(config, windows);
        List<PackedBatch> batches = new ArrayList<>();
        try {
            Grad.off(() -> {
                packed(windows).forEach(batch -> batches.add(PackedBatch.embed(config, weights, batch)));
                for (int layer = 0; layer < config.layers(); layer++) {
                    var work = new Work(config, latents, weights, spec, layer, batches, listener);
                    Scope.run(() -> done.accept(work.run()));
                }
            });
        } finally {
            batches.forEach(PackedBatch::close);
        }
    }

    /// Windows in their order, at most [Calibration#BATCH_TOKENS] tokens in a batch of more than one.
    private static List<int[][]> packed(int[][] windows) {
        List<int[][]> batches = new ArrayList<>();
        for (int from = 0, to; from < windows.length; from = to) {
            int tokens = 0;
            for (to = from; to < windows.length && (to == from || tokens + windows[to].length <= Calibration.BATCH_TOKENS); to++) {
                tokens += windows[to].length;
            }
            batches.add(Arrays.copyOfRange(windows, from, to));
        }
        return batches;
    }

    /// The scales of the ratio with the smallest `loss`, for mean input magnitudes `[C]`.
    static Scaling scaling(Tensor magnitudes, ToDoubleFunction<Tensor> loss) {
        var losses = new double[RATIOS];
        int best = 0;
        for (int i = 0; i < RATIOS; i++) {
            int index = i;
            losses[i] = Scope.get(() -> loss.applyAsDouble(scale(magnitudes, index)));
            if (losses[i] < losses[best]) best = i;
        }
        return new Scaling(losses, best, scale(magnitudes, best));
    }

    private static Tensor scale(Tensor magnitudes, int index) {
        Tensor power = magnitudes.pow(new Scalar((double) index / RATIOS)).clamp_min_(new Scalar(SMALLEST_SCALE));
        return power.div(power.max().mul(power.min()).sqrt());
    }

    /// The largest absolute values `[R, groups]` to which `weight [R, C]` (float32) is clipped, given inputs `[N, C]`.
    static Tensor limits(GridSpec spec, Tensor weight, Tensor inputs) {
        long rows = weight.size(0), columns = weight.size(1), size = spec.groupColumns(columns);
        return Scope.keep(() -> {
            Tensor perGroup = inputs.to(ScalarType.Double).view(inputs.size(0), columns / size, size).transpose(0, 1);
            Tensor gram = torch.bmm(perGroup.transpose(1, 2), perGroup);
            Tensor limits = Tensors.empty(Place.of(weight), rows, columns / size);
            long atOnce = Math.max(1, CLIP_ELEMENTS / columns);
            for (long from = 0; from < rows; from += atOnce) {
                long first = from, count = Math.min(atOnce, rows - from);
                Scope.run(() -> limits.narrow(0, first, count)
                        .copy_(limitsOfRows(spec, weight.narrow(0, first, count).view(count, -1, size), gram)));
            }
            return limits;
        });
    }

    private static Tensor limitsOfRows(GridSpec spec, Tensor groups, Tensor gram) {
        Tensor full = groups.abs().amax(new long[] {-1}, false);
        Tensor best = full.clone();
        Tensor smallest = torch.full_like(full.to(ScalarType.Double), new Scalar(Double.POSITIVE_INFINITY));
        for (int step = 0; step < LIMITS; step++) {
            double factor = 1 - step * LIMIT_STEP;
            Scope.run(() -> {
                Tensor limit = full.mul(new Scalar(factor));
                Tensor clipped = clipped(groups, limit);
                Tensor error = Grid.fit(spec, clipped, ClipSearch.TIGHT)
                        .fakeQuantise(clipped)
                        .sub_(groups)
                        .to(ScalarType.Double)
                        .transpose(0, 1);
                Tensor squared = torch.bmm(error, gram).mul_(error).sum(-1).t();
                Tensor better = squared.lt(smallest);
                smallest.copy_(torch.where(better, squared, smallest));
                best.copy_(torch.where(better, limit, best));
            });
        }
        return best;
    }

    private static Tensor clipped(Tensor groups, Tensor limits) {
        Tensor bound = limits.unsqueeze(-1);
        return groups.minimum(bound).maximum(bound.neg());
    }

    /// Multiplies the columns of the maps that read `input` by `scale [C]` and divides what comes before, in `latents`: the model stays the
    /// same.
    static void apply(ModelConfig config, Map<String, Tensor> latents, int layer, Site input, Tensor scale) {
        for (Linear linear : input.readers()) latents.get(linear.weight(layer)).mul_(scale);
        switch (input) {
            case ATTENTION_INPUT -> latents.get(ModelConfig.attentionNorm(layer)).div_(scale);
            case ATTENTION_OUTPUT -> divideOutputs(config, latents, layer, scale, Linear.VALUE);
            case MLP_INPUT -> latents.get(ModelConfig.mlpNorm(layer)).div_(scale);
            case MLP_HIDDEN -> divideOutputs(config, latents, layer, scale, Linear.UP);
            case QUERIES, KEYS, VALUES -> throw new IllegalArgumentException("no map reads " + input);
        }
    }

    private static void divideOutputs(ModelConfig config, Map<String, Tensor> latents, int layer, Tensor scale, Linear linear) {
        latents.get(linear.weight(layer)).div_(scale.unsqueeze(1));
        if (config.hasBias(linear)) latents.get(linear.bias(layer)).div_(scale);
    }

    /// What the searches need to know of an input of linear maps, so that the input itself is not kept.
    private static final class Statistics {
        private final long stride;
        private final Tensor magnitudes;
        /// Sum of `x x^T` over all tokens, `[C, C]`, float64; only of inputs whose search needs it.
        private final @Nullable Tensor gram;
        private final Tensor sampled;
        private long tokens;

        /// Of nothing yet; the tensors are the surrounding scope's.
        ///
        /// @param place    the device of the inputs
        /// @param total    tokens to come, of which at least [#SAMPLED_TOKENS] are sampled if there are as many
        /// @param products whether [#squaredError] will be asked for
        Statistics(Place place, int columns, long total, boolean products) {
            stride = Math.max(1, total / SAMPLED_TOKENS);
            magnitudes = Tensors.zeros(place.as(ScalarType.Double), columns);
            gram = products ? Tensors.zeros(place.as(ScalarType.Double), columns, columns) : null;
            sampled = Tensors.empty(place.as(ScalarType.Float), Math.ceilDiv(total, stride), columns);
        }

        /// Adds the tokens of `x [1, N, C]`.
        void add(Tensor x) {
            Tensor flat = x.reshape(-1, x.size(-1));
            magnitudes.add_(flat.abs().to(ScalarType.Float).sum(0));
            if (gram != null) {
                Tensor wide = flat.to(ScalarType.Double);
                gram.addmm_(wide.t(), wide);
            }
            long first = Math.floorMod(-tokens, stride), end = flat.size(0);
            if (first < end) {
                Tensor chosen = Tensors.range(Place.of(flat), first, end, stride);
                sampled.narrow(0, Math.ceilDiv(tokens, stride), chosen.size(0)).copy_(flat.index_select(0, chosen));
            }
            tokens += end;
        }

        /// `mean |x|`, `[C]`, float32.
        Tensor meanMagnitudes() {
            return magnitudes.div(new Scalar((double) tokens)).to(ScalarType.Float);
        }

        /// Sum of `|D x|^2` over all tokens for the error `D [R, C]` of a map.
        double squaredError(Tensor error) {
            return Tensors.item(error.matmul(Objects.requireNonNull(gram)).mul_(error).sum());
        }
    }

    /// A part of the block, for the batch with a given index.
    @FunctionalInterface
    private interface Part {
        Tensor output(Decoder decoder, int batch);
    }

    /// One block. Tensors are those of the scope in which it runs.
    private static final class Work {
        private final ModelConfig config;
        private final Map<String, Tensor> latents;
        private final Weights weights;
        private final GridSpec spec;
        private final int layer;
        private final List<PackedBatch> batches;
        private final Calibration.Listener listener;
        private final long tokens;
        private final Set<Site> scalable = EnumSet.copyOf(Site.INPUTS);
        private final Map<Site, Statistics> inputs = new EnumMap<>(Site.class);
        private final SequencedMap<Site, Scaling> scalings = new LinkedHashMap<>();
        private int tried;

        Work(
                ModelConfig config,
                Map<String, Tensor> latents,
                Weights weights,
                GridSpec spec,
                int layer,
                List<PackedBatch> batches,
                Calibration.Listener listener) {
            this.config = config;
            this.latents = latents;
            this.weights = weights;
            this.spec = spec;
            this.layer = layer;
            this.batches = batches;
            this.listener = listener;
            this.tokens = batches.stream().mapToLong(batch -> batch.states().size(1)).sum();
            if (config.outputs(Linear.VALUE) != config.outputs(Linear.OUTPUT) || config.inputs(Linear.VALUE) != config.inputs(Linear.OUTPUT)) {
                scalable.remove(Site.ATTENTION_OUTPUT);
            }
        }

        /// Scales and clips the block, and leaves its full-precision outputs in the batches.
        Block run() {
            for (Site input : Site.INPUTS) {
                inputs.put(input, new Statistics(Place.of(weights.get(ModelConfig.EMBEDDING)), input.width(config), tokens, input.readers().size() == 1 && scalable.contains(input)));
            }
            var decoder = new Decoder(config, weights, new InputObserver(Sites.NONE, (input, x) -> inputs.get(input).add(x)));
            var attended = new ArrayList<Tensor>();
            var transformed = new ArrayList<Tensor>();
            for (PackedBatch batch : batches) {
                attended.add(Scope.keep(() -> attention(decoder, batch)));
                transformed.add(Scope.keep(() -> decoder.mlp(layer, batch.states().add(attended.getLast()))));
            }
            search(Site.ATTENTION_INPUT, candidate -> squaredError(
                    candidate, attended, (quantised, batch) -> attention(quantised, batches.get(batch))));
            search(Site.ATTENTION_OUTPUT, candidate -> squaredError(candidate, Site.ATTENTION_OUTPUT));
            search(Site.MLP_INPUT, candidate -> squaredError(
                    candidate,
                    transformed,
                    (quantised, batch) -> quantised.mlp(layer, batches.get(batch).states().add(attended.get(batch)))));
            search(Site.MLP_HIDDEN, candidate -> squaredError(candidate, Site.MLP_HIDDEN));
            for (int i = 0; i < batches.size(); i++) batches.get(i).states().add_(attended.get(i)).add_(transformed.get(i));
            return clip();
        }

        private Tensor attention(Decoder decoder, PackedBatch batch) {
            return decoder.attention(layer, batch.states(), batch.rotation(decoder), batch.attention());
        }

        /// Finds the scale of `input`, if it can be scaled.
        ///
        /// @param squaredError of the output over all tokens; every output here is as wide as the residual stream
        private void search(Site input, ToDoubleFunction<Weights> squaredError) {
            if (!scalable.contains(input)) return;
            scalings.put(input, scaling(inputs.get(input).meanMagnitudes(), scale -> {
                Calibration.stopIfInterrupted(layer);
                double sum = squaredError.applyAsDouble(rounded(input.readers(), scale));
                listener.passed(layer, ++tried, RATIOS * scalable.size());
                return sum / tokens / config.hiddenSize();
            }));
        }

        private double squaredError(Weights candidate, List<Tensor> exact, Part part) {
            var decoder = new Decoder(config, candidate);
            double sum = 0;
            for (int i = 0; i < exact.size(); i++) {
                int batch = i;
                sum += Scope.get(() -> Tensors.item(part.output(decoder, batch)
                        .sub(exact.get(batch))
                        .to(ScalarType.Float)
                        .square()
                        .to(ScalarType.Double)
                        .sum()));
            }
            return sum;
        }

        /// That of the only map that reads `input`.
        private double squaredError(Weights candidate, Site input) {
            String name = input.readers().getFirst().weight(layer);
            return Scope.get(() -> inputs.get(input).squaredError(candidate.get(name).to(ScalarType.Double).sub(weights.get(name))));
        }

        /// The weights with those of `linears` rounded in scaled form.
        private Weights rounded(List<Linear> linears, Tensor scale) {
            var result = new LinkedHashMap<>(weights.all());
            for (Linear linear : linears) {
                result.computeIfPresent(linear.weight(layer), (name, weight) -> Scope.keep(() -> {
                    Tensor scaled = latents.get(name).mul(scale);
                    return Grid.fit(spec, scaled, ClipSearch.TIGHT).fakeQuantise(scaled).div_(scale).to(weight.scalar_type());
                }));
            }
            return new Weights(result);
        }

        /// Applies the scales, then searches and applies the limits.
        private Block clip() {
            scalings.forEach((input, scaling) -> apply(config, latents, layer, input, scaling.scale()));
            var limits = new EnumMap<Linear, Tensor>(Linear.class);
            var sampled = new EnumMap<Site, Tensor>(Site.class);
            inputs.forEach((input, statistics) -> {
                Scaling scaling = scalings.get(input);
                Tensor seen = scaling == null ? statistics.sampled : statistics.sampled.div_(scaling.scale());
                sampled.put(input, seen);
                for (Linear linear : input.readers()) {
                    if (linear == Linear.QUERY || linear == Linear.KEY) continue;
                    Tensor weight = latents.get(linear.weight(layer));
                    Tensor limit = limits(spec, weight, seen);
                    limits.put(linear, limit);
                    Scope.run(() -> weight.copy_(
                            clipped(weight.view(weight.size(0), limit.size(1), -1), limit).view(Tensors.shape(weight))));
                }
            });
            return new Block(layer, scalings, limits, sampled);
        }
    }
}
