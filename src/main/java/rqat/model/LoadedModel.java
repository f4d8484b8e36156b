package rqat.model;

import java.nio.file.Path;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// A model directory in memory, ready to run; owns its weights.
public final class LoadedModel implements AutoCloseable {
    private final SequencedMap<String, Tensor> weights;
    private final Decoder decoder;

    private LoadedModel(ModelConfig config, SequencedMap<String, Tensor> weights) {
        this.weights = weights;
        this.decoder = new Decoder(config, new Weights(weights));
    }

    /// As [#open(Path, ScalarType)], in float32.
    public static LoadedModel open(Path directory) {
        return open(directory, ScalarType.Float);
    }

    /// Loads the checkpoint of `directory`, quantised or not, to run in `compute`: it holds the weights as the forward pass uses them.
    ///
    /// @throws rqat.Failure as [ModelConfig#load] and [ModelLoader#load]
    public static LoadedModel open(Path directory, ScalarType compute) {
        ModelConfig config = ModelConfig.load(directory);
        return new LoadedModel(config, ModelLoader.load(directory, config, compute));
    }

    /// The forward pass.
    public Decoder decoder() {
        return decoder;
    }

    @Override
    public void close() {
        weights.values().forEach(Tensor::close);
    }
}
