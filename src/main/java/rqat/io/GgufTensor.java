package rqat.io;

import java.lang.foreign.MemorySegment;

/// A tensor of a GGUF file, mapped.
///
/// @param shape outermost extent first, as everywhere in rqat; the file has them the other way round
/// @param data  the blocks, row after row; only valid while the file is open
public record GgufTensor(GgmlType type, long[] shape, MemorySegment data) {
    public GgufTensor {
        shape = shape.clone();
        if (data.byteSize() != type.byteSize(shape)) {
            throw new IllegalArgumentException("%s %s needs %d bytes, not %d"
                    .formatted(type, HostTensor.describe(shape), type.byteSize(shape), data.byteSize()));
        }
    }

    @Override
    public long[] shape() {
        return shape.clone();
    }

    @Override
    public String toString() {
        return type + " " + HostTensor.describe(shape);
    }
}
