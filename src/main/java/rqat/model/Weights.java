package rqat.model;

import java.util.Collections;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;

/// Tensors under their Hugging Face names. Whoever made the tensors closes them.
public final class Weights {
    private final SequencedMap<String, Tensor> tensors;

    /// A view of `tensors`; later changes of the map are seen.
    public Weights(SequencedMap<String, Tensor> tensors) {
        this.tensors = Collections.unmodifiableSequencedMap(tensors);
    }

    /// The tensor of this name.
    ///
    /// @throws IllegalArgumentException when there is none: a defect, since loading checks that every name is there
    public Tensor get(String name) {
        Tensor tensor = tensors.get(name);
        if (tensor == null) throw new IllegalArgumentException("no weight named " + name);
        return tensor;
    }

    /// All tensors in the order of the forward pass.
    public SequencedMap<String, Tensor> all() {
        return tensors;
    }
}
