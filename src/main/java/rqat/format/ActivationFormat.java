package rqat.format;

import java.util.Collections;
import java.util.EnumMap;
import java.util.Map;
import rqat.model.Linear;
import rqat.model.ModelConfig;

/// Which sites of every block are quantised and how.
///
/// @param quantisers by site; a site without an entry keeps full precision
/// @param shards     parts of equal width into which tensor parallelism cuts the inputs of the output and down maps: each token has a scale
///                   for each of them, and so has each weight row where the grid has no smaller groups
public record ActivationFormat(Map<Site, ActivationSpec> quantisers, int shards) {
    /// Nothing is quantised.
    public static final ActivationFormat NONE = new ActivationFormat(Map.of(), 1);

    /// Checks the ranges.
    public ActivationFormat {
        if (shards < 1) throw new IllegalArgumentException("shards is %d; expected 1 or more".formatted(shards));
        var copy = new EnumMap<Site, ActivationSpec>(Site.class);
        copy.putAll(quantisers);
        quantisers = Collections.unmodifiableMap(copy);
    }

    /// The inputs of all seven maps as `inputs` says, keys and values as `cache` says.
    public static ActivationFormat of(ActivationSpec inputs, ActivationSpec cache, int shards) {
        return new ActivationFormat(
                Map.of(
                        Site.ATTENTION_INPUT, inputs,
                        Site.KEYS, cache,
                        Site.VALUES, cache,
                        Site.ATTENTION_OUTPUT, inputs,
                        Site.MLP_INPUT, inputs,
                        Site.MLP_HIDDEN, inputs),
                shards);
    }

    /// The grid of a map's weight: that of the method, but with a scale per shard where it has one per row.
    public GridSpec grid(GridSpec method, ModelConfig config, Linear linear) {
        boolean sharded = linear == Linear.OUTPUT || linear == Linear.DOWN;
        if (!sharded || shards == 1 || method.groupSize() != 0) return method;
        return new GridSpec(method.bits(), config.inputs(linear) / shards, method.symmetric(), method.scaleType());
    }
}
