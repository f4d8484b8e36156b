package rqat.tensor;

import java.util.function.Supplier;
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

    /// Chooses how the whole process multiplies float32 matrices. Float64 products (Hessians, Cholesky factors) stay exact.
    public static void products(Products products) {
        torch.globalContext().setFloat32MatmulPrecision(
                switch (products) {
                    case EXACT -> "highest";
                    case FAST -> "medium";
                });
    }

    /// Runs `body` with exact products, whatever was chosen: for kernels that multiply many tiny matrices, which cost more to round than
    /// to multiply.
    public static <T> T exactly(Supplier<T> body) {
        if (torch.globalContext().float32MatmulPrecision().intern() == torch.Float32MatmulPrecision.HIGHEST) return body.get();
        products(Products.EXACT);
        try {
            return body.get();
        } finally {
            products(Products.FAST);
        }
    }

    /// Sets how many threads one operation of the *calling* thread may use. More than one pays only for large matrices: small operations
    /// of several threads on few cores wait for each other, so stages that run side by side use one each.
    public static void threads(int count) {
        torch.set_num_threads(count);
    }
}
