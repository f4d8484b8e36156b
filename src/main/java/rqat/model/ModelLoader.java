package rqat.model;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.io.Checkpoint;
import rqat.io.HostTensor;
import rqat.tensor.HostTensors;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Reads the weights of a Hugging Face model directory and proves that they are the ones its `config.json` promises.
public final class ModelLoader {
    private ModelLoader() {}

    /// All weights of `modelDirectory`, rounded to `type`, in the order of [ModelConfig#tensors]. The caller owns the tensors. The files
    /// are mapped and converted one tensor at a time, so memory grows by the result only.
    ///
    /// @throws Failure BAD_FILE when a tensor is missing, unknown, of the wrong shape or type, or holds a value that is not finite
    public static SequencedMap<String, Tensor> load(Path modelDirectory, ModelConfig config, ScalarType type) {
        try (Checkpoint checkpoint = Checkpoint.open(modelDirectory)) {
            Map<String, HostTensor> stored = checkpoint.tensors();
            SequencedMap<String, long[]> expected = config.tensors();
            checkNames(modelDirectory, config, stored, expected);
            var weights = new LinkedHashMap<String, Tensor>();
            try {
                expected.forEach((name, shape) -> weights.put(name, read(modelDirectory, name, shape, stored.get(name), type)));
                return weights;
            } catch (RuntimeException e) {
                weights.values().forEach(Tensor::close);
                throw e;
            }
        }
    }

    private static void checkNames(
            Path directory, ModelConfig config, Map<String, HostTensor> stored, Map<String, long[]> expected) {
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
    }

    private static Tensor read(Path directory, String name, long[] shape, HostTensor source, ScalarType type) {
        if (!Arrays.equals(shape, source.shape())) {
            throw Failure.badFile("%s: tensor `%s` has shape %s; config.json implies %s"
                    .formatted(directory, name, Arrays.toString(source.shape()), Arrays.toString(shape)));
        }
        if (!source.type().isFloating()) {
            throw Failure.badFile("%s: tensor `%s` is %s; expected F32, F16 or BF16 (an already quantised checkpoint cannot be a source)"
                    .formatted(directory, name, source.type()));
        }
        Tensor weight = HostTensors.own(source, type);
        double sum = Scope.get(() -> Tensors.item(weight.mul(new Scalar(0.0)).sum()));
        if (sum != 0) { // 0 x infinity and 0 x NaN are NaN, and NaN differs from 0
            weight.close();
            throw Failure.badFile(("%s: tensor `%s` holds values that are not finite (NaN or infinity). The checkpoint is damaged;"
                            + " download or train it again.")
                    .formatted(directory, name));
        }
        return weight;
    }
}
