package rqat.quant;

import com.fasterxml.jackson.annotation.JsonTypeName;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import rqat.format.ActivationFormat;
import rqat.format.ActivationSpec;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.format.ScaleMode;
import rqat.model.ModelConfig;
import rqat.model.Weights;

/// Rotations that spread outliers over all channels, folded into the weights where possible and applied to activations, queries and keys
/// where not ([ModelRotation]); then the rotated weights are quantised, with activations in full precision as in the reference code. The
/// latents are those of the rotated model.
///
/// @param weights round to nearest or GPTQ
/// @param inputs  of the seven maps
/// @param cache   keys and values
/// @param shards  see [ActivationFormat]; with more than one, no rotation crosses a shard of the output and down maps' inputs
/// @param seed    of the random signs
@JsonTypeName("quarot")
public record QuaRot(Method weights, ActivationSpec inputs, ActivationSpec cache, int shards, long seed) implements Method {
    /// Checks the method of the weights.
    public QuaRot {
        if (!(weights instanceof RoundToNearest || weights instanceof Gptq)) {
            throw new IllegalArgumentException("weights of quarot are quantised by rtn or gptq only");
        }
        if (shards < 1) throw new IllegalArgumentException("shards is %d; expected 1 or more".formatted(shards));
    }

    /// How the weights of a rotated model are quantised.
    public enum Weights {
        /// By round to nearest.
        RTN,
        /// By GPTQ.
        GPTQ
    }

    /// What a recipe says under `quarot`.
    ///
    /// @param bits           of the weights, symmetric in whole rows
    /// @param weights        how they are quantised
    /// @param activationBits of the inputs of all maps
    /// @param activationClip part of a token's range that is kept
    /// @param cacheBits      of keys and values
    /// @param cacheClip      part of their range that is kept
    /// @param shards         see [QuaRot]
    public record Settings(int bits, Weights weights, int activationBits, double activationClip, int cacheBits, double cacheClip, int shards)
            implements Method.Settings {
        /// The paper's W4A4KV4.
        public static final Settings DEFAULT = settings(4, 1);

        /// With bits of its own and whole rows, whatever the recipe says of all methods.
        @Override
        public QuaRot of(int commonBits, int groupSize, ScaleType scaleType) {
            GridSpec grid = new GridSpec(bits, 0, true, scaleType);
            return new QuaRot(
                    switch (weights) {
                        case RTN -> new RoundToNearest(grid, ClipSearch.MSE);
                        case GPTQ -> new Gptq(grid, ClipSearch.MSE, false, false, 0.01);
                    },
                    new ActivationSpec(activationBits, false, activationClip),
                    new ActivationSpec(cacheBits, false, cacheClip),
                    shards,
                    0);
        }

        @Override
        public Map<String, Method> presets() {
            var presets = new LinkedHashMap<>(Method.presets(List.of(4, 8), "w%1$da%1$dkv%1$d-quarot", bits -> paper(bits, 1)));
            presets.putAll(Method.presets(List.of(4, 8), "w%1$da%1$dkv%1$d-quarot-tp4", bits -> paper(bits, 4)));
            return presets;
        }
    }

    /// What a recipe would say for [#paper].
    private static Settings settings(int bits, int shards) {
        return new Settings(bits, Weights.GPTQ, bits, 0.9, bits, 0.95, shards);
    }

    /// The paper's: GPTQ with symmetric whole rows, searched ranges and columns in their own order; activations, keys and values
    /// asymmetric per token, clipped to 0.9 and 0.95 of their range.
    public static QuaRot paper(int bits, int shards) {
        return settings(bits, shards).of(bits, 0, ScaleType.FLOAT32);
    }

    @Override
    public GridSpec grid() {
        return weights.grid();
    }

    @Override
    public ActivationFormat activations() {
        return ActivationFormat.of(inputs, cache, shards);
    }

    @Override
    public void check(ModelConfig config) {
        ModelRotation.check(config, shards);
    }

    @Override
    public ScaleMode quantise(Quantisation work) {
        work.become(ModelRotation.rotate(work.config(), work.originals(), activations(), seed));
        return weights.quantise(work);
    }

    @Override
    public Cost cost(Sizes sizes, List<int[]> windows) {
        return Gptq.costOf(sizes, windows);
    }
}
