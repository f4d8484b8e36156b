package rqat.tensor;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.io.HostTensor;

/// Tensors of tests, which are all on the CPU.
public final class Cpu {
    private Cpu() {}

    public static Tensor of(float[] values, long... shape) {
        return Tensors.of(Place.cpu(ScalarType.Float), values, shape);
    }

    public static Tensor of(double[] values, long... shape) {
        return Tensors.of(Place.cpu(ScalarType.Double), values, shape);
    }

    public static Tensor of(long[] values, long... shape) {
        return Tensors.of(Place.cpu(ScalarType.Long), values, shape);
    }

    public static Tensor of(int[] values, long... shape) {
        return Tensors.of(Place.cpu(ScalarType.Long), values, shape);
    }

    public static Tensor of(boolean[] values, long... shape) {
        return Tensors.of(Place.cpu(ScalarType.Bool), values, shape);
    }

    public static Tensor of(HostTensor stored) {
        return HostTensors.toTensor(stored, Place.cpu(HostTensors.scalarType(stored.type())));
    }

    public static Tensor zeros(ScalarType type, long... shape) {
        return Tensors.zeros(Place.cpu(type), shape);
    }

    public static Tensor full(ScalarType type, double value, long... shape) {
        return Tensors.full(Place.cpu(type), value, shape);
    }

    public static Tensor range(long from, long to) {
        return Tensors.range(Place.cpu(ScalarType.Long), from, to);
    }

    public static TensorOptions options(ScalarType type) {
        return Place.cpu(type).options();
    }
}
