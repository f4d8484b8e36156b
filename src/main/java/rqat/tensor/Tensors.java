package rqat.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// Making tensors from Java arrays and reading them back, and the few operations whose raw signature is awkward from Java.
///
/// Copies go through [MemorySegment]: JavaCPP's indexers use `sun.misc.Unsafe`, which a later JDK will deny.
public final class Tensors {
    private Tensors() {}

    /// An uninitialised tensor.
    public static Tensor empty(ScalarType type, long... shape) {
        return torch.empty(shape, options(type), null);
    }

    /// A tensor of zeros.
    public static Tensor zeros(ScalarType type, long... shape) {
        return torch.zeros(shape, options(type));
    }

    /// A tensor filled with `value`.
    public static Tensor full(ScalarType type, double value, long... shape) {
        return torch.full(shape, new Scalar(value), options(type));
    }

    /// The integers `from`, `from + 1`, ..., `to - 1` as int64.
    public static Tensor range(long from, long to) {
        return torch.arange(new Scalar(from), new Scalar(to), options(ScalarType.Long));
    }

    /// A float32 tensor with these values, row major.
    public static Tensor of(float[] values, long... shape) {
        return copyIn(MemorySegment.ofArray(values), ScalarType.Float, shape);
    }

    /// A float64 tensor with these values, row major.
    public static Tensor of(double[] values, long... shape) {
        return copyIn(MemorySegment.ofArray(values), ScalarType.Double, shape);
    }

    /// An int64 tensor with these values, row major.
    public static Tensor of(long[] values, long... shape) {
        return copyIn(MemorySegment.ofArray(values), ScalarType.Long, shape);
    }

    /// An int64 tensor with these values (token ids, positions), row major.
    public static Tensor of(int[] values, long... shape) {
        return copyIn(MemorySegment.ofArray(values), ScalarType.Int, shape).to(ScalarType.Long);
    }

    /// A boolean tensor with these values, row major.
    public static Tensor of(boolean[] values, long... shape) {
        byte[] bytes = new byte[values.length];
        for (int i = 0; i < values.length; i++) bytes[i] = (byte) (values[i] ? 1 : 0);
        return copyIn(MemorySegment.ofArray(bytes), ScalarType.Bool, shape);
    }

    /// A tensor of `type` and `shape` with the bytes of `source`, row major.
    public static Tensor copyIn(MemorySegment source, ScalarType type, long... shape) {
        Tensor result = empty(type, shape);
        MemorySegment target = bytes(result);
        if (target.byteSize() != source.byteSize()) {
            throw new IllegalArgumentException("%d bytes do not fill a %s tensor of shape %s"
                    .formatted(source.byteSize(), type, java.util.Arrays.toString(shape)));
        }
        target.copyFrom(source);
        return result;
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

    /// The raw bytes of a contiguous tensor, valid while the tensor lives.
    public static MemorySegment bytes(Tensor contiguous) {
        if (!contiguous.is_contiguous()) throw new IllegalArgumentException("tensor is not contiguous");
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

    /// Options that name a dtype.
    public static TensorOptions options(ScalarType type) {
        return new TensorOptions().dtype(new ScalarTypeOptional(type));
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
