package rqat.quant;

import com.fasterxml.jackson.annotation.JsonTypeName;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import rqat.format.ActivationFormat;
import rqat.format.ActivationSpec;
import rqat.format.GridSpec;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.tensor.Place;

/// Learned transforms of every input, value and key that make weights and activations easy to round, with learned clipping
/// ([FlatTransforms], docs/methods/flatquant.md). The latents are the original weights: the transforms change what the forward pass makes of them.
///
/// @param grid             symmetric, whole rows
/// @param inputs           of the seven maps
/// @param cache            keys and values
/// @param shards           see [ActivationFormat]
/// @param epochs           passes over the calibration windows for each block
/// @param batch            windows per step
/// @param learningRate     peak, of the transforms and channel scales
/// @param clipLearningRate peak, of the clip logits
/// @param weightDecay      decoupled, of everything that is learned
@JsonTypeName("flatquant")
public record FlatQuant(
        GridSpec grid,
        ActivationSpec inputs,
        ActivationSpec cache,
        int shards,
        int epochs,
        int batch,
        double learningRate,
        double clipLearningRate,
        double weightDecay)
        implements Method {
    private static final int FLOAT = 4;
    /// Measured: copies of every map between its latent and its rounded weight.
    private static final long MAP_COPIES = 17;
    /// Measured: of every site, the transformed values, codes and masks.
    private static final long SITE_COPIES = 5;

    /// Checks the ranges.
    public FlatQuant {
        if (grid.groupSize() != 0 || !grid.symmetric()) {
            throw new IllegalArgumentException("flatquant needs symmetric whole-row grids: set symmetric to true and group_size to 0");
        }
        if (shards < 1) throw new IllegalArgumentException("shards is %d; expected 1 or more".formatted(shards));
        if (epochs < 1) throw new IllegalArgumentException("epochs is %d; expected 1 or more".formatted(epochs));
        if (batch < 1) throw new IllegalArgumentException("batch is %d; expected 1 or more".formatted(batch));
        if (!(learningRate > 0 && clipLearningRate > 0)) {
            throw new IllegalArgumentException("learning rates are %s and %s; expected above 0".formatted(learningRate, clipLearningRate));
        }
        if (!(weightDecay >= 0)) throw new IllegalArgumentException("weight decay is %s; expected 0 or more".formatted(weightDecay));
    }

    /// What a recipe says under `flatquant`.
    ///
    /// @param bits             of the weights, symmetric in whole rows
    /// @param activationBits   of the inputs of all maps
    /// @param cacheBits        of keys and values
    /// @param shards           see [FlatQuant]
    /// @param epochs           passes over the calibration texts for each block
    /// @param batch            texts per step
    /// @param learningRate     peak, of transforms and channel scales
    /// @param clipLearningRate peak, of clip logits
    /// @param weightDecay      of all of them
    public record Settings(
            int bits,
            int activationBits,
            int cacheBits,
            int shards,
            int epochs,
            int batch,
            double learningRate,
            double clipLearningRate,
            double weightDecay)
            implements Method.Settings {
        /// The paper's W4A4KV4.
        public static final Settings DEFAULT = settings(4, 1);

        /// With bits of its own and whole rows, whatever the recipe says of all methods.
        @Override
        public FlatQuant of(int commonBits, int groupSize, ScaleType scaleType) {
            return new FlatQuant(
                    new GridSpec(bits, 0, true, scaleType),
                    new ActivationSpec(activationBits, false, 1),
                    new ActivationSpec(cacheBits, false, 1),
                    shards,
                    epochs,
                    batch,
                    learningRate,
                    clipLearningRate,
                    weightDecay);
        }

        @Override
        public Map<String, Method> presets() {
            var presets = new LinkedHashMap<>(Method.presets(List.of(4, 8), "w%1$da%1$dkv%1$d-flatquant", bits -> paper(bits, 1)));
            presets.putAll(Method.presets(List.of(4, 8), "w%1$da%1$dkv%1$d-flatquant-tp4", bits -> paper(bits, 4)));
            return presets;
        }
    }

    /// What a recipe would say for [#paper].
    private static Settings settings(int bits, int shards) {
        return new Settings(bits, bits, bits, shards, 15, 4, 5e-3, 5e-2, 0.01);
    }

    /// The paper's W4A4KV4: weights symmetric per row, activations, keys and values asymmetric per token, 15 epochs of batches of 4 at
    /// 5e-3 (clip logits 5e-2), weight decay 0.01.
    public static FlatQuant paper(int bits, int shards) {
        return settings(bits, shards).of(bits, 0, ScaleType.FLOAT32);
    }

    @Override
    public ActivationFormat activations() {
        return ActivationFormat.of(inputs, cache, shards);
    }

    @Override
    public FlatTransforms transforms(ModelConfig config) {
        return new FlatTransforms(config, grid, activations());
    }

    /// Learns the transforms; codes follow from them and the latents.
    @Override
    public ScaleMode quantise(Quantisation work) {
        FlatTransforms flat = transforms(work.config());
        work.learn(flat.initial(Place.of(work.latents().firstEntry().getValue())));
        calibration(flat, work.latents()).run(work.parameters(), work.windows(), work.listener());
        return ScaleMode.DYNAMIC;
    }

    FlatQuantCalibration calibration(FlatTransforms flat, Map<String, Tensor> latents) {
        return new FlatQuantCalibration(flat, latents, new FlatQuantCalibration.Schedule(epochs, batch, learningRate, clipLearningRate, weightDecay));
    }

    /// In float32, with the latents themselves: inputs and outputs of a block, and its graph for a batch.
    @Override
    public Cost cost(Sizes sizes, List<int[]> windows) {
        Sizes wide = sizes.inFloat32();
        long largest = 0;
        for (int from = 0; from < windows.size(); from += batch) {
            List<int[]> together = windows.subList(from, Math.min(windows.size(), from + batch));
            largest = Math.max(largest, graph(wide, Sizes.tokens(together), Sizes.longest(together)));
        }
        return new Cost(2 * wide.states(windows) + largest, false, 3.0 * epochs + 3, 0);
    }

    /// The graph of a block that learns transforms, and what its backward pass adds.
    private static long graph(Sizes wide, long tokens, long length) {
        ModelConfig config = wide.config();
        long maps = 0;
        for (Linear linear : Linear.values()) maps += (long) config.outputs(linear) * config.inputs(linear);
        long heads = (long) config.heads() * config.headDimension(), shared = (long) config.keyValueHeads() * config.headDimension();
        long sites = 2L * config.hiddenSize() + 2 * heads + 2 * shared + config.intermediateSize();
        return FLOAT * (MAP_COPIES * maps + SITE_COPIES * tokens * sites) + wide.recorded(tokens, length) + wide.backward(tokens, length);
    }
}
