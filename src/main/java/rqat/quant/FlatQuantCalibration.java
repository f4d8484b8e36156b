package rqat.quant;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import rqat.Failure;
import rqat.format.Site;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.Sites;
import rqat.model.Weights;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Learns the parameters of [FlatTransforms] block by block: each block, with everything rounded, is to give the outputs of the full-precision
/// block on full-precision inputs; weights stay. Errors of earlier blocks are not seen (docs/methods/flatquant.md).
///
/// The loss is the mean squared error over its own constant value, so its gradient is that of the logarithm and blocks of all sizes take the
/// same learning rate. AdamW, cosine to a thousandth of the peak, batches in fixed order, nothing padded ([PackedBatch]). Weights are transformed in float32 here ([FlatTransforms#unrounded] uses float64).
///
/// @param flat     what is learned
/// @param latents  of the full-precision model, float32
/// @param schedule how
record FlatQuantCalibration(FlatTransforms flat, Map<String, Tensor> latents, Schedule schedule) {
    private static final double BETA1 = 0.9;
    private static final double BETA2 = 0.999;
    private static final double EPSILON = 1e-8;
    private static final double FLOOR = 1e-3;

    /// See [FlatQuant].
    record Schedule(int epochs, int batch, double learningRate, double clipLearningRate, double weightDecay) {}

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
    void run(Map<String, Tensor> parameters, int[][] windows, Quantisation.Listener listener) {
        Calibration.check(flat.config(), windows);
        List<PackedBatch> batches = new ArrayList<>();
        try {
            Grad.off(() -> {
                for (int from = 0; from < windows.length; from += schedule.batch()) {
                    batches.add(batch(Arrays.copyOfRange(windows, from, Math.min(windows.length, from + schedule.batch()))));
                }
            });
            for (int layer = 0; layer < flat.config().layers(); layer++) {
                List<Tensor> outputs = outputs(layer, parameters, batches);
                try {
                    Result result = learn(layer, parameters, batches, outputs, listener);
                    int done = layer * Linear.values().length, total = flat.config().layers() * Linear.values().length;
                    for (Linear linear : Linear.values()) {
                        listener.quantised(new Quantisation.Step(linear.weight(layer), ++done, total, result.after() / result.size()));
                    }
                    for (int i = 0; i < outputs.size(); i++) {
                        int index = i;
                        Grad.off(() -> Scope.run(() -> batches.get(index).states().copy_(outputs.get(index))));
                    }
                } finally {
                    outputs.forEach(Tensor::close);
                }
            }
        } finally {
            batches.forEach(PackedBatch::close);
        }
    }

    /// Embeds windows.
    PackedBatch batch(int[][] windows) {
        return PackedBatch.embed(flat.config(), new Weights(new LinkedHashMap<>(latents)), windows);
    }

    /// Full-precision outputs of a block, which the caller closes; sets the block's first channel scales.
    List<Tensor> outputs(int layer, Map<String, Tensor> parameters, List<PackedBatch> batches) {
        List<Tensor> outputs = new ArrayList<>();
        Map<Site, Tensor> largest = new EnumMap<>(Site.class);
        try {
            Grad.off(() -> {
                var sites = new InputObserver(Sites.NONE, (site, x) -> observe(largest, site, x));
                var decoder = new Decoder(flat.config(), new Weights(new LinkedHashMap<>(latents)), sites);
                for (PackedBatch batch : batches) {
                    outputs.add(Scope.own(() -> batch.through(decoder, layer)));
                }
                Scope.run(() -> flat.channelScales(layer, latents, largest).forEach((name, scale) -> parameters.get(name).copy_(scale)));
            });
        } finally {
            largest.values().forEach(Tensor::close);
        }
        return outputs;
    }

    /// Takes the largest absolute value of each channel into account.
    private static void observe(Map<Site, Tensor> largest, Site site, Tensor x) {
        Tensor now = Scope.own(() -> {
            Tensor values = x.reshape(-1, x.size(-1)).abs().amax(new long[] {0}, false);
            Tensor before = largest.get(site);
            return before == null ? values : torch.maximum(before, values);
        });
        Tensor before = largest.put(site, now);
        if (before != null) before.close();
    }

    /// Output `[1, N, hidden]` of a block with weights and activations rounded; differentiable.
    ///
    /// @param parameters of at least this block
    Tensor output(int layer, Map<String, Tensor> parameters, PackedBatch batch) {
        return Scope.keep(() -> {
            var tensors = new LinkedHashMap<>(latents);
            tensors.putAll(parameters);
            var weights = new LinkedHashMap<>(latents);
            weights.putAll(flat.unrounded(layer, tensors, ScalarType.Float));
            flat.round(layer, weights);
            var sites = new ActivationSites(flat.config(), flat.activations(), flat.sites(layer, tensors));
            return batch.through(new Decoder(flat.config(), new Weights(weights), sites), layer);
        });
    }

    /// Mean squared error of a block's output, with a graph where gradients are recorded.
    Tensor error(int layer, Map<String, Tensor> parameters, PackedBatch batch, Tensor output) {
        return Scope.keep(() -> output(layer, parameters, batch).sub(output).square().mean());
    }

    private double meanError(int layer, Map<String, Tensor> parameters, List<PackedBatch> batches, List<Tensor> outputs) {
        double sum = 0;
        for (int i = 0; i < batches.size(); i++) {
            int index = i;
            sum += Grad.off(() -> Scope.get(() -> Tensors.item(error(layer, parameters, batches.get(index), outputs.get(index)))));
        }
        return sum / batches.size();
    }

    /// Learns the parameters of one block, in place.
    Result learn(
            int layer, Map<String, Tensor> parameters, List<PackedBatch> batches, List<Tensor> outputs, Calibration.Listener listener) {
        String prefix = "model.layers." + layer + ".";
        Map<Boolean, Map<String, Tensor>> ofBlock = parameters.entrySet().stream()
                .filter(entry -> entry.getKey().startsWith(prefix))
                .collect(Collectors.partitioningBy(
                        entry -> FlatTransforms.isClip(entry.getKey()), Collectors.toMap(Map.Entry::getKey, Map.Entry::getValue, (a, _) -> a, LinkedHashMap::new)));
        try (var transforms = new Learned(ofBlock.get(false), schedule.learningRate());
                var clips = new Learned(ofBlock.get(true), schedule.clipLearningRate())) {
            var leaves = new LinkedHashMap<>(transforms.leaves);
            leaves.putAll(clips.leaves);
            double before = meanError(layer, leaves, batches, outputs);
            var losses = new ArrayList<Double>();
            long steps = (long) schedule.epochs() * batches.size();
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
                            .formatted(layer, step, schedule.learningRate(), schedule.clipLearningRate()));
                }
                losses.add(loss);
                listener.passed(layer, (int) step + 1, (int) steps);
                transforms.step(step, steps, schedule);
                clips.step(step, steps, schedule);
            }
            double after = meanError(layer, leaves, batches, outputs);
            double size = outputs.stream()
                    .mapToDouble(output -> Grad.off(() -> Scope.get(() -> Tensors.item(output.square().mean()))))
                    .average()
                    .orElseThrow();
            Grad.off(() -> leaves.forEach((name, leaf) -> parameters.get(name).copy_(leaf)));
            return new Result(losses, before, after, size);
        }
    }

    /// Parameters that share a learning rate, one after another in one vector, and so are their gradients and moments: a step takes a handful
    /// of operations however many parameters there are. AdamW (Loshchilov and Hutter 2019), decay on everything.
    static final class Learned implements AutoCloseable {
        private final double peak;
        private final Tensor values, gradients, first, second;
        final Map<String, Tensor> leaves = new LinkedHashMap<>();

        /// Copies of `parameters`; the leaves are views of the vectors.
        Learned(Map<String, Tensor> parameters, double peak) {
            this.peak = peak;
            values = Grad.off(() -> Scope.own(() -> Tensors.cat(parameters.values().stream().map(value -> value.reshape(-1)).toList(), 0)));
            gradients = Scope.own(() -> torch.zeros_like(values));
            first = Scope.own(() -> torch.zeros_like(values));
            second = Scope.own(() -> torch.zeros_like(values));
            long from = 0;
            for (var parameter : parameters.entrySet()) {
                long start = from, length = parameter.getValue().numel();
                long[] shape = Tensors.shape(parameter.getValue());
                Tensor leaf = Scope.own(() -> values.narrow(0, start, length).view(shape).detach().requires_grad_(true));
                // Backward passes add to a gradient that is there already in place.
                Scope.run(() -> leaf.mutable_grad().put(gradients.narrow(0, start, length).view(shape)));
                leaves.put(parameter.getKey(), leaf);
                from += length;
            }
        }

        /// One of `steps` updates, from 0 on; clears the gradients.
        void step(long step, long steps, Schedule schedule) {
            Grad.off(() -> Scope.run(() -> {
                long count = step + 1;
                double floor = FLOOR * schedule.learningRate();
                double learningRate = floor + (peak - floor) * 0.5 * (1 + StrictMath.cos(Math.PI * step / steps));
                double secondCorrection = Math.sqrt(1 - StrictMath.pow(BETA2, count));
                double rate = learningRate * secondCorrection / (1 - StrictMath.pow(BETA1, count));
                first.lerp_(gradients, new Scalar(1 - BETA1));
                second.mul_(new Scalar(BETA2)).addcmul_(gradients, gradients, new Scalar(1 - BETA2));
                values.mul_(new Scalar(1 - learningRate * schedule.weightDecay()));
                values.addcdiv_(first, second.sqrt().add_(new Scalar(EPSILON * secondCorrection)), new Scalar(-rate));
                gradients.zero_();
            }));
        }

        @Override
        public void close() {
            leaves.values().forEach(Tensor::close);
            for (Tensor tensor : List.of(values, gradients, first, second)) tensor.close();
        }
    }
}
