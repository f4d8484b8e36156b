package rqat.quant;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.bytedeco.pytorch.MemoryFormatOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.format.ActivationFormat;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.tensor.Grad;
import rqat.tensor.Place;
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

    /// As [#quantise(QuantisedModel, Method, int[][], ScalarType, Listener)], computing in float32.
    public static QuantisedModel quantise(QuantisedModel model, Method method, int[][] windows, Listener listener) {
        return quantise(model, method, windows, ScalarType.Float, listener);
    }

    /// A new quantised model; `model` stays as it is.
    ///
    /// @param model    in full precision
    /// @param windows  calibration text as token ids; not read by round-to-nearest
    /// @param compute  dtype of the calibration's forward passes
    /// @throws Failure of [Grid#check] and [QuaRot#rotate] before any work; of [Calibration#run] and [GptqSolver#solve]; USAGE when `model` is quantised
    ///                 already
    public static QuantisedModel quantise(
            QuantisedModel model, Method method, int[][] windows, ScalarType compute, Listener listener) {
        if (!model.grids().isEmpty()) {
            throw Failure.usage("the model is quantised already; quantise the full-precision model that it was made from");
        }
        ActivationFormat format = switch (method) {
            case Method.QuaRot options -> options.activations();
            case Method.FlatQuant options -> options.activations();
            case Method.RoundToNearest _, Method.Gptq _, Method.Awq _, Method.Imported _ -> ActivationFormat.NONE;
        };
        if (method instanceof Method.QuaRot options) QuaRot.check(model.config(), options.shards());
        var specs = new LinkedHashMap<String, GridSpec>();
        for (int layer = 0; layer < model.config().layers(); layer++) {
            for (Linear linear : Linear.values()) {
                String name = linear.weight(layer);
                specs.put(name, format.grid(method.grid(), model.config(), linear));
                Grid.check(specs.get(name), name, model.latents().get(name));
            }
        }
        if (method instanceof Method.QuaRot options) {
            QuaRot.Rotated rotated = QuaRot.rotate(model.config(), model.latents(), format, options.seed());
            return new Work(rotated.config(), rotated.latents(), rotated.sites(), specs, new LinkedHashMap<>(), windows, compute, listener)
                    .quantise(options.weights(), method);
        }
        var latents = new LinkedHashMap<String, Tensor>();
        model.latents().forEach((name, latent) -> latents.put(name, Scope.own(latent::clone)));
        if (method instanceof Method.FlatQuant options) return flatQuant(model.config(), latents, options, windows, listener);
        ActivationSites none = ActivationSites.none(model.config());
        return new Work(model.config(), latents, none, specs, new LinkedHashMap<>(), windows, compute, listener).quantise(method, method);
    }

    private static QuantisedModel flatQuant(
            ModelConfig config, SequencedMap<String, Tensor> latents, Method.FlatQuant options, int[][] windows, Listener listener) {
        var parameters = new LinkedHashMap<String, Tensor>();
        try {
            var flat = new FlatQuant(config, options);
            parameters.putAll(flat.initial(Place.of(latents.firstEntry().getValue())));
            new FlatQuantCalibration(flat, latents).run(parameters, windows, listener);
            return QuantisedModel.flatQuant(config, latents, options, parameters);
        } catch (RuntimeException e) {
            latents.values().forEach(Tensor::close);
            parameters.values().forEach(Tensor::close);
            throw e;
        }
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

    /// A model whose weights are being quantised, in place.
    ///
    /// @param latents what is left of the original weights
    /// @param sites   of the model to be
    /// @param specs   the format of every map
    /// @param grids   found so far
    private record Work(
            ModelConfig config,
            SequencedMap<String, Tensor> latents,
            ActivationSites sites,
            Map<String, GridSpec> specs,
            SequencedMap<String, Grid> grids,
            int[][] windows,
            ScalarType compute,
            Listener listener) {

        /// The model, its weights quantised by `method`, that `whole` made.
        QuantisedModel quantise(Method method, Method whole) {
            try {
                ScaleMode scaleMode = switch (method) {
                    case Method.RoundToNearest options -> roundToNearest(options);
                    case Method.Gptq options -> calibrated(weights -> gptq(options, weights));
                    case Method.Awq _ -> calibrated(this::awq);
                    case Method.QuaRot _, Method.FlatQuant _ ->
                        throw new IllegalArgumentException("transforms first; another method quantises the weights");
                    case Method.Imported _ -> throw new IllegalArgumentException("what another tool did");
                };
                return new QuantisedModel(config, latents, grids, whole, scaleMode, MaskRule.HALF_STEP, sites);
            } catch (RuntimeException e) {
                latents.values().forEach(Tensor::close);
                grids.values().forEach(Grid::close);
                sites.close();
                throw e;
            }
        }

        private void done(String name, double error) {
            listener.quantised(new Step(name, grids.size(), specs.size(), error));
        }

        private ScaleMode roundToNearest(Method.RoundToNearest options) {
            specs.forEach((name, spec) -> {
                double error = Grad.off(() -> Scope.get(() -> {
                    Tensor weight = latents.get(name);
                    Grid grid = Grid.fit(spec, weight, options.clipSearch());
                    grids.put(name, grid.copy());
                    return ratio(weight.sub(grid.fakeQuantise(weight)).square(), weight.square());
                }));
                done(name, error);
            });
            // A searched range is narrower than the full one, which would be another model.
            return options.clipSearch() == ClipSearch.NONE ? ScaleMode.DYNAMIC : ScaleMode.STATIC;
        }

        /// Runs a method that needs a forward pass, on weights in the compute dtype.
        private ScaleMode calibrated(Consumer<Weights> method) {
            var weights = new LinkedHashMap<String, Tensor>();
            try {
                latents.forEach((name, latent) ->
                        weights.put(name, Scope.own(() -> latent.to(compute, false, true, new MemoryFormatOptional()))));
                method.accept(new Weights(weights));
                return ScaleMode.STATIC;
            } finally {
                weights.values().forEach(Tensor::close);
            }
        }

        /// Rotations are at work, activations are not rounded.
        private void gptq(Method.Gptq options, Weights weights) {
            Calibration.run(config, weights, sites.withoutQuantisers(), windows, (layer, linear, hessian) -> {
                String name = linear.weight(layer);
                Tensor latent = latents.get(name);
                GptqSolver.Solution solution = GptqSolver.solve(name, latent, hessian, options.with(specs.get(name)));
                double error = outputError(latent, solution.quantised(), hessian);
                grids.put(name, solution.grid().copy());
                latent.copy_(solution.latent());
                done(name, error);
                return solution.quantised();
            }, listener);
        }

        private void awq(Weights weights) {
            GridSpec spec = specs.values().iterator().next();
            AwqSearch.run(config, latents, weights, windows, spec, listener, block -> block.inputs().forEach((input, seen) -> {
                for (Linear linear : input.readers()) {
                    String name = linear.weight(block.layer());
                    double error = Scope.get(() -> {
                        Tensor latent = latents.get(name);
                        Grid grid = Grid.fit(spec, latent, ClipSearch.TIGHT);
                        grids.put(name, grid.copy());
                        return ratio(seen.matmul(latent.sub(grid.fakeQuantise(latent)).t()).square(), seen.matmul(latent.t()).square());
                    });
                    done(name, error);
                }
            }));
        }
    }
}
