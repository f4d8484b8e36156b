package rqat.io;

import java.util.function.Supplier;

/// A tensor that is about to be written: its type and shape are known at once, its bytes only when asked for, so that a checkpoint
/// larger than memory can be written tensor by tensor.
public sealed interface TensorSource permits HostTensor, TensorSource.Produced {

    /// The element type.
    DataType type();

    /// The extents, outermost first.
    long[] shape();

    /// The bytes; may be produced on this call.
    HostTensor load();

    /// Bytes of the whole tensor.
    default long byteSize() {
        return HostTensor.byteSize(type(), shape());
    }

    /// A tensor whose bytes are produced when it is written; what `producer` returns must have this type and shape.
    static TensorSource of(DataType type, long[] shape, Supplier<HostTensor> producer) {
        return new Produced(type, shape.clone(), producer);
    }


    /// Bytes on demand.
    record Produced(DataType type, long[] shape, Supplier<HostTensor> producer) implements TensorSource {
        @Override
        public HostTensor load() {
            return producer.get();
        }
    }
}
