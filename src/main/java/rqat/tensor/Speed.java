package rqat.tensor;

import java.util.function.Supplier;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/// How fast this machine is at what everything here waits for, measured in well under a second each: the best of a few runs, so that
/// what else the machine does counts little.
public final class Speed {
    private static final int RUNS = 5;
    private static final long SIDE = 1024;
    /// Far more than any cache: 512 MiB.
    private static final long READ_FLOATS = 1L << 27;

    private Speed() {}

    /// 10^9 floating-point operations a second of products of 1024 x 1024 matrices, with `threads` threads. Changes the process-wide switch
    /// of [Torch#compute] and leaves it in exact float32: not beside a stage.
    public static double products(Torch.Compute compute, int threads) {
        Torch.compute(compute);
        try {
            return products(compute.type(), SIDE, threads);
        } finally {
            Torch.compute(Torch.Compute.FLOAT32);
        }
    }

    /// As [#products(Torch.Compute, int)] in float64, whatever the switch says, of smaller matrices.
    public static double float64Products(int threads) {
        return products(ScalarType.Double, SIDE / 2, threads);
    }

    private static double products(ScalarType type, long side, int threads) {
        return with(threads, () -> {
            Tensor a = Tensors.full(Place.cpu(type), 0.5, side, side);
            Tensor b = Tensors.full(Place.cpu(type), 0.25, side, side);
            return 2e-9 * side * side * side / best(() -> a.mm(b));
        });
    }

    /// GB a second that `threads` threads together read from memory: the sum of 512 MiB.
    public static double reading(int threads) {
        return with(threads, () -> {
            Tensor values = Tensors.full(Place.cpu(ScalarType.Float), 1, READ_FLOATS);
            return 4e-9 * READ_FLOATS / best(values::sum);
        });
    }

    /// How many GPUs libtorch can use.
    public static int gpus() {
        return torch.cuda_is_available() ? Byte.toUnsignedInt(torch.cuda_device_count()) : 0;
    }

    private static double with(int threads, Supplier<Double> body) {
        int before = torch.get_num_threads();
        torch.set_num_threads(threads);
        try {
            return Grad.off(() -> Scope.get(body));
        } finally {
            torch.set_num_threads(before);
        }
    }

    private static double best(Runnable work) {
        double best = Double.POSITIVE_INFINITY;
        for (int run = 0; run < RUNS; run++) {
            long start = System.nanoTime();
            Scope.run(work);
            best = Math.min(best, (System.nanoTime() - start) * 1e-9);
        }
        return best;
    }
}
