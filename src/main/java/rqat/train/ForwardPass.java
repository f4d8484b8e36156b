package rqat.train;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import rqat.model.Attention;
import rqat.model.Decoder;
import rqat.model.Rotation;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// A forward pass through embedding and blocks that can be taken back once, with the head left to [ChunkedHead].
///
/// With checkpointing (Chen et al. 2016) only the blocks' inputs are kept; backward runs from the last block to the first, computing each
/// again with gradients on. Nothing in a block is random, so the second computation repeats the first.
public sealed interface ForwardPass {

    /// Runs `ids [B, T]` (int64). The tensors that the pass keeps live in the caller's scope.
    static ForwardPass of(Decoder decoder, Tensor ids, boolean checkpoint) {
        return checkpoint ? Checkpointed.run(decoder, ids) : new Recorded(Scope.keep(() -> decoder.hidden(ids)));
    }

    /// Final hidden states `[B, T, hidden]`.
    Tensor hidden();

    /// Adds to the leaves' gradients those that come from `gradient [B, T, hidden]` with respect to the final hidden states.
    void backward(Tensor gradient);

    /// The final hidden states at `rows [N]`, indices into the flattened `[B * T]`: `[N, hidden]`, outside the graph.
    default Tensor rows(Tensor rows) {
        return Grad.off(() -> hidden().view(-1, hidden().size(2)).index_select(0, rows));
    }

    /// As [#backward(Tensor)] from `gradient [N, hidden]` with respect to [#rows].
    default void backward(Tensor rows, Tensor gradient) {
        Scope.run(() -> {
            Tensor full = Grad.off(() -> {
                Tensor hidden = hidden();
                Tensor zeros = Tensors.zeros(Place.of(hidden), hidden.size(0) * hidden.size(1), hidden.size(2));
                return zeros.index_copy_(0, rows, gradient).view(hidden.size(0), hidden.size(1), hidden.size(2));
            });
            backward(full);
        });
    }

    /// The graph of the whole pass is kept.
    record Recorded(Tensor hidden) implements ForwardPass {
        @Override
        public void backward(Tensor gradient) {
            ForwardPass.propagate(hidden, gradient);
        }
    }

    /// Only the inputs of the blocks and of the final norm are kept, outside any graph.
    record Checkpointed(Decoder decoder, Tensor ids, Rotation rotation, List<Tensor> inputs, Tensor hidden) implements ForwardPass {

        private static Checkpointed run(Decoder decoder, Tensor ids) {
            return Grad.off(() -> {
                Rotation rotation = decoder.rotation(Tensors.range(decoder.place(), 0, ids.size(1)).unsqueeze(0));
                var inputs = new ArrayList<Tensor>();
                inputs.add(decoder.embed(ids));
                for (int layer = 0; layer < decoder.config().layers(); layer++) {
                    int index = layer;
                    inputs.add(Scope.keep(() -> decoder.block(index, inputs.get(index), rotation, Attention.CAUSAL)));
                }
                return new Checkpointed(decoder, ids, rotation, inputs, decoder.finalNorm(inputs.getLast()));
            });
        }

        @Override
        public void backward(Tensor gradient) {
            int layers = decoder.config().layers();
            Tensor flowing = again(inputs.get(layers), gradient, decoder::finalNorm);
            for (int layer = layers - 1; layer >= 0; layer--) {
                int index = layer;
                Tensor incoming = flowing;
                flowing = again(inputs.get(layer), incoming, x -> decoder.block(index, x, rotation, Attention.CAUSAL));
                incoming.close();
            }
            Tensor first = flowing;
            Scope.run(() -> ForwardPass.propagate(Grad.on(() -> decoder.embed(ids)), first));
            first.close();
        }

        /// Gradient with respect to `input` of `function`, given that of its output; the caller closes it.
        private static Tensor again(Tensor input, Tensor gradient, java.util.function.UnaryOperator<Tensor> function) {
            return Scope.own(() -> {
                Tensor x = input.detach().requires_grad_(true);
                ForwardPass.propagate(Scope.keep(() -> Grad.on(() -> function.apply(x))), gradient);
                return new Tensor(x.grad()); // grad() is a reference into x, which ends with this scope
            });
        }
    }

    private static void propagate(Tensor output, Tensor gradient) {
        // Nothing to do when every parameter below is frozen.
        if (output.requires_grad()) output.backward(gradient, new BoolOptional(), false, new TensorArrayRefOptional());
    }
}
