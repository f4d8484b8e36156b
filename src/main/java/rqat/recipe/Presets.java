package rqat.recipe;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import rqat.Failure;
import rqat.quant.Method;

/// The paper's compression settings by name: bits of weights (w), activations (a), keys and values (kv), columns that share a scale (g), and
/// the method; `tp4` for four shards, as the code base behind the paper's W4A4 rows runs.
public final class Presets {
    private static final SequencedMap<String, Method> METHODS = methods();

    private Presets() {}

    private static SequencedMap<String, Method> methods() {
        var methods = new LinkedHashMap<String, Method>();
        for (int bits : new int[] {2, 3, 4}) {
            methods.put("w%dg128-rtn".formatted(bits), Method.RoundToNearest.paper(bits));
            methods.put("w%dg128-gptq".formatted(bits), Method.Gptq.paper(bits));
            methods.put("w%dg128-awq".formatted(bits), Method.Awq.paper(bits));
        }
        for (int bits : new int[] {4, 8}) {
            methods.put("w%1$da%1$dkv%1$d-quarot".formatted(bits), Method.QuaRot.paper(bits, 1));
            methods.put("w%1$da%1$dkv%1$d-quarot-tp4".formatted(bits), Method.QuaRot.paper(bits, 4));
            methods.put("w%1$da%1$dkv%1$d-flatquant".formatted(bits), Method.FlatQuant.paper(bits, 1));
            methods.put("w%1$da%1$dkv%1$d-flatquant-tp4".formatted(bits), Method.FlatQuant.paper(bits, 4));
        }
        return Collections.unmodifiableSequencedMap(methods);
    }

    /// All names.
    public static List<String> names() {
        return List.copyOf(METHODS.keySet());
    }

    /// The method of this name with the paper's options.
    ///
    /// @throws Failure USAGE when there is no such preset
    public static Method method(String name) {
        Method method = METHODS.get(name);
        if (method == null) {
            throw Failure.usage("there is no preset %s; expected one of %s".formatted(Failure.quote(name), String.join(", ", METHODS.keySet())));
        }
        return method;
    }
}
