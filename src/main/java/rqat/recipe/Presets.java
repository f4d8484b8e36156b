package rqat.recipe;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import rqat.Failure;
import rqat.quant.Method;

/// The paper's compression settings by name ([Method.Settings#presets]).
public final class Presets {
    private static final SequencedMap<String, Method> METHODS = methods();

    private Presets() {}

    private static SequencedMap<String, Method> methods() {
        var methods = new LinkedHashMap<String, Method>();
        for (Method.Name name : Method.Name.values()) methods.putAll(RunSettings.DEFAULT.quantise().settings(name).presets());
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
