package rqat.train;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The model in training: fp32 latents that the optimiser moves and the weights that the forward pass computes with, made from them by
/// [#project] once per optimiser step, outside the graph. The cost of a token is that of full-precision training.
///
/// A computed weight is recorded as an identity (a copy or a cast) of its latent and then overwritten with the projection: the
/// straight-through estimator for the price of one graph node. Autograd thus sums the gradient of every micro-batch in the latent's fp32
/// buffer, whatever the compute dtype. All gradients are views of one buffer, so zeroing, norm and averaging over ranks are one operation.
///
/// The latents belong to the caller; the student closes what it made.
public final class Student implements AutoCloseable {

    /// How a student computes and what it leaves alone.
    ///
    /// @param compute    dtype of the forward pass, Float or BFloat16
    /// @param checkpoint keep only block inputs and compute blocks twice ([ForwardPass])
    /// @param frozen     exact names of parameters that are not trained
    public record Options(ScalarType compute, boolean checkpoint, Set<String> frozen) {}

    private final ModelConfig config;
    private final Options options;
    private final SequencedMap<String, Tensor> latents;
    private final SequencedMap<String, Tensor> weights = new LinkedHashMap<>();
    private final SequencedMap<String, Parameter> parameters = new LinkedHashMap<>();
    private final List<Tensor> owned = new ArrayList<>();
    private final Tensor gradient;

    /// A full-precision student of `latents` (fp32, one for each of [ModelConfig#tensors]).
    ///
    /// @throws Failure USAGE when a frozen name is not a parameter or nothing is left to train
    public Student(ModelConfig config, SequencedMap<String, Tensor> latents, Options options) {
        this.config = config;
        this.options = options;
        this.latents = latents;
        var unknown = new TreeSet<>(options.frozen());
        unknown.removeAll(latents.keySet());
        if (!unknown.isEmpty()) {
            throw Failure.usage("frozen parameters %s are not in the model; names are exact, for example `%s`"
                    .formatted(unknown, latents.firstEntry().getKey()));
        }
        long size = 0;
        for (var latent : latents.entrySet()) {
            if (!options.frozen().contains(latent.getKey())) size += latent.getValue().numel();
        }
        if (size == 0) throw Failure.usage("every parameter is frozen; nothing to train");
        long total = size;
        gradient = own(() -> Tensors.zeros(ScalarType.Float, total));
        long offset = 0;
        for (var latent : latents.entrySet()) {
            String name = latent.getKey();
            Tensor value = latent.getValue();
            boolean copied = Tensors.type(value) != options.compute();
            if (options.frozen().contains(name)) {
                weights.put(name, copied ? own(() -> value.to(options.compute())) : value);
            } else {
                long from = offset;
                Tensor part = own(() -> gradient.narrow(0, from, value.numel()).view(Tensors.shape(value)));
                offset += value.numel();
                Tensor leaf = own(() -> value.detach().requires_grad_(true));
                Scope.run(() -> leaf.mutable_grad().put(part));
                weights.put(name, copied ? own(() -> Grad.on(() -> leaf.to(options.compute()))) : leaf);
                parameters.put(name, new Parameter(name, value, part));
            }
        }
    }

    private Tensor own(Supplier<Tensor> maker) {
        Tensor tensor = Scope.own(maker);
        owned.add(tensor);
        return tensor;
    }

    /// The configuration of the model.
    public ModelConfig config() {
        return config;
    }

    /// The fp32 latents, every parameter.
    public SequencedMap<String, Tensor> latents() {
        return Collections.unmodifiableSequencedMap(latents);
    }

    /// The weights that the forward pass reads, in the compute dtype and recording gradients; refreshed by [#project].
    public Weights weights() {
        return new Weights(weights);
    }

    /// The trained parameters in the order of the forward pass.
    public List<Parameter> parameters() {
        return List.copyOf(parameters.values());
    }

    /// The gradients of all parameters, one flat fp32 tensor.
    public Tensor gradient() {
        return gradient;
    }

    /// Makes the weights follow the latents and forgets the gradients of the last step.
    public void project() {
        Grad.off(() -> Scope.run(() -> {
            gradient.zero_();
            for (Parameter parameter : parameters.values()) {
                Tensor weight = weights.get(parameter.name());
                if (Tensors.type(weight) != ScalarType.Float) weight.copy_(parameter.value());
            }
        }));
    }

    /// Runs `ids [B, T]` (int64, padded on the right) through the blocks, recording what [ForwardPass#backward] needs.
    public ForwardPass forward(Tensor ids) {
        return ForwardPass.of(new Decoder(config, weights()), ids, options.checkpoint());
    }

    /// The head, `chunk` rows at a time, adding to this student's gradients.
    public ChunkedHead head(int chunk) {
        @Nullable Parameter head = parameters.get(config.head());
        return new ChunkedHead(weights().get(config.head()), head == null ? null : head.gradient(), chunk);
    }

    @Override
    public void close() {
        owned.forEach(Tensor::close);
    }
}
