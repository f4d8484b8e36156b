package rqat.model;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.io.Checkpoint;
import rqat.io.HostTensor;
import rqat.tensor.HostTensors;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Reads the weights of a Hugging Face model directory and proves that they are the ones its `config.json` promises.
public final class ModelLoader {
    private ModelLoader() {}

    /// All weights of `modelDirectory`, moved to `place` one by one and rounded to its dtype, in the order of [ModelConfig#tensors]. The caller owns the tensors. The files
    /// are mapped and converted one tensor at a time, so memory grows by the result only.
    ///
    /// @throws Failure BAD_FILE when another tool has quantised the weights, when a tensor is missing, unknown, of the wrong shape or type, or holds a value that is not finite
    public static SequencedMap<String, Tensor> load(Path modelDirectory, ModelConfig config, Place place) {
        ForeignQuantisation.refuse(modelDirectory);
        try (Checkpoint checkpoint = Checkpoint.open(modelDirectory)) {
            SequencedMap<String, HostTensor> stored = StoredWeights.of(modelDirectory, config, checkpoint.tensors());
            var weights = new LinkedHashMap<String, Tensor>();
            try {
                stored.forEach((name, source) -> weights.put(name, read(modelDirectory, name, source, place)));
                return weights;
            } catch (RuntimeException e) {
                weights.values().forEach(Tensor::close);
                throw e;
            }
        }
    }

    /// One weight at `place`, which the caller owns.
    ///
    /// @throws Failure BAD_FILE when it holds a value that is not finite
    public static Tensor read(Path directory, String name, HostTensor source, Place place) {
        Tensor weight = Scope.own(() -> HostTensors.toTensor(source, place));
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
