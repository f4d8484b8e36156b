package rqat.tensor;

import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;

/// Gradient recording as blocks. The native guard is never exposed: one that is not closed would leave the thread without gradients
/// for good.
public final class Grad {
    private Grad() {}

    /// Runs `body` without recording gradients and returns its result.
    public static <T> T off(Supplier<T> body) {
        return with(false, body);
    }

    /// Runs `body` without recording gradients.
    public static void off(Runnable body) {
        with(false, () -> {
            body.run();
            return null;
        });
    }

    /// Runs `body` recording gradients, whatever the surrounding block says; used where a backward hook recomputes a forward pass.
    public static <T> T on(Supplier<T> body) {
        return with(true, body);
    }

    @SuppressWarnings("NullAway") // a block without a result returns null through T
    private static <T> T with(boolean enabled, Supplier<T> body) {
        AutoGradMode mode;
        // No scope may own the mode: one around the caller would keep it on until that scope ends, one inside `body` end it early.
        try (var _ = new PointerScope()) {
            mode = new AutoGradMode(enabled);
            mode.retainReference();
        }
        try {
            return body.get();
        } finally {
            mode.releaseReference();
        }
    }
}
