package rqat.quant;

import com.fasterxml.jackson.annotation.JsonTypeInfo;
import com.fasterxml.jackson.annotation.JsonTypeName;

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
}
