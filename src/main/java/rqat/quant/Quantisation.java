package rqat.quant;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.bytedeco.pytorch.MemoryFormatOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.format.GridSpec;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// A model whose weights are being quantised by a [Method]: what the method is given, and what it has found so far. [Quantiser] makes a
/// [QuantisedModel] of it in the end.
public final class Quantisation {
    private final SequencedMap<String, Tensor> originals;
    private final Map<String, GridSpec> specs;
    private final int[][] windows;
    private final ScalarType compute;
    private final Listener listener;
    private final SequencedMap<String, Tensor> latents = new LinkedHashMap<>();
    private final SequencedMap<String, Grid> grids = new LinkedHashMap<>();
    private final SequencedMap<String, Tensor> parameters = new LinkedHashMap<>();
    private ModelConfig config;
    private ActivationSites sites;

    /// What is known of a map once it is quantised.
    ///
    /// @param tensor        the weight's name
    /// @param done          quantised so far, this one included
    /// @param total         quantised in the end
    /// @param relativeError squared error over squared size: of the map's output on the calibration inputs, of the weights themselves for a
    ///                      method without calibration, or of the output of the map's block for FlatQuant
    public record Step(String tensor, int done, int total, double relativeError) {}

    /// Hears how far the compression is.
    @FunctionalInterface
    public interface Listener extends Calibration.Listener {
        /// One more map is done.
        void quantised(Step step);

        @Override
        default void passed(int layer, int done, int total) {}
    }

    /// @param originals of the full-precision model, float32, which stay as they are
    /// @param specs     the format of every map
    /// @param windows   calibration text as token ids
    /// @param compute   dtype of the calibration's forward passes
    Quantisation(
            ModelConfig config, SequencedMap<String, Tensor> originals, Map<String, GridSpec> specs, int[][] windows, ScalarType compute, Listener listener) {
        this.config = config;
        this.originals = originals;
        this.specs = specs;
        this.windows = windows;
        this.compute = compute;
        this.listener = listener;
        sites = ActivationSites.none(config);
    }

    ModelConfig config() {
        return config;
    }

    SequencedMap<String, Tensor> originals() {
        return originals;
    }

    Map<String, GridSpec> specs() {
        return specs;
    }

    int[][] windows() {
        return windows;
    }

    Listener listener() {
        return listener;
    }

    /// What the activations of the model will pass through.
    ActivationSites sites() {
        return sites;
    }

    SequencedMap<String, Grid> grids() {
        return grids;
    }

    /// What is learned beside the latents; empty where nothing is.
    SequencedMap<String, Tensor> parameters() {
        return parameters;
    }

    /// What is left of the original weights, to be changed in place: copies of them, unless the model became another.
    SequencedMap<String, Tensor> latents() {
        if (latents.isEmpty()) originals.forEach((name, latent) -> latents.put(name, Scope.own(latent::clone)));
        return latents;
    }

    /// Goes on with another model that computes the same; takes it over.
    void become(ModelRotation.Rotated rotated) {
        config = rotated.config();
        sites = rotated.sites();
        latents.putAll(rotated.latents());
    }

    /// Learns these as well; takes them over.
    void learn(Map<String, Tensor> initial) {
        parameters.putAll(initial);
    }

    /// A map has its grid, of which a copy is kept.
    ///
    /// @param error see [Step]
    void done(String name, Grid grid, double error) {
        grids.put(name, grid.copy());
        listener.quantised(new Step(name, grids.size(), specs.size(), error));
    }

    /// Runs what needs a forward pass, on weights in the compute dtype.
    void withComputedWeights(Consumer<Weights> body) {
        var weights = new LinkedHashMap<String, Tensor>();
        try {
            latents().forEach((name, latent) -> weights.put(name, Scope.own(() -> latent.to(compute, false, true, new MemoryFormatOptional()))));
            body.accept(new Weights(weights));
        } finally {
            weights.values().forEach(Tensor::close);
        }
    }

    /// 0 where there is nothing.
    static double ratio(Tensor numerator, Tensor denominator) {
        double size = Tensors.item(denominator.sum());
        return size == 0 ? 0 : Tensors.item(numerator.sum()) / size;
    }

    /// Closes everything found so far.
    void close() {
        latents.values().forEach(Tensor::close);
        parameters.values().forEach(Tensor::close);
        grids.values().forEach(Grid::close);
        sites.close();
    }
}
