package rqat.tensor;

import java.util.List;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;

/// Memory scopes for tensors: what is made inside is freed at the end, except what is handed out. See the rules in the package
/// description. All methods act on the calling thread only and nest freely.
public final class Scope {
    private Scope() {}

    /// Runs `body` and frees every tensor it made.
    public static void run(Runnable body) {
        try (var _ = new PointerScope()) {
            body.run();
        }
    }

    /// Runs `body`, frees every tensor it made and returns its host-side result (a number, an array, a record of those; not a tensor).
    public static <T> T get(Supplier<T> body) {
        try (var _ = new PointerScope()) {
            return body.get();
        }
    }

    /// Runs `body`, frees every tensor it made but its result, which moves to the surrounding scope (or, outside all scopes, to the
    /// caller, who closes it).
    public static Tensor keep(Supplier<Tensor> body) {
        return attach(own(body));
    }

    /// As [#keep] for several results.
    public static List<Tensor> keepAll(Supplier<List<Tensor>> body) {
        List<Tensor> results;
        try (var _ = new PointerScope()) {
            results = List.copyOf(body.get());
            results.forEach(Tensor::retainReference);
        }
        results.forEach(Scope::attach);
        return results;
    }

    /// Runs `body`, frees every tensor it made but its result, which no scope will free: the caller owns it and closes it.
    public static Tensor own(Supplier<Tensor> body) {
        try (var _ = new PointerScope()) {
            Tensor result = body.get();
            result.retainReference();
            return result;
        }
    }

    /// Hands an owned tensor (one retained reference) to the scope around the caller, if there is one.
    private static Tensor attach(Tensor owned) {
        PointerScope outer = PointerScope.getInnerScope();
        if (outer != null) {
            outer.attach(owned);
            owned.releaseReference();
        }
        return owned;
    }
}
