package rqat.quant;

import java.util.LinkedHashMap;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.format.ActivationFormat;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.model.Linear;

/// Compresses a full-precision model by a [Method].
public final class Quantiser {
    private Quantiser() {}

    /// As [#quantise(QuantisedModel, Method, int[][], ScalarType, Quantisation.Listener)], computing in float32.
    public static QuantisedModel quantise(QuantisedModel model, Method method, int[][] windows, Quantisation.Listener listener) {
        return quantise(model, method, windows, ScalarType.Float, listener);
    }

    /// A new quantised model; `model` stays as it is.
    ///
    /// @param model    in full precision
    /// @param windows  calibration text as token ids; not read by a method that reads none ([Method#readsText])
    /// @param compute  dtype of the calibration's forward passes
    /// @throws Failure of [Grid#check] and [Method#check] before any work; of [Calibration#run] and [Method#quantise]; USAGE when `model` is quantised
    ///                 already
    public static QuantisedModel quantise(
            QuantisedModel model, Method method, int[][] windows, ScalarType compute, Quantisation.Listener listener) {
        if (!model.grids().isEmpty()) {
            throw Failure.usage("the model is quantised already; quantise the full-precision model that it was made from");
        }
        method.check(model.config());
        ActivationFormat format = method.activations();
        var specs = new LinkedHashMap<String, GridSpec>();
        for (int layer = 0; layer < model.config().layers(); layer++) {
            for (Linear linear : Linear.values()) {
                String name = linear.weight(layer);
                specs.put(name, format.grid(method.grid(), model.config(), linear));
                Grid.check(specs.get(name), name, model.latents().get(name));
            }
        }
        var work = new Quantisation(model.config(), model.latents(), specs, windows, compute, listener);
        try {
            ScaleMode scaleMode = method.quantise(work);
            FlatTransforms flat = method.transforms(model.config());
            if (flat != null) return QuantisedModel.transformed(work.config(), work.latents(), method, flat, work.parameters());
            return new QuantisedModel(work.config(), work.latents(), work.grids(), method, scaleMode, MaskRule.HALF_STEP, work.sites());
        } catch (RuntimeException e) {
            work.close();
            throw e;
        }
    }
}
