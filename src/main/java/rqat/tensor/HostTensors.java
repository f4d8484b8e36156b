package rqat.tensor;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.io.DataType;
import rqat.io.HostTensor;

/// Between files and libtorch: [HostTensor] is what safetensors files hold, [Tensor] is what computes.
public final class HostTensors {
    private HostTensors() {}

    /// A copy of `source` at `place`, rounded if its dtype is wider.
    public static Tensor toTensor(HostTensor source, Place place) {
        if (place.equals(Place.cpu(scalarType(source.type())))) return copy(source);
        return Scope.keep(() -> {
            // First what stays, so that what goes leaves no hole between the tensors of a model.
            Tensor result = Tensors.empty(place, source.shape());
            return result.copy_(copy(source));
        });
    }

    private static Tensor copy(HostTensor source) {
        ScalarType type = scalarType(source.type());
        return Tensors.copyIn(Place.cpu(type), source.data(), type, source.shape());
    }

    /// The bytes of a `contiguous` tensor, as [Tensors#bytes].
    public static HostTensor view(Tensor contiguous) {
        return new HostTensor(dataType(Tensors.type(contiguous)), Tensors.shape(contiguous), Tensors.bytes(contiguous));
    }

    /// The libtorch name of a file's dtype.
    public static ScalarType scalarType(DataType type) {
        return switch (type) {
            case BOOL -> ScalarType.Bool;
            case U8 -> ScalarType.Byte;
            case I8 -> ScalarType.Char;
            case I16 -> ScalarType.Short;
            case U32 -> ScalarType.UInt32;
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
