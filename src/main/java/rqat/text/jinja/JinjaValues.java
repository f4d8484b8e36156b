package rqat.text.jinja;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import rqat.text.jinja.PythonValues.Undefined;

/// The values that only a template makes: what can be called, `loop`, a `namespace`, the arguments of a call.
final class JinjaValues {
    /// Something that can be called; printing or encoding it is an error.
    interface Callable {}

    /// A method of a string, list or dictionary, or of `loop`.
    record Method(Object receiver, String name) implements Callable {}

    /// The one kind of value whose attributes can be set.
    record Namespace(Map<String, @Nullable Object> attributes) {}

    /// `loop`: where a `for` is in its items.
    record Loop(List<@Nullable Object> items, int index) {}

    /// Evaluated arguments of a call.
    record Values(List<@Nullable Object> positional, Map<String, @Nullable Object> named) {
        static final Values NONE = new Values(List.of(), Map.of());

        /// The values of the parameters `names`, in that order; [#isMissing] tells those not given. The first `required` must be.
        @Nullable Object[] bind(String function, int required, String... names) {
            @Nullable Object[] bound = new Object[names.length];
            int given = 0;
            for (int i = 0; i < names.length; i++) {
                boolean byPosition = i < positional.size();
                boolean byName = named.containsKey(names[i]);
                if (byPosition && byName || !byPosition && !byName && i < required) {
                    throw new JinjaError(function + ": the argument '" + names[i] + "' is " + (byName ? "given twice" : "missing"));
                }
                bound[i] = byPosition ? positional.get(i) : byName ? named.get(names[i]) : MISSING;
                given += byPosition || byName ? 1 : 0;
            }
            if (given < positional.size() + named.size()) {
                throw new JinjaError(function + ": takes only the arguments " + List.of(names));
            }
            return bound;
        }
    }

    private static final Undefined MISSING = new Undefined("missing argument");

    static boolean isMissing(@Nullable Object value) {
        return value == MISSING;
    }

    private JinjaValues() {}
}
