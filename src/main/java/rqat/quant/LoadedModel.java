package rqat.quant;

import java.nio.file.Path;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.ModelLoader;
import rqat.model.Weights;
import rqat.tensor.Place;

/// A model directory in memory, ready to run, quantised or not; owns its weights.
///
/// Where float32 is asked for, a model with quantised activations runs in float64: batches of different shapes sum in different orders, and a
/// last bit of difference that crosses a rounding boundary becomes a whole quantisation step, so that in float32 a text has slightly
/// different log-probabilities scored at once and generated token by token. In float64 such a crossing is a billion times rarer.
public final class LoadedModel implements AutoCloseable {
    private final SequencedMap<String, Tensor> weights;
    private final ActivationSites sites;
    private final Decoder decoder;

    private LoadedModel(ModelConfig config, SequencedMap<String, Tensor> weights, ActivationSites sites) {
        this.weights = weights;
        this.sites = sites;
        this.decoder = new Decoder(config, new Weights(weights), sites);
    }

    /// As [#open(Path, Place)], in float32 on the CPU.
    public static LoadedModel open(Path directory) {
        return open(directory, Place.cpu(ScalarType.Float));
    }

    /// Loads the checkpoint of `directory`, which holds the weights as the forward pass uses them, or dequantises the codes of another tool, and what is done to activations,
    /// to run at `place`.
    ///
    /// @throws rqat.Failure as [ModelConfig#load], [ModelLoader#load] and [ModelDirectory#sites(Path, ModelConfig, Place)]
    public static LoadedModel open(Path directory, Place place) {
        ScalarType compute = place.type();
        ModelConfig config = ModelConfig.load(directory);
        ActivationSites sites = ModelDirectory.sites(directory, config, place);
        try {
            ScalarType type = sites.quantises() && compute == ScalarType.Float ? ScalarType.Double : compute;
            Place there = place.as(type);
            return new LoadedModel(config, ForeignWeights.isIn(directory) ? ForeignWeights.load(directory, there) : ModelLoader.load(directory, config, there), sites);
        } catch (RuntimeException e) {
            sites.close();
            throw e;
        }
    }

    /// The forward pass.
    public Decoder decoder() {
        return decoder;
    }

    @Override
    public void close() {
        weights.values().forEach(Tensor::close);
        sites.close();
    }
}
