package rqat.io;

import java.util.function.Consumer;
import java.util.function.Supplier;

/// A tensor that is about to be written: its type and shape are known at once, its bytes only when asked for, so that a checkpoint
/// larger than memory can be written tensor by tensor.
public sealed interface TensorSource permits HostTensor, TensorSource.Produced {

    /// The element type.
    DataType type();

    /// The extents, outermost first.
    long[] shape();

    /// Lends `reader` the bytes, which may be produced on this call and be gone when it returns.
    void lend(Consumer<HostTensor> reader);

    /// Bytes of the whole tensor.
    default long byteSize() {
        return HostTensor.byteSize(type(), shape());
    }

    /// How many elements; 1 for a scalar (shape `[]`).
    default long elementCount() {
        return byteSize() / type().byteSize();
    }

    /// A tensor whose bytes are produced when it is written; what `producer` returns must have this type and shape.
    static TensorSource of(DataType type, long[] shape, Supplier<HostTensor> producer) {
        return lent(type, shape, reader -> reader.accept(producer.get()));
    }

    /// A tensor whose bytes exist only while they are read; what `lender` hands to the reader must have this type and shape.
    static TensorSource lent(DataType type, long[] shape, Consumer<Consumer<HostTensor>> lender) {
        return new Produced(type, shape.clone(), lender);
    }

    /// Bytes on demand.
    record Produced(DataType type, long[] shape, Consumer<Consumer<HostTensor>> lender) implements TensorSource {
        @Override
        public void lend(Consumer<HostTensor> reader) {
            lender.accept(reader);
        }
    }
}
