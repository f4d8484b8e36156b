package rqat.model;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import rqat.Failure;
import rqat.io.HostTensor;

/// Proves that the tensors of a checkpoint are those that `config.json` promises, without reading their values.
public final class StoredWeights {
    private StoredWeights() {}

    /// The stored tensors of [ModelConfig#tensors], in their order.
    ///
    /// @param stored all tensors of the checkpoint
    /// @throws Failure BAD_FILE when a tensor is missing, unknown, or of the wrong shape or type
    public static SequencedMap<String, HostTensor> of(Path directory, ModelConfig config, Map<String, HostTensor> stored) {
        SequencedMap<String, long[]> expected = config.tensors();
        for (String name : expected.keySet()) {
            if (!stored.containsKey(name)) {
                throw Failure.badFile(("%s: tensor `%s` is missing (config.json says %s, %d layers). The checkpoint is incomplete or"
                                + " belongs to another config.json.")
                        .formatted(directory, name, config.family(), config.layers()));
            }
        }
        for (String name : stored.keySet()) {
            // Some tools store the tied head a second time, old ones the rotary frequencies; both are implied by the config.
            boolean implied = name.equals("lm_head.weight") || name.endsWith(".rotary_emb.inv_freq");
            if (!expected.containsKey(name) && !implied) {
                throw Failure.badFile(("%s: tensor `%s` is not part of a %s model as config.json describes it; refusing to ignore a"
                                + " weight. Check model_type, num_hidden_layers and the bias flags.")
                        .formatted(directory, name, config.family()));
            }
        }
        var weights = new LinkedHashMap<String, HostTensor>();
        expected.forEach((name, shape) -> weights.put(name, checked(directory, name, shape, stored.get(name))));
        return weights;
    }

    private static HostTensor checked(Path directory, String name, long[] shape, HostTensor tensor) {
        if (!Arrays.equals(shape, tensor.shape())) {
            throw Failure.badFile("%s: tensor `%s` has shape %s; config.json implies %s"
                    .formatted(directory, name, Arrays.toString(tensor.shape()), Arrays.toString(shape)));
        }
        if (!tensor.type().isFloating()) {
            throw Failure.badFile("%s: tensor `%s` is %s; expected F32, F16 or BF16 (an already quantised checkpoint cannot be a source)"
                    .formatted(directory, name, tensor.type()));
        }
        return tensor;
    }
}
