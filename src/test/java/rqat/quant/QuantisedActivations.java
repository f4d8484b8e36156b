package rqat.quant;

import java.util.LinkedHashMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import rqat.format.ActivationFormat;
import rqat.format.ActivationSpec;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.format.Site;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.run.RandomStream;
import rqat.tensor.Cpu;
import rqat.tensor.Scope;

/// Models with 4-bit weights, activations, keys and values and random transforms everywhere, which need not be good ones.
final class QuantisedActivations {
    private QuantisedActivations() {}

    static Tensor random(long seed, long... shape) {
        var random = new RandomStream(seed);
        int size = 1;
        for (long length : shape) size *= (int) length;
        float[] values = new float[size];
        for (int i = 0; i < size; i++) values[i] = (float) random.nextGaussian();
        return Cpu.of(values, shape);
    }

    /// A copy of `full` in W4A4KV4.
    static QuantisedModel of(QuantisedModel full, int shards, long seed) {
        ModelConfig config = full.config();
        var format = ActivationFormat.of(new ActivationSpec(4, false, 1), new ActivationSpec(4, false, 0.95), shards);
        var method = new RoundToNearest(new GridSpec(4, 0, true, ScaleType.FLOAT32), ClipSearch.NONE);
        var latents = new LinkedHashMap<String, Tensor>();
        full.latents().forEach((name, latent) -> latents.put(name, Scope.own(latent::clone)));
        var grids = new LinkedHashMap<String, Grid>();
        var tensors = new LinkedHashMap<String, Tensor>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Linear linear : Linear.values()) {
                String name = linear.weight(layer);
                GridSpec spec = format.grid(method.grid(), config, linear);
                Scope.run(() -> grids.put(name, Grid.fit(spec, latents.get(name), ClipSearch.NONE).copy()));
            }
            for (Site site : Site.values()) {
                int groups = site.isSharded() ? shards : 1;
                long width = site.width(config) / groups, right = 4;
                long[] sizes = {width / right, right};
                String[] parts = {ActivationSites.LEFT, ActivationSites.RIGHT};
                for (int i = 0; i < 2; i++) {
                    long n = sizes[i], key = seed + 31L * layer + 7L * site.ordinal() + i;
                    tensors.put(site.tensor(layer, parts[i]), Scope.own(() -> orthogonal(key, groups, n)));
                }
                long start = seed + layer;
                if (format.quantisers().containsKey(site)) {
                    for (String part : new String[] {ActivationSites.CLIP_HIGH, ActivationSites.CLIP_LOW}) {
                        tensors.put(site.tensor(layer, part), Scope.own(() -> random(start, groups).add(new Scalar(4.0))));
                    }
                }
            }
        }
        return new QuantisedModel(
                config, latents, grids, method, ScaleMode.DYNAMIC, MaskRule.HALF_STEP, new ActivationSites(config, format, tensors));
    }

    private static Tensor orthogonal(long seed, int count, long n) {
        Tensor matrices = torch.linalg_qr(random(seed, count, n, n)).get0();
        return count == 1 ? matrices.select(0, 0).contiguous() : matrices.contiguous();
    }
}
