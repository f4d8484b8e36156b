package rqat.train;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Random;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.data.TokenSequence;
import rqat.model.ModelConfig;
import rqat.model.Rope;
import rqat.tensor.Cpu;
import rqat.tensor.Scope;

/// A decoder small enough to train in milliseconds, and data for it.
final class Toy {
    private Toy() {}

    static ModelConfig config(boolean tied) {
        return new ModelConfig(
                ModelConfig.Family.QWEN3, 50, 32, 48, 2, 4, 2, 8, 128, 1e-6,
                new Rope(10_000, new Rope.None()), true, false, false, false, tied);
    }

    /// Random fp32 latents; the caller closes them.
    static SequencedMap<String, Tensor> latents(ModelConfig config, long seed) {
        var random = new Random(seed);
        var latents = new LinkedHashMap<String, Tensor>();
        config.tensors().forEach((name, shape) -> {
            long size = 1;
            for (long length : shape) size *= length;
            float[] values = new float[(int) size];
            for (int i = 0; i < size; i++) {
                values[i] = (float) (shape.length == 1 ? 1 + 0.1 * random.nextGaussian() : 0.15 * random.nextGaussian());
            }
            latents.put(name, Scope.own(() -> Cpu.of(values, shape)));
        });
        return latents;
    }

    static void close(SequencedMap<String, Tensor> latents) {
        latents.values().forEach(Tensor::close);
    }

    static Student.Options options(ScalarType compute) {
        return new Student.Options(compute, false, java.util.Set.of());
    }

    /// Sequences of different lengths with random marks, the first of them with none.
    static List<TokenSequence> sequences(int count, int vocabulary, long seed) {
        var random = new Random(seed);
        var result = new ArrayList<TokenSequence>();
        for (int i = 0; i < count; i++) {
            int length = 2 + random.nextInt(12);
            int[] ids = random.ints(length, 0, vocabulary).toArray();
            boolean[] inLoss = new boolean[length];
            for (int t = 0; t < length; t++) inLoss[t] = i > 0 && random.nextInt(3) > 0;
            result.add(new TokenSequence(ids, inLoss));
        }
        return result;
    }
}
