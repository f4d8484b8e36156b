package rqat.quant;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import java.util.function.ToDoubleFunction;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.model.Attention;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Rotation;
import rqat.model.Sites;
import rqat.model.Weights;
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
/// Deviations from the reference code: windows may differ in length; the clip error is `d^T (X^T X) d` with the Gram matrix of the sampled
/// inputs, in float64, instead of a sum over them; searches compare float64 sums.
///
/// Shapes: R rows, C columns, G columns per group, N tokens.
final class AwqSearch {
    private static final int RATIOS = 20;
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
    /// @param scalings by the first map that is scaled
    /// @param limits   `[R, groups]`, largest absolute values of the scaled weights
    /// @param inputs   `[N, C]`, the sampled inputs of every map, divided by its scales
    record Block(int layer, SequencedMap<Linear, Scaling> scalings, Map<Linear, Tensor> limits, Map<Linear, Tensor> inputs) {}

    /// Scales and clips `latents` in place.
    ///
    /// @param weights the full-precision weights in the compute dtype; not changed
    /// @param done    called after every block
    static void run(
            ModelConfig config,
            Map<String, Tensor> latents,
            Weights weights,
            int[][] windows,
            GridSpec spec,
            Consumer<Block> done) {
        Calibration.embedded(config, weights, windows, states -> {
            for (int layer = 0; layer < config.layers(); layer++) {
                Calibration.stopIfInterrupted(layer);
                var work = new Work(config, latents, weights, spec, layer, states);
                try {
                    Scope.run(() -> done.accept(work.run()));
                } finally {
                    work.close();
                }
            }
        });
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
            Tensor limits = Tensors.empty(ScalarType.Float, rows, columns / size);
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

    /// Multiplies the columns of the maps that share the inputs of `first` by `scale [C]` and divides what comes before, in `latents`: the model
    /// stays the same.
    static void apply(ModelConfig config, Map<String, Tensor> latents, int layer, Linear first, Tensor scale) {
        switch (first) {
            case QUERY -> {
                scaleInputs(latents, layer, scale, Linear.QUERY, Linear.KEY, Linear.VALUE);
                latents.get(ModelConfig.attentionNorm(layer)).div_(scale);
            }
            case GATE -> {
                scaleInputs(latents, layer, scale, Linear.GATE, Linear.UP);
                latents.get(ModelConfig.mlpNorm(layer)).div_(scale);
            }
            case OUTPUT -> {
                scaleInputs(latents, layer, scale, Linear.OUTPUT);
                divideOutputs(config, latents, layer, scale, Linear.VALUE);
            }
            case DOWN -> {
                scaleInputs(latents, layer, scale, Linear.DOWN);
                divideOutputs(config, latents, layer, scale, Linear.UP);
            }
            case KEY, VALUE, UP -> throw new IllegalStateException(first + " has no scales of its own");
        }
    }

    private static void scaleInputs(Map<String, Tensor> latents, int layer, Tensor scale, Linear... linears) {
        for (Linear linear : linears) latents.get(linear.weight(layer)).mul_(scale);
    }

    private static void divideOutputs(ModelConfig config, Map<String, Tensor> latents, int layer, Tensor scale, Linear linear) {
        latents.get(linear.weight(layer)).div_(scale.unsqueeze(1));
        if (config.hasBias(linear)) latents.get(linear.bias(layer)).div_(scale);
    }

    /// A part of the model whose output on one batch is compared.
    @FunctionalInterface
    private interface Module {
        Tensor output(Weights weights, int batch);
    }

    /// One block.
    private static final class Work {
        private final ModelConfig config;
        private final Map<String, Tensor> latents;
        private final Weights weights;
        private final GridSpec spec;
        private final int layer;
        private final List<Tensor> states;
        /// The inputs of every map, `[B, T, C]` a batch.
        private final Map<Linear, List<Tensor>> inputs = new EnumMap<>(Linear.class);
        private final SequencedMap<Linear, Scaling> scalings = new LinkedHashMap<>();

        Work(ModelConfig config, Map<String, Tensor> latents, Weights weights, GridSpec spec, int layer, List<Tensor> states) {
            this.config = config;
            this.latents = latents;
            this.weights = weights;
            this.spec = spec;
            this.layer = layer;
            this.states = states;
        }

        Block run() {
            var decoder = new Decoder(config, weights, new Capture(inputs));
            var attentionStates = new ArrayList<Tensor>();
            var mlpStates = new ArrayList<Tensor>();
            for (Tensor state : states) {
                attentionStates.add(state.clone());
                mlpStates.add(Scope.keep(() -> state.add(decoder.attention(layer, state, rotation(state), Attention.CAUSAL))));
                Scope.run(() -> state.copy_(mlpStates.getLast().add(decoder.mlp(layer, mlpStates.getLast()))));
            }
            search(List.of(Linear.QUERY, Linear.KEY, Linear.VALUE), (candidate, batch) -> new Decoder(config, candidate)
                    .attention(layer, attentionStates.get(batch), rotation(attentionStates.get(batch)), Attention.CAUSAL));
            if (config.outputs(Linear.VALUE) == config.outputs(Linear.OUTPUT) && config.inputs(Linear.VALUE) == config.inputs(Linear.OUTPUT)) {
                search(List.of(Linear.OUTPUT), alone(Linear.OUTPUT));
            }
            search(List.of(Linear.GATE, Linear.UP), (candidate, batch) -> new Decoder(config, candidate).mlp(layer, mlpStates.get(batch)));
            search(List.of(Linear.DOWN), alone(Linear.DOWN));
            return clip();
        }

        void close() {
            for (Linear first : List.of(Linear.QUERY, Linear.OUTPUT, Linear.GATE, Linear.DOWN)) {
                inputs.getOrDefault(first, List.of()).forEach(Tensor::close);
            }
        }

        private Module alone(Linear linear) {
            return (candidate, batch) -> torch.linear(inputs.get(linear).get(batch), candidate.get(linear.weight(layer)));
        }

        private Rotation rotation(Tensor state) {
            return new Decoder(config, weights).rotation(Tensors.range(0, state.size(1)).unsqueeze(0));
        }

        private void search(List<Linear> linears, Module module) {
            List<Tensor> batches = inputs.get(linears.getFirst());
            var exact = new ArrayList<Tensor>();
            for (int batch = 0; batch < batches.size(); batch++) {
                int index = batch;
                exact.add(Scope.keep(() -> module.output(weights, index)));
            }
            double outputs = exact.stream().mapToLong(Tensor::numel).sum();
            scalings.put(linears.getFirst(), scaling(magnitudes(batches), scale -> {
                Weights candidate = rounded(linears, scale);
                double sum = 0;
                for (int batch = 0; batch < batches.size(); batch++) {
                    int index = batch;
                    sum += Scope.get(() -> Tensors.item(module.output(candidate, index)
                            .sub(exact.get(index))
                            .to(ScalarType.Float)
                            .square()
                            .to(ScalarType.Double)
                            .sum()));
                }
                return sum / outputs;
            }));
            exact.forEach(Tensor::close);
        }

        private static Tensor magnitudes(List<Tensor> batches) {
            return Scope.keep(() -> {
                Tensor sum = Tensors.zeros(ScalarType.Float, batches.getFirst().size(2));
                long tokens = 0;
                for (Tensor batch : batches) {
                    Scope.run(() -> sum.add_(flat(batch).to(ScalarType.Float).abs().sum(0)));
                    tokens += batch.size(0) * batch.size(1);
                }
                return sum.div_(new Scalar((double) tokens));
            });
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
            scalings.forEach((linear, scaling) -> apply(config, latents, layer, linear, scaling.scale()));
            var limits = new EnumMap<Linear, Tensor>(Linear.class);
            var sampled = new EnumMap<Linear, Tensor>(Linear.class);
            for (Linear linear : Linear.values()) {
                Tensor weight = latents.get(linear.weight(layer));
                Tensor tokens = sampled(linear);
                sampled.put(linear, tokens);
                if (linear == Linear.QUERY || linear == Linear.KEY) continue;
                Tensor limit = limits(spec, weight, tokens);
                limits.put(linear, limit);
                Scope.run(() -> weight.copy_(
                        clipped(weight.view(weight.size(0), limit.size(1), -1), limit).view(Tensors.shape(weight))));
            }
            return new Block(layer, scalings, limits, sampled);
        }

        /// Every n-th token of the inputs of `linear`, at least [#SAMPLED_TOKENS] if there are as many, `[N, C]`, float32.
        private Tensor sampled(Linear linear) {
            return Scope.keep(() -> {
                List<Tensor> batches = inputs.get(linear).stream().map(Work::flat).toList();
                long total = batches.stream().mapToLong(batch -> batch.size(0)).sum();
                long stride = Math.max(1, total / SAMPLED_TOKENS);
                var parts = new ArrayList<Tensor>();
                long passed = 0;
                for (Tensor batch : batches) {
                    long first = Math.floorMod(-passed, stride);
                    passed += batch.size(0);
                    if (first < batch.size(0)) parts.add(batch.index_select(0, strided(first, batch.size(0), stride)));
                }
                Tensor tokens = Tensors.cat(parts, 0).to(ScalarType.Float);
                Scaling scaling = scalings.get(switch (linear) {
                    case QUERY, KEY, VALUE -> Linear.QUERY;
                    case GATE, UP -> Linear.GATE;
                    case OUTPUT, DOWN -> linear;
                });
                return scaling == null ? tokens : tokens.div_(scaling.scale());
            });
        }

        private static Tensor strided(long from, long to, long stride) {
            return torch.arange(new Scalar(from), new Scalar(to), new Scalar(stride), Tensors.options(ScalarType.Long));
        }

        private static Tensor flat(Tensor x) {
            return x.reshape(-1, x.size(-1));
        }
    }

    /// Keeps the inputs of the maps, batch by batch.
    private record Capture(Map<Linear, List<Tensor>> inputs) implements Sites {
        private Tensor keep(Tensor x, Linear... linears) {
            Tensor kept = Scope.own(x::detach);
            for (Linear linear : linears) inputs.computeIfAbsent(linear, _ -> new ArrayList<>()).add(kept);
            return x;
        }

        @Override
        public Tensor attentionInput(int layer, Tensor x) {
            return keep(x, Linear.QUERY, Linear.KEY, Linear.VALUE);
        }

        @Override
        public Tensor attentionOutput(int layer, Tensor x) {
            return keep(x, Linear.OUTPUT);
        }

        @Override
        public Tensor mlpInput(int layer, Tensor x) {
            return keep(x, Linear.GATE, Linear.UP);
        }

        @Override
        public Tensor mlpHidden(int layer, Tensor x) {
            return keep(x, Linear.DOWN);
        }
    }
}
