package rqat.quant;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import rqat.tensor.Grad;
import rqat.tensor.Scope;

/// The learned part of a [FlatTransforms] model and what follows from it: while it is trained, weights before rounding, norms and sites are
/// functions of the latents and of these parameters, evaluated by [#refresh] once per change, and gradients come back through
/// [#backward] once per optimiser step. Owns the parameters and what follows from them, not the latents.
public final class LiveTransforms implements AutoCloseable {
    private final FlatTransforms flat;
    private final Map<String, Tensor> latents;
    private final SequencedMap<String, Tensor> parameters;
    private final SequencedMap<String, Tensor> unrounded = new LinkedHashMap<>();
    private final ActivationSites sites;

    /// What follows from `parameters`, which it takes over, and `latents`.
    LiveTransforms(FlatTransforms flat, Map<String, Tensor> latents, SequencedMap<String, Tensor> parameters) {
        this.flat = flat;
        this.latents = latents;
        this.parameters = parameters;
        var siteTensors = new LinkedHashMap<String, Tensor>();
        Grad.off(() -> {
            for (int layer = 0; layer < flat.config().layers(); layer++) {
                int block = layer;
                Scope.run(() -> {
                    flat.unrounded(block, tensors()).forEach((name, tensor) -> unrounded.put(name, Scope.own(tensor::clone)));
                    flat.sites(block, parameters).forEach((name, tensor) -> siteTensors.put(name, Scope.own(tensor::clone)));
                });
            }
        });
        sites = new ActivationSites(flat.config(), flat.activations(), siteTensors);
    }

    private Map<String, Tensor> tensors() {
        var tensors = new LinkedHashMap<>(latents);
        tensors.putAll(parameters);
        return tensors;
    }

    /// The parameters ([FlatTransforms] names them). An optimiser changes them in place and calls [#refresh].
    public SequencedMap<String, Tensor> parameters() {
        return Collections.unmodifiableSequencedMap(parameters);
    }

    /// The checkpoint's tensors that the parameters change, before rounding, float32.
    public SequencedMap<String, Tensor> unrounded() {
        return Collections.unmodifiableSequencedMap(unrounded);
    }

    /// Transforms and clip logits of the forward pass.
    public ActivationSites sites() {
        return sites;
    }

    /// Makes [#unrounded] and [#sites] follow latents and parameters.
    public void refresh() {
        Grad.off(() -> {
            for (int layer = 0; layer < flat.config().layers(); layer++) {
                int block = layer;
                Scope.run(() -> {
                    flat.unrounded(block, tensors()).forEach((name, tensor) -> unrounded.get(name).copy_(tensor));
                    flat.sites(block, parameters).forEach((name, tensor) -> sites.tensors().get(name).copy_(tensor));
                });
            }
        });
    }

    /// Takes gradients with respect to what the forward pass used back to latents and parameters, block by block: the graph of a block is
    /// recorded anew and is gone when the next one begins.
    ///
    /// @param leaves    latents and parameters under their names; gradients are added to those that record them
    /// @param gradients by the names of [#unrounded] (with respect to the rounded weights) and of the tensors of [#sites], float32; those
    ///                  that are missing are 0
    public void backward(Map<String, Tensor> leaves, Map<String, Tensor> gradients) {
        for (int layer = 0; layer < flat.config().layers(); layer++) {
            int block = layer;
            Scope.run(() -> Grad.on(() -> {
                var effective = flat.unrounded(block, leaves);
                flat.round(block, effective);
                effective.putAll(flat.sites(block, leaves));
                List<Tensor> products = effective.entrySet().stream()
                        .filter(entry -> gradients.containsKey(entry.getKey()))
                        .map(entry -> entry.getValue().mul(gradients.get(entry.getKey())).sum())
                        .toList();
                Tensor sum = products.stream().reduce(Tensor::add).orElseThrow();
                if (sum.requires_grad()) sum.backward();
                return sum;
            }));
        }
    }

    @Override
    public void close() {
        parameters.values().forEach(Tensor::close);
        unrounded.values().forEach(Tensor::close);
        sites.close();
    }
}
