package rqat.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.DoubleSupplier;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.recipe.Machine;
import rqat.tensor.Place;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// What benchmarks measure with: clocks, memory, and the speed of products and of memory on this machine in this run. Memory is Linux only.
final class Meter {
    private Meter() {}

    /// Of the wall clock.
    static double seconds() {
        return System.nanoTime() * 1e-9;
    }

    /// Processor time of this thread, so that other work on the machine disturbs less.
    static double processorSeconds() {
        return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() * 1e-9;
    }

    /// Multiplications a second in `times` products of two square matrices of random numbers.
    static double multiplicationsPerSecond(ScalarType type, int size, int times, DoubleSupplier clock) {
        return Grad.off(() -> Scope.get(() -> {
            Tensor a = torch.randn(size, size).to(type), b = torch.randn(size, size).to(type);
            torch.mm(a, b);
            double began = clock.getAsDouble();
            for (int i = 0; i < times; i++) torch.mm(a, b);
            return times * Math.pow(size, 3) / (clock.getAsDouble() - began);
        }));
    }

    /// Bytes a second in four sums of so many float32 values.
    static double bytesPerSecond(long values, DoubleSupplier clock) {
        return Grad.off(() -> Scope.get(() -> {
            Tensor a = Tensors.full(Place.cpu(ScalarType.Float), 1, values);
            double began = clock.getAsDouble();
            for (int i = 0; i < 4; i++) a.sum();
            return 4 * 4 * values / (clock.getAsDouble() - began);
        }));
    }

    /// Resident memory, in MB of 2^20 bytes.
    static double resident() {
        return Machine.resident() / 1048576.0;
    }

    /// Its peak since [#forgetPeak] or the start.
    static double residentPeak() {
        return Machine.residentPeak() / 1048576.0;
    }

    /// Lets the peak begin anew.
    static void forgetPeak() throws IOException {
        Files.writeString(Path.of("/proc/self/clear_refs"), "5");
    }
}
