package rqat.train;

import java.util.LinkedHashMap;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.quant.QuantisedModel;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Weights to pretrain from: matrices normal with standard deviation 0.02, those that write to the residual stream divided by the square
/// root of twice the number of blocks (Radford et al. 2019), norms 1, biases 0.
public final class Initialiser {
    private static final double DEVIATION = 0.02;

    private Initialiser() {}

    /// A random full-precision model, a pure function of the seed.
    public static QuantisedModel model(ModelConfig config, long seed) {
        return QuantisedModel.fullPrecision(config, random(config, seed));
    }

    /// fp32 latents for every tensor of `config`, a pure function of the seed; the caller closes them.
    public static SequencedMap<String, Tensor> random(ModelConfig config, long seed) {
        double residual = DEVIATION / Math.sqrt(2.0 * config.layers());
        var latents = new LinkedHashMap<String, Tensor>();
        config.tensors().forEach((name, shape) -> {
            if (shape.length == 1) {
                double value = name.endsWith(".bias") ? 0 : 1;
                latents.put(name, Scope.own(() -> Tensors.full(org.bytedeco.pytorch.global.torch.ScalarType.Float, value, shape)));
            } else {
                var random = new RandomStream(Seeds.mix(seed, Seeds.ofString(name)));
                float[] values = new float[Math.toIntExact(Math.multiplyExact(shape[0], shape[1]))];
                for (int i = 0; i < values.length; i++) values[i] = (float) (DEVIATION * random.nextGaussian());
                latents.put(name, Scope.own(() -> Tensors.of(values, shape)));
            }
        });
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Linear linear : new Linear[] {Linear.OUTPUT, Linear.DOWN}) {
                Tensor weight = latents.get(linear.weight(layer));
                Scope.run(() -> weight.mul_(new org.bytedeco.pytorch.Scalar(residual / DEVIATION)));
            }
        }
        return latents;
    }
}
