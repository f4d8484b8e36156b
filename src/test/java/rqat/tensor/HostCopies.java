package rqat.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import rqat.io.HostTensor;

/// Copies of tensors in Java memory, which compare byte by byte.
public final class HostCopies {
    private HostCopies() {}

    /// Of one tensor.
    public static HostTensor of(Tensor tensor) {
        return Scope.get(() -> {
            HostTensor view = HostTensors.view(tensor.detach().contiguous());
            return new HostTensor(view.type(), view.shape(), MemorySegment.ofArray(view.data().toArray(ValueLayout.JAVA_BYTE)));
        });
    }

    /// Of several, in their order.
    public static SequencedMap<String, HostTensor> of(Map<String, Tensor> tensors) {
        var copies = new LinkedHashMap<String, HostTensor>();
        tensors.forEach((name, tensor) -> copies.put(name, of(tensor)));
        return copies;
    }
}
