package rqat.tensor;

import org.bytedeco.pytorch.global.torch;

/// The process-wide state of libtorch.
public final class Torch {
    private Torch() {}

    /// Sets how many threads one operation of the *calling* thread may use. More than one pays only for large matrices: small operations
    /// of several threads on few cores wait for each other, so stages that run side by side use one each.
    public static void threads(int count) {
        torch.set_num_threads(count);
    }
}
