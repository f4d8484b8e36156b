package rqat.foreign;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import rqat.model.Linear;
import rqat.model.ModelConfig;

/// What llama.cpp calls the tensors of a model.
public final class GgufNames {
    /// Divisors of the rotary frequencies, `[headDimension / 2]`, float32; only where they are scaled as in Llama 3.
    public static final String ROTARY_FACTORS = "rope_freqs.weight";

    private GgufNames() {}

    /// The GGUF name of each tensor of [ModelConfig#tensors], in that order.
    public static SequencedMap<String, String> of(ModelConfig config) {
        var names = new LinkedHashMap<String, String>();
        names.put(ModelConfig.EMBEDDING, "token_embd.weight");
        for (int layer = 0; layer < config.layers(); layer++) {
            String block = "blk." + layer + ".";
            names.put(ModelConfig.attentionNorm(layer), block + "attn_norm.weight");
            names.put(ModelConfig.queryNorm(layer), block + "attn_q_norm.weight");
            names.put(ModelConfig.keyNorm(layer), block + "attn_k_norm.weight");
            names.put(ModelConfig.mlpNorm(layer), block + "ffn_norm.weight");
            for (Linear linear : Linear.values()) {
                names.put(linear.weight(layer), block + map(linear) + ".weight");
                names.put(linear.bias(layer), block + map(linear) + ".bias");
            }
        }
        names.put(ModelConfig.FINAL_NORM, "output_norm.weight");
        names.put("lm_head.weight", "output.weight");
        Map<String, long[]> tensors = config.tensors();
        names.keySet().removeIf(name -> !tensors.containsKey(name));
        return names;
    }

    private static String map(Linear linear) {
        return switch (linear) {
            case QUERY -> "attn_q";
            case KEY -> "attn_k";
            case VALUE -> "attn_v";
            case OUTPUT -> "attn_output";
            case GATE -> "ffn_gate";
            case UP -> "ffn_up";
            case DOWN -> "ffn_down";
        };
    }
}
