package rqat.quant;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import rqat.Failure;
import rqat.model.Attention;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.Sites;
import rqat.model.Weights;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Learns the parameters of [FlatQuant] block by block: each block, with everything rounded, is to give the outputs of the full-precision
/// block on full-precision inputs; weights stay. Errors of earlier blocks are not seen (methods note 7.5).
///
/// The loss is the mean squared error over its own constant value, so its gradient is that of the logarithm and blocks of all sizes take the
/// same learning rate. AdamW, cosine to a thousandth of the peak, batches in fixed order. Windows of different lengths are padded on
/// the right, and padding does not count.
///
/// @param flat    the format
/// @param latents of the full-precision model, float32
record FlatQuantCalibration(FlatQuant flat, Map<String, Tensor> latents) {
    private static final double BETA1 = 0.9;
    private static final double BETA2 = 0.999;
    private static final double EPSILON = 1e-8;
    private static final double FLOOR = 1e-3;

    /// Windows that go through a block together.
    ///
    /// @param states `[B, T, hidden]`, float32, the inputs of the current block
    /// @param rows   `[N]`, int64, the real tokens among the `B T`
    record Batch(Tensor states, Tensor rows) implements AutoCloseable {
        @Override
        public void close() {
            states.close();
            rows.close();
        }
    }

    /// What the calibration of a block did.
    ///
    /// @param losses mean squared error of each step before its update
    /// @param before mean squared error of the block's output with the first channel scales
    /// @param after  and with what was learned
    /// @param size   mean square of the output
    record Result(List<Double> losses, double before, double after, double size) {}

    /// Calibrates all blocks, changing `parameters` in place.
    ///
    /// @throws Failure USAGE as [Calibration#run]; GATE when a loss is not finite; INTERRUPTED
    void run(Map<String, Tensor> parameters, int[][] windows, Quantiser.Listener listener) {
        Calibration.check(flat.config(), windows);
        List<Batch> batches = new ArrayList<>();
        try {
            Grad.off(() -> {
                for (int from = 0; from < windows.length; from += flat.method().batch()) {
                    batches.add(batch(Arrays.copyOfRange(windows, from, Math.min(windows.length, from + flat.method().batch()))));
                }
            });
            for (int layer = 0; layer < flat.config().layers(); layer++) {
                List<Tensor> outputs = outputs(layer, parameters, batches);
                try {
                    Result result = learn(layer, parameters, batches, outputs, listener);
                    int done = layer * Linear.values().length, total = flat.config().layers() * Linear.values().length;
                    for (Linear linear : Linear.values()) {
                        listener.quantised(new Quantiser.Step(linear.weight(layer), ++done, total, result.after() / result.size()));
                    }
                    for (int i = 0; i < outputs.size(); i++) {
                        int index = i;
                        Grad.off(() -> Scope.run(() -> batches.get(index).states.copy_(outputs.get(index))));
                    }
                } finally {
                    outputs.forEach(Tensor::close);
                }
            }
        } finally {
            batches.forEach(Batch::close);
        }
    }

    /// Embeds windows.
    Batch batch(int[][] windows) {
        int width = Arrays.stream(windows).mapToInt(window -> window.length).max().orElseThrow();
        int[] ids = new int[windows.length * width];
        int[] rows = new int[Arrays.stream(windows).mapToInt(window -> window.length).sum()];
        int count = 0;
        for (int i = 0; i < windows.length; i++) {
            for (int t = 0; t < windows[i].length; t++) {
                ids[i * width + t] = windows[i][t];
                rows[count++] = i * width + t;
            }
        }
        Decoder decoder = new Decoder(flat.config(), new Weights(new LinkedHashMap<>(latents)));
        return new Batch(
                Scope.own(() -> decoder.embed(Tensors.of(ids, windows.length, width)).clone()), Scope.own(() -> Tensors.of(rows, rows.length)));
    }

    /// Full-precision outputs of a block, which the caller closes; sets the block's first channel scales.
    List<Tensor> outputs(int layer, Map<String, Tensor> parameters, List<Batch> batches) {
        List<Tensor> outputs = new ArrayList<>();
        Map<Site, Tensor> largest = new EnumMap<>(Site.class);
        try {
            Grad.off(() -> {
                for (Batch batch : batches) {
                    var decoder = new Decoder(flat.config(), new Weights(new LinkedHashMap<>(latents)), new Observer(largest, batch.rows));
                    outputs.add(Scope.own(() -> block(decoder, layer, batch.states)));
                }
                Scope.run(() -> flat.channelScales(layer, latents, largest).forEach((name, scale) -> parameters.get(name).copy_(scale)));
            });
        } finally {
            largest.values().forEach(Tensor::close);
        }
        return outputs;
    }

    /// Remembers the largest absolute input of each channel and changes nothing.
    private record Observer(Map<Site, Tensor> largest, Tensor rows) implements Sites {
        private Tensor observe(Site site, Tensor x) {
            Tensor now = Scope.own(() -> {
                Tensor values = x.reshape(-1, x.size(-1)).index_select(0, rows).abs().amax(new long[] {0}, false);
                Tensor before = largest.get(site);
                return before == null ? values : torch.maximum(before, values);
            });
            Tensor before = largest.put(site, now);
            if (before != null) before.close();
            return x;
        }

        @Override
        public Tensor attentionInput(int layer, Tensor x) {
            return observe(Site.ATTENTION_INPUT, x);
        }

        @Override
        public Tensor mlpInput(int layer, Tensor x) {
            return observe(Site.MLP_INPUT, x);
        }

        @Override
        public Tensor mlpHidden(int layer, Tensor x) {
            return observe(Site.MLP_HIDDEN, x);
        }
    }

    /// Output `[B, T, hidden]` of a block with weights and activations rounded, for inputs of the same shape; differentiable.
    ///
    /// @param parameters of at least this block
    Tensor output(int layer, Map<String, Tensor> parameters, Tensor x) {
        return Scope.keep(() -> {
            var tensors = new LinkedHashMap<>(latents);
            tensors.putAll(parameters);
            var weights = new LinkedHashMap<>(latents);
            weights.putAll(flat.unrounded(layer, tensors));
            for (Linear linear : Linear.values()) {
                weights.compute(linear.weight(layer), (_, unrounded) -> flat.rounded(linear, unrounded));
            }
            var sites = new ActivationSites(flat.config(), flat.method().activations(), flat.sites(layer, tensors));
            return block(new Decoder(flat.config(), new Weights(weights), sites), layer, x);
        });
    }

    private static Tensor block(Decoder decoder, int layer, Tensor x) {
        Tensor positions = Tensors.range(0, x.size(1)).unsqueeze(0);
        return decoder.block(layer, x, decoder.rotation(positions), Attention.CAUSAL);
    }

    /// Mean squared error of a block's output, with a graph where gradients are recorded.
    Tensor error(int layer, Map<String, Tensor> parameters, Batch batch, Tensor output) {
        return Scope.keep(() -> {
            Tensor difference = output(layer, parameters, batch.states).sub(output);
            return difference.view(-1, difference.size(-1)).index_select(0, batch.rows).square().mean();
        });
    }

    private double meanError(int layer, Map<String, Tensor> parameters, List<Batch> batches, List<Tensor> outputs) {
        double sum = 0;
        for (int i = 0; i < batches.size(); i++) {
            int index = i;
            sum += Grad.off(() -> Scope.get(() -> Tensors.item(error(layer, parameters, batches.get(index), outputs.get(index)))));
        }
        return sum / batches.size();
    }

    /// Learns the parameters of one block, in place.
    Result learn(
            int layer, Map<String, Tensor> parameters, List<Batch> batches, List<Tensor> outputs, Calibration.Listener listener) {
        String prefix = "model.layers." + layer + ".";
        var learned = new LinkedHashMap<String, Learned>();
        try {
            parameters.forEach((name, value) -> {
                if (name.startsWith(prefix)) learned.put(name, Learned.of(value));
            });
            var leaves = new LinkedHashMap<String, Tensor>();
            learned.forEach((name, tensor) -> leaves.put(name, tensor.leaf));
            double before = meanError(layer, leaves, batches, outputs);
            var losses = new ArrayList<Double>();
            long steps = (long) flat.method().epochs() * batches.size();
            for (long step = 0; step < steps; step++) {
                if (Thread.interrupted()) throw Failure.interrupted("interrupted while calibrating block %d".formatted(layer));
                int index = (int) (step % batches.size());
                double loss = Scope.get(() -> {
                    Tensor error = Grad.on(() -> error(layer, leaves, batches.get(index), outputs.get(index)));
                    Grad.on(() -> error.div(error.detach())).backward();
                    return Tensors.item(error);
                });
                if (!Double.isFinite(loss)) {
                    throw Failure.gate(("flatquant: the error of block %d is not finite at step %d; lower the learning rates (now %s and %s)"
                                    + " or look at the calibration text")
                            .formatted(layer, step, flat.method().learningRate(), flat.method().clipLearningRate()));
                }
                losses.add(loss);
                listener.passed(layer, (int) step + 1, (int) steps);
                double cosine = 0.5 * (1 + StrictMath.cos(Math.PI * step / steps));
                double floor = FLOOR * flat.method().learningRate();
                long count = step + 1;
                learned.forEach((name, tensor) -> {
                    double peak = FlatQuant.isClip(name) ? flat.method().clipLearningRate() : flat.method().learningRate();
                    tensor.step(count, floor + (peak - floor) * cosine, flat.method().weightDecay());
                });
            }
            double after = meanError(layer, leaves, batches, outputs);
            double size = outputs.stream()
                    .mapToDouble(output -> Grad.off(() -> Scope.get(() -> Tensors.item(output.square().mean()))))
                    .average()
                    .orElseThrow();
            return new Result(losses, before, after, size);
        } finally {
            learned.values().forEach(Learned::close);
        }
    }

    /// A parameter with its moments. AdamW (Loshchilov and Hutter 2019), decay on everything.
    private record Learned(Tensor leaf, Tensor first, Tensor second) implements AutoCloseable {
        /// The leaf shares the memory of `value`.
        static Learned of(Tensor value) {
            return new Learned(
                    Scope.own(() -> value.detach().requires_grad_(true)),
                    Scope.own(() -> torch.zeros_like(value)),
                    Scope.own(() -> torch.zeros_like(value)));
        }

        void step(long count, double learningRate, double weightDecay) {
            Grad.off(() -> Scope.run(() -> {
                Tensor gradient = leaf.grad();
                double secondCorrection = Math.sqrt(1 - StrictMath.pow(BETA2, count));
                double rate = learningRate * secondCorrection / (1 - StrictMath.pow(BETA1, count));
                first.lerp_(gradient, new Scalar(1 - BETA1));
                second.mul_(new Scalar(BETA2)).addcmul_(gradient, gradient, new Scalar(1 - BETA2));
                leaf.mul_(new Scalar(1 - learningRate * weightDecay));
                leaf.addcdiv_(first, second.sqrt().add_(new Scalar(EPSILON * secondCorrection)), new Scalar(-rate));
                gradient.zero_();
            }));
        }

        @Override
        public void close() {
            leaf.close();
            first.close();
            second.close();
        }
    }
}
