package rqat.format;

import java.util.List;
import java.util.Locale;
import rqat.model.Linear;
import rqat.model.ModelConfig;

/// The places of [rqat.model.Sites] by name, for descriptions and files.
public enum Site {
    ATTENTION_INPUT(Linear.QUERY, Linear.KEY, Linear.VALUE),
    QUERIES,
    KEYS,
    VALUES,
    ATTENTION_OUTPUT(Linear.OUTPUT),
    MLP_INPUT(Linear.GATE, Linear.UP),
    MLP_HIDDEN(Linear.DOWN);

    /// The inputs of linear maps, in the order of the forward pass.
    public static final List<Site> INPUTS = List.of(ATTENTION_INPUT, ATTENTION_OUTPUT, MLP_INPUT, MLP_HIDDEN);

    private final List<Linear> readers;

    Site(Linear... readers) {
        this.readers = List.of(readers);
    }

    /// The maps that read what passes here.
    public List<Linear> readers() {
        return readers;
    }

    /// Size of the last axis of what passes here.
    public int width(ModelConfig config) {
        return switch (this) {
            case ATTENTION_INPUT, MLP_INPUT -> config.hiddenSize();
            case QUERIES, KEYS, VALUES -> config.headDimension();
            case ATTENTION_OUTPUT -> config.inputs(Linear.OUTPUT);
            case MLP_HIDDEN -> config.inputs(Linear.DOWN);
        };
    }

    /// Whether tensor-parallel shards divide what passes here: the inputs of the maps that write to the residual stream.
    public boolean isSharded() {
        return this == ATTENTION_OUTPUT || this == MLP_HIDDEN;
    }

    /// The name of a tensor that belongs to this site of block `layer`, such as `model.layers.3.keys.right`.
    public String tensor(int layer, String part) {
        return "model.layers." + layer + "." + name().toLowerCase(Locale.ROOT) + "." + part;
    }
}
