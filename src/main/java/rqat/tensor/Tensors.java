package rqat.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Making tensors from Java arrays and reading them back, and the few operations whose raw signature is awkward from Java.
///
/// Copies go through [MemorySegment]: JavaCPP's indexers use `sun.misc.Unsafe`, which a later JDK will deny.
public final class Tensors {
    private Tensors() {}

    /// An uninitialised tensor.
    public static Tensor empty(Place place, long... shape) {
        return torch.empty(shape, place.options(), null);
    }

    /// A tensor of zeros.
    public static Tensor zeros(Place place, long... shape) {
        return torch.zeros(shape, place.options());
    }

    /// A tensor filled with `value`.
    public static Tensor full(Place place, double value, long... shape) {
        return torch.full(shape, new Scalar(value), place.options());
    }

    /// The identity matrix, `[size, size]`.
    public static Tensor identity(Place place, long size) {
        return torch.eye(size, place.options());
    }

    /// The integers `from`, `from + 1`, ..., `to - 1` as int64, on the device of `place` whatever its dtype.
    public static Tensor range(Place place, long from, long to) {
        return torch.arange(new Scalar(from), new Scalar(to), place.as(ScalarType.Long).options());
    }

    /// A tensor with these values, row major.
    public static Tensor of(Place place, float[] values, long... shape) {
        return copyIn(place, MemorySegment.ofArray(values), ScalarType.Float, shape);
    }

    /// A tensor with these values, row major.
    public static Tensor of(Place place, double[] values, long... shape) {
        return copyIn(place, MemorySegment.ofArray(values), ScalarType.Double, shape);
    }

    /// An int64 tensor with these values (indices), row major, on the device of `place` whatever its dtype.
    public static Tensor of(Place place, long[] values, long... shape) {
        return copyIn(place.as(ScalarType.Long), MemorySegment.ofArray(values), ScalarType.Long, shape);
    }

    /// An int64 tensor with these values (token ids, positions), row major, on the device of `place` whatever its dtype.
    public static Tensor of(Place place, int[] values, long... shape) {
        return copyIn(place.as(ScalarType.Long), MemorySegment.ofArray(values), ScalarType.Int, shape);
    }

    /// A boolean tensor with these values, row major, on the device of `place` whatever its dtype.
    public static Tensor of(Place place, boolean[] values, long... shape) {
        byte[] bytes = new byte[values.length];
        for (int i = 0; i < values.length; i++) bytes[i] = (byte) (values[i] ? 1 : 0);
        return copyIn(place.as(ScalarType.Bool), MemorySegment.ofArray(bytes), ScalarType.Bool, shape);
    }

    /// A tensor of `shape` with the values, of dtype `type`, whose bytes `source` holds row major; rounded if that of `place` is narrower.
    static Tensor copyIn(Place place, MemorySegment source, ScalarType type, long... shape) {
        Tensor host = empty(Place.cpu(type), shape);
        MemorySegment target = bytes(host);
        if (target.byteSize() != source.byteSize()) {
            throw new IllegalArgumentException("%d bytes do not fill a %s tensor of shape %s"
                    .formatted(source.byteSize(), type, Arrays.toString(shape)));
        }
        target.copyFrom(source);
        return place.take(host);
    }

    /// The values of any numeric tensor as float32, row major.
    public static float[] floats(Tensor tensor) {
        return Scope.get(() -> bytes(host(tensor, ScalarType.Float)).toArray(ValueLayout.JAVA_FLOAT));
    }

    /// The values of any numeric tensor as float64, row major.
    public static double[] doubles(Tensor tensor) {
        return Scope.get(() -> bytes(host(tensor, ScalarType.Double)).toArray(ValueLayout.JAVA_DOUBLE));
    }

    /// The values of an integer or boolean tensor as int64, row major.
    public static long[] longs(Tensor tensor) {
        return Scope.get(() -> bytes(host(tensor, ScalarType.Long)).toArray(ValueLayout.JAVA_LONG));
    }

    /// The single value of a tensor with one element.
    public static double item(Tensor tensor) {
        return tensor.item().toDouble();
    }

    /// The raw bytes of a contiguous tensor: its own memory, valid while it lives, or a copy in the surrounding scope of one on a device.
    public static MemorySegment bytes(Tensor contiguous) {
        if (!contiguous.is_contiguous()) throw new IllegalArgumentException("tensor is not contiguous");
        Place place = Place.of(contiguous);
        if (!place.isHost()) return bytes(Place.cpu(place.type()).take(contiguous));
        long size = contiguous.nbytes();
        if (size == 0) return MemorySegment.NULL;
        // The pointer object belongs to the caller's scope; the address stays valid with the tensor.
        Pointer pointer = contiguous.data_ptr();
        return MemorySegment.ofAddress(pointer.address()).reinterpret(size);
    }

    /// The dtype. libtorch's own `scalar_type()` answers with a fresh object each time that is `==` to no constant.
    public static ScalarType type(Tensor tensor) {
        return tensor.scalar_type().intern();
    }

    /// The shape as a Java array.
    public static long[] shape(Tensor tensor) {
        long[] shape = new long[(int) tensor.dim()];
        for (int i = 0; i < shape.length; i++) shape[i] = tensor.size(i);
        return shape;
    }

    /// A tensor of zeros of the shape and device of `like`, in another dtype.
    public static Tensor zerosLike(Tensor like, ScalarType type) {
        return torch.zeros_like(like, Place.of(like).as(type).options(), null);
    }

    /// The integers `from`, `from + step`, ..., below `to`, as int64, on the device of `place` whatever its dtype.
    public static Tensor range(Place place, long from, long to, long step) {
        return torch.arange(new Scalar(from), new Scalar(to), new Scalar(step), place.as(ScalarType.Long).options());
    }

    /// The lower triangle of ones, `[rows, columns]`: 1 where the column is not above the row.
    public static Tensor lowerTriangle(Place place, long rows, long columns) {
        return torch.ones(new long[] {rows, columns}, place.options()).tril();
    }

    /// Joins tensors along `dimension`.
    public static Tensor cat(List<Tensor> parts, long dimension) {
        return torch.cat(new TensorVector(parts.toArray(Tensor[]::new)), dimension);
    }

    /// Elementwise `min(max(x, low), high)`.
    public static Tensor clamp(Tensor x, double low, double high) {
        return x.clamp(new ScalarOptional(new Scalar(low)), new ScalarOptional(new Scalar(high)));
    }

    /// An optional tensor argument that is present.
    public static TensorOptional optional(Tensor tensor) {
        return new TensorOptional(tensor);
    }

    private static Tensor host(Tensor tensor, ScalarType type) {
        return tensor.detach().to(type).contiguous();
    }
}
