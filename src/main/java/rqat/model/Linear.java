package rqat.model;

/// The seven linear maps of a decoder block, in the order of the forward pass; these and nothing else are quantised (paper, section 3.1:
/// embedding, head, norms and biases keep full precision).
public enum Linear {
    QUERY("self_attn.q_proj"),
    KEY("self_attn.k_proj"),
    VALUE("self_attn.v_proj"),
    OUTPUT("self_attn.o_proj"),
    GATE("mlp.gate_proj"),
    UP("mlp.up_proj"),
    DOWN("mlp.down_proj");

    private final String suffix;

    Linear(String suffix) {
        this.suffix = suffix;
    }

    /// The Hugging Face name of this map's weight in block `layer`, shape `[out, in]`.
    public String weight(int layer) {
        return "model.layers." + layer + "." + suffix + ".weight";
    }

    /// The Hugging Face name of this map's bias in block `layer`, shape `[out]`; not every family has one.
    public String bias(int layer) {
        return "model.layers." + layer + "." + suffix + ".bias";
    }
}
