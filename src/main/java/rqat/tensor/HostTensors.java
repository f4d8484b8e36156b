package rqat.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.io.DataType;
import rqat.io.HostTensor;

/// Between files and libtorch: [HostTensor] is what safetensors files hold, [Tensor] is what computes.
public final class HostTensors {
    private static final long MAXIMUM_ARRAY_BYTES = Integer.MAX_VALUE - 8;

    private HostTensors() {}

    /// A copy of `source` as a tensor of the same type and shape.
    public static Tensor toTensor(HostTensor source) {
        return Tensors.copyIn(source.data(), scalarType(source.type()), source.shape());
    }

    /// A copy of `source`, rounded to `type`, that the caller owns and closes.
    public static Tensor own(HostTensor source, ScalarType type) {
        return Scope.own(() -> toTensor(source).to(type));
    }

    /// A copy of `tensor` that lives until nothing refers to it any more.
    public static HostTensor toHost(Tensor tensor) {
        return toHost(tensor, MAXIMUM_ARRAY_BYTES);
    }

    /// @param largestArray bytes above which the copy is not a Java array, which ends at 2 GiB, but native memory
    static HostTensor toHost(Tensor tensor, long largestArray) {
        return Scope.get(() -> {
            Tensor contiguous = tensor.detach().contiguous();
            MemorySegment source = Tensors.bytes(contiguous);
            long size = source.byteSize();
            MemorySegment copy = size <= largestArray ? MemorySegment.ofArray(new byte[(int) size]) : Arena.ofAuto().allocate(size);
            return new HostTensor(dataType(contiguous.scalar_type()), Tensors.shape(contiguous), copy.copyFrom(source));
        });
    }

    /// Copies of all `tensors` in Java memory, in the same order.
    public static SequencedMap<String, HostTensor> toHost(Map<String, Tensor> tensors) {
        var result = new LinkedHashMap<String, HostTensor>();
        tensors.forEach((name, tensor) -> result.put(name, toHost(tensor)));
        return result;
    }

    /// The libtorch name of a file's dtype.
    public static ScalarType scalarType(DataType type) {
        return switch (type) {
            case BOOL -> ScalarType.Bool;
            case U8 -> ScalarType.Byte;
            case I8 -> ScalarType.Char;
            case I16 -> ScalarType.Short;
            case I32 -> ScalarType.Int;
            case I64 -> ScalarType.Long;
            case F16 -> ScalarType.Half;
            case BF16 -> ScalarType.BFloat16;
            case F32 -> ScalarType.Float;
            case F64 -> ScalarType.Double;
        };
    }

    /// The file dtype of a libtorch dtype.
    public static DataType dataType(ScalarType type) {
        for (DataType candidate : DataType.values()) {
            if (scalarType(candidate) == type.intern()) return candidate; // see Tensors.type
        }
        throw new IllegalArgumentException("no file format for dtype " + type);
    }
}
