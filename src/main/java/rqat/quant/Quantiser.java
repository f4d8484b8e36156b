package rqat.quant;

import java.util.LinkedHashMap;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Compresses a full-precision model by a [Method].
public final class Quantiser {
    private Quantiser() {}

    /// What is known of a map once it is quantised.
    ///
    /// @param tensor        the weight's name
    /// @param done          quantised so far, this one included
    /// @param total         quantised in the end
    /// @param relativeError squared error over squared size: of the map's output on the calibration inputs, or of the weights themselves for a
    ///                      method without calibration
    public record Step(String tensor, int done, int total, double relativeError) {}

    /// As [#quantise(QuantisedModel, Method, int[][], ScalarType, Consumer)], computing in float32.
    public static QuantisedModel quantise(QuantisedModel model, Method method, int[][] windows, Consumer<Step> progress) {
        return quantise(model, method, windows, ScalarType.Float, progress);
    }

    /// A new quantised model; `model` stays as it is.
    ///
    /// @param model    in full precision
    /// @param windows  calibration text as token ids; not read by round-to-nearest
    /// @param compute  dtype of the calibration's forward passes
    /// @param progress called after every map
    /// @throws Failure of [GridSpec#check] before any work; of [Calibration#run] and [GptqSolver#solve]; USAGE when `model` is quantised
    ///                 already
    public static QuantisedModel quantise(
            QuantisedModel model, Method method, int[][] windows, ScalarType compute, Consumer<Step> progress) {
        if (!model.grids().isEmpty()) {
            throw Failure.usage("the model is quantised already; quantise the full-precision model that it was made from");
        }
        ModelConfig config = model.config();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Linear linear : Linear.values()) {
                method.grid().check(linear.weight(layer), model.latents().get(linear.weight(layer)));
            }
        }
        var latents = new LinkedHashMap<String, Tensor>();
        var grids = new LinkedHashMap<String, Grid>();
        try {
            model.latents().forEach((name, latent) -> latents.put(name, Scope.own(latent::clone)));
            ScaleMode scaleMode = switch (method) {
                case Method.RoundToNearest options -> roundToNearest(config, latents, grids, options, progress);
                case Method.Gptq options -> {
                    Weights weights = model.weights(compute);
                    try {
                        yield gptq(config, latents, grids, options, weights, windows, progress);
                    } finally {
                        weights.all().values().forEach(Tensor::close);
                    }
                }
                case Method.Awq options -> {
                    Weights weights = model.weights(compute);
                    try {
                        yield awq(config, latents, grids, options, weights, windows, progress);
                    } finally {
                        weights.all().values().forEach(Tensor::close);
                    }
                }
            };
            return new QuantisedModel(config, latents, grids, method, scaleMode, MaskRule.HALF_STEP);
        } catch (RuntimeException e) {
            latents.values().forEach(Tensor::close);
            grids.values().forEach(Grid::close);
            throw e;
        }
    }

    private static int total(ModelConfig config) {
        return config.layers() * Linear.values().length;
    }

    private static ScaleMode roundToNearest(
            ModelConfig config,
            SequencedMap<String, Tensor> latents,
            SequencedMap<String, Grid> grids,
            Method.RoundToNearest options,
            Consumer<Step> progress) {
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Linear linear : Linear.values()) {
                String name = linear.weight(layer);
                double error = Grad.off(() -> Scope.get(() -> {
                    Tensor weight = latents.get(name);
                    Grid grid = Grid.fit(options.grid(), weight, options.clipSearch());
                    grids.put(name, grid.copy());
                    return ratio(weight.sub(grid.fakeQuantise(weight)).square(), weight.square());
                }));
                progress.accept(new Step(name, grids.size(), total(config), error));
            }
        }
        // A searched range is narrower than the full one, which would be another model.
        return options.clipSearch() == ClipSearch.NONE ? ScaleMode.DYNAMIC : ScaleMode.STATIC;
    }

    private static ScaleMode gptq(
            ModelConfig config,
            SequencedMap<String, Tensor> latents,
            SequencedMap<String, Grid> grids,
            Method.Gptq options,
            Weights weights,
            int[][] windows,
            Consumer<Step> progress) {
        Calibration.run(config, weights, windows, (layer, linear, hessian) -> {
            String name = linear.weight(layer);
            Tensor latent = latents.get(name);
            GptqSolver.Solution solution = GptqSolver.solve(name, latent, hessian, options);
            double error = outputError(latent, solution.quantised(), hessian);
            grids.put(name, solution.grid().copy());
            latent.copy_(solution.latent());
            progress.accept(new Step(name, grids.size(), total(config), error));
            return solution.quantised();
        });
        return ScaleMode.STATIC;
    }

    private static ScaleMode awq(
            ModelConfig config,
            SequencedMap<String, Tensor> latents,
            SequencedMap<String, Grid> grids,
            Method.Awq options,
            Weights weights,
            int[][] windows,
            Consumer<Step> progress) {
        AwqSearch.run(config, latents, weights, windows, options.grid(), block -> block.inputs().forEach((linear, inputs) -> {
            String name = linear.weight(block.layer());
            double error = Scope.get(() -> {
                Tensor latent = latents.get(name);
                Grid grid = Grid.fit(options.grid(), latent, ClipSearch.TIGHT);
                grids.put(name, grid.copy());
                return ratio(
                        inputs.matmul(latent.sub(grid.fakeQuantise(latent)).t()).square(), inputs.matmul(latent.t()).square());
            });
            progress.accept(new Step(name, grids.size(), total(config), error));
        }));
        return ScaleMode.STATIC;
    }

    /// `tr(D H D^T) / tr(W H W^T)` for the error D of a weight W.
    private static double outputError(Tensor weight, Tensor quantised, Tensor hessian) {
        return Grad.off(() -> Scope.get(() -> {
            Tensor exact = weight.to(ScalarType.Double);
            Tensor error = exact.sub(quantised);
            return ratio(error.matmul(hessian).mul_(error), exact.matmul(hessian).mul_(exact));
        }));
    }

    private static double ratio(Tensor numerator, Tensor denominator) {
        double size = Tensors.item(denominator.sum());
        return size == 0 ? 0 : Tensors.item(numerator.sum()) / size;
    }
}
