package rqat.tensor;

import java.util.Objects;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// The process-wide state of libtorch.
public final class Torch {
    /// Which libtorch computes, with the version of its Java presets: `2.10.0-1.5.13`.
    public static final String VERSION = Objects.requireNonNullElse(torch.class.getPackage().getImplementationVersion(), "unknown");

    private Torch() {}

    /// How forward and backward passes compute. Latents, gradients, optimiser, norms inside, losses and log-probabilities are float32 in
    /// each, and what GPTQ solves is float64.
    public enum Compute {
        /// Everything in float32.
        FLOAT32(ScalarType.Float),
        /// Float32, but the inputs of matrix products rounded to bfloat16 and summed in float32 where the CPU has units for it (several times
        /// faster on large matrices); the same as FLOAT32 elsewhere.
        FAST_FLOAT32(ScalarType.Float),
        /// Weights and activations in bfloat16, as engines serve them: half the memory.
        BFLOAT16(ScalarType.BFloat16);

        private final ScalarType type;

        Compute(ScalarType type) {
            this.type = type;
        }

        /// The dtype of weights and activations.
        public ScalarType type() {
            return type;
        }

        /// Where models are loaded that compute like this.
        public Place place() {
            return Place.cpu(type);
        }
    }

    /// Chooses how the whole process multiplies float32 matrices, before it multiplies any: the switch is shared by all threads. Float64
    /// products (Hessians, Cholesky factors) stay exact. Fast products pay for training; the many tiny products of decoding cost more to
    /// round than to multiply.
    public static void compute(Compute compute) {
        torch.globalContext().setFloat32MatmulPrecision(compute == Compute.FAST_FLOAT32 ? "medium" : "highest");
    }

    /// Sets how many threads one operation of the *calling* thread may use. More than one pays only for large matrices: small operations
    /// of several threads on few cores wait for each other, so stages that run side by side use one each.
    public static void threads(int count) {
        torch.set_num_threads(count);
    }
}
