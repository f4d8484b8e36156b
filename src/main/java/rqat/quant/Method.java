package rqat.quant;

import com.fasterxml.jackson.annotation.JsonTypeInfo;
import com.fasterxml.jackson.annotation.JsonTypeName;
import rqat.format.ActivationFormat;
import rqat.format.ActivationSpec;
import rqat.format.GridSpec;
import rqat.format.ScaleType;

/// A compression method with its options; [Quantiser] runs it. The records are read from recipes and written to
/// `quantization/quantization.json` as they are, with `method` saying which one it is.
@JsonTypeInfo(use = JsonTypeInfo.Id.NAME, property = "method")
public sealed interface Method {

    /// The format of every quantised weight.
    GridSpec grid();

    /// Every weight to its nearest point on the grid, without data (methods note 3). The latents are the original weights.
    ///
    /// @param clipSearch NONE refits the range of every group while training (paper, equation 1); with MSE the searched scales are kept
    @JsonTypeName("rtn")
    record RoundToNearest(GridSpec grid, ClipSearch clipSearch) implements Method {
        /// The paper's: symmetric, abs-max, groups of 128, float32 scales.
        public static RoundToNearest paper(int bits) {
            return new RoundToNearest(new GridSpec(bits, 128, true, ScaleType.FLOAT32), ClipSearch.NONE);
        }
    }

    /// Column by column, each column's rounding error compensated in the columns to come by the second-order statistics of the inputs
    /// ([GptqSolver]). The latents are the compensated weights before rounding.
    ///
    /// @param activationOrder columns with the largest inputs first
    /// @param staticGroups    every group's range from the original weights; otherwise from the partly compensated ones when its turn comes
    /// @param damping         added to the Hessian's diagonal, as a fraction of its mean
    @JsonTypeName("gptq")
    record Gptq(GridSpec grid, ClipSearch clipSearch, boolean activationOrder, boolean staticGroups, double damping) implements Method {
        /// Checks the ranges.
        public Gptq {
            if (!(damping >= 0 && damping < 1)) {
                throw new IllegalArgumentException("damping is %s; expected at least 0 and below 1".formatted(damping));
            }
            if (activationOrder && !staticGroups && grid.groupSize() != 0) {
                throw new IllegalArgumentException(
                        "activationOrder needs staticGroups: it visits the columns of a group at different times. Set staticGroups, or turn activationOrder off.");
            }
        }

        /// These options for another format.
        Gptq with(GridSpec other) {
            return new Gptq(other, clipSearch, activationOrder, staticGroups, damping);
        }

        /// The paper's: asymmetric, groups of 128, searched ranges, activation order with static groups, damping 0.01, float32 scales.
        public static Gptq paper(int bits) {
            return new Gptq(new GridSpec(bits, 128, false, ScaleType.FLOAT32), ClipSearch.MSE, true, true, 0.01);
        }
    }

    /// Input channels scaled up where the activations are large, against the operation before, then ranges clipped, then every weight to its
    /// nearest point ([AwqSearch]). The latents are the scaled and clipped weights; norms, and biases where a linear map comes before, carry
    /// the inverse scales.
    @JsonTypeName("awq")
    record Awq(GridSpec grid) implements Method {
        /// The paper's: asymmetric, groups of 128, float32 scales.
        public static Awq paper(int bits) {
            return new Awq(new GridSpec(bits, 128, false, ScaleType.FLOAT32));
        }
    }

    /// Rotations that spread outliers over all channels, folded into the weights where possible and applied to activations, queries and keys
    /// where not ([QuaRot]); then the rotated weights are quantised, with activations in full precision as in the reference code. The
    /// latents are those of the rotated model.
    ///
    /// @param weights round to nearest or GPTQ
    /// @param inputs  of the seven maps
    /// @param cache   keys and values
    /// @param shards  see [ActivationFormat]; with more than one, no rotation crosses a shard of the output and down maps' inputs
    /// @param seed    of the random signs
    @JsonTypeName("quarot")
    record QuaRot(Method weights, ActivationSpec inputs, ActivationSpec cache, int shards, long seed) implements Method {
        /// Checks the method of the weights.
        public QuaRot {
            if (!(weights instanceof RoundToNearest || weights instanceof Gptq)) {
                throw new IllegalArgumentException("weights of quarot are quantised by rtn or gptq only");
            }
            if (shards < 1) throw new IllegalArgumentException("shards is %d; expected 1 or more".formatted(shards));
        }

        /// The paper's: GPTQ with symmetric whole rows, searched ranges and columns in their own order; activations, keys and values
        /// asymmetric per token, clipped to 0.9 and 0.95 of their range.
        public static QuaRot paper(int bits, int shards) {
            var weights = new Gptq(new GridSpec(bits, 0, true, ScaleType.FLOAT32), ClipSearch.MSE, false, false, 0.01);
            return new QuaRot(weights, new ActivationSpec(bits, false, 0.9), new ActivationSpec(bits, false, 0.95), shards, 0);
        }

        @Override
        public GridSpec grid() {
            return weights.grid();
        }

        ActivationFormat activations() {
            return ActivationFormat.of(inputs, cache, shards);
        }
    }

    /// Learned transforms of every input, value and key that make weights and activations easy to round, with learned clipping
    /// ([FlatQuant], methods note 7). The latents are the original weights: the transforms change what the forward pass makes of them.
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
    record FlatQuant(
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

        /// The paper's W4A4KV4: weights symmetric per row, activations, keys and values asymmetric per token, 15 epochs of batches of 4 at
        /// 5e-3 (clip logits 5e-2), weight decay 0.01.
        public static FlatQuant paper(int bits, int shards) {
            var activations = new ActivationSpec(bits, false, 1);
            return new FlatQuant(
                    new GridSpec(bits, 0, true, ScaleType.FLOAT32), activations, activations, shards, 15, 4, 5e-3, 5e-2, 0.01);
        }

        ActivationFormat activations() {
            return ActivationFormat.of(inputs, cache, shards);
        }
    }

    /// What another tool did to a model that was imported ([ForeignWeights]); nothing that [Quantiser] can do again.
    ///
    /// @param grid   of the first map; others may have others
    /// @param format in which the model came: `gptq`, `awq`, `compressed-tensors`, `gguf`...
    @JsonTypeName("imported")
    record Imported(GridSpec grid, String format) implements Method {}
}
