package rqat.tensor;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.io.DataType;
import rqat.io.HostTensor;

/// Between files and libtorch: [HostTensor] is what safetensors files hold, [Tensor] is what computes.
public final class HostTensors {
    private HostTensors() {}

    /// A copy of `source` as a tensor of the same type and shape.
    public static Tensor toTensor(HostTensor source) {
        return Tensors.copyIn(source.data(), scalarType(source.type()), source.shape());
    }

    /// A copy of `source`, rounded to `type`, that the caller owns and closes.
    public static Tensor own(HostTensor source, ScalarType type) {
        return Scope.own(() -> toTensor(source).to(type));
    }

    /// A copy of `tensor` in Java memory.
    public static HostTensor toHost(Tensor tensor) {
        return Scope.get(() -> {
            Tensor contiguous = tensor.detach().contiguous();
            return HostTensor.ofBytes(
                    dataType(contiguous.scalar_type()),
                    Tensors.shape(contiguous),
                    Tensors.bytes(contiguous).toArray(java.lang.foreign.ValueLayout.JAVA_BYTE));
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
