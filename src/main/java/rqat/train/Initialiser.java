package rqat.train;

import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.io.DataType;
import rqat.io.HostTensor;
import rqat.io.TensorSource;
import rqat.model.ModelConfig;
import rqat.quant.QuantisedModel;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.tensor.Place;
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
        var latents = new LinkedHashMap<String, Tensor>();
        config.tensors().forEach((name, shape) -> {
            if (shape.length == 1) {
                latents.put(name, Scope.own(() -> Tensors.full(Place.cpu(ScalarType.Float), constant(name), shape)));
            } else {
                float[] values = new float[Math.toIntExact(Math.multiplyExact(shape[0], shape[1]))];
                float factor = factor(config, name);
                var random = new RandomStream(Seeds.mix(seed, Seeds.ofString(name)));
                for (int i = 0; i < values.length; i++) values[i] = next(random, factor);
                latents.put(name, Scope.own(() -> Tensors.of(Place.cpu(ScalarType.Float), values, shape)));
            }
        });
        return latents;
    }

    /// The checkpoint of such a model in bfloat16, whose tensors are made one by one as they are written: the values of [#random], rounded.
    public static SequencedMap<String, TensorSource> checkpoint(ModelConfig config, long seed) {
        var tensors = new LinkedHashMap<String, TensorSource>();
        config.tensors().forEach((name, shape) -> tensors.put(name, TensorSource.of(DataType.BF16, shape, () -> {
            int size = 1;
            for (long length : shape) size = Math.multiplyExact(size, Math.toIntExact(length));
            byte[] bytes = new byte[Math.multiplyExact(2, size)];
            var random = new RandomStream(Seeds.mix(seed, Seeds.ofString(name)));
            float factor = factor(config, name);
            for (int i = 0; i < size; i++) {
                int bits = Float.floatToRawIntBits(shape.length == 1 ? (float) constant(name) : next(random, factor));
                int rounded = bits + 0x7fff + (bits >>> 16 & 1) >>> 16; // to the nearest, ties to even; never near infinity
                bytes[2 * i] = (byte) rounded;
                bytes[2 * i + 1] = (byte) (rounded >>> 8);
            }
            return new HostTensor(DataType.BF16, shape, MemorySegment.ofArray(bytes));
        })));
        return tensors;
    }

    private static double constant(String name) {
        return name.endsWith(".bias") ? 0 : 1;
    }

    private static float next(RandomStream random, float factor) {
        return (float) (DEVIATION * random.nextGaussian()) * factor;
    }

    /// Maps that write to the residual stream are smaller.
    private static float factor(ModelConfig config, String name) {
        boolean writes = name.contains(".self_attn.o_proj.") || name.contains(".mlp.down_proj.");
        return writes ? (float) (DEVIATION / Math.sqrt(2.0 * config.layers()) / DEVIATION) : 1;
    }
}
