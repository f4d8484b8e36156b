package rqat.tensor;

import org.bytedeco.pytorch.global.torch;

/// The process-wide state of libtorch.
public final class Torch {
    private Torch() {}

    /// How matrix products of float32 tensors are computed. Norms, softmax, losses and everything elementwise are float32 in either.
    public enum Products {
        /// In float32.
        EXACT,
        /// Inputs rounded to bfloat16, sums in float32, where the CPU has units for it (several times faster); in float32 elsewhere.
        FAST
    }

    /// Chooses how the whole process multiplies float32 matrices, before it multiplies any: the switch is shared by all threads. Float64
    /// products (Hessians, Cholesky factors) stay exact. Fast products pay for training; the many tiny products of decoding cost more to
    /// round than to multiply.
    public static void products(Products products) {
        torch.globalContext().setFloat32MatmulPrecision(
                switch (products) {
                    case EXACT -> "highest";
                    case FAST -> "medium";
                });
    }

    /// Sets how many threads one operation of the *calling* thread may use. More than one pays only for large matrices: small operations
    /// of several threads on few cores wait for each other, so stages that run side by side use one each.
    public static void threads(int count) {
        torch.set_num_threads(count);
    }
}
