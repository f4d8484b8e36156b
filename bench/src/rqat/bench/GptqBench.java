package rqat.bench;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.quant.ClipSearch;
import rqat.quant.Gptq;
import rqat.quant.Grid;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Time and memory of GPTQ with the paper's options (3 bits, groups of 128, searched ranges, activation order), on one thread, beside a
/// naive implementation of the same algorithm: every candidate range over the whole matrix, two factorisations around an explicit inverse,
/// and after each column a rank-one update of all that remain. Both in float64; they must choose the same codes but for rounding.
///
/// Prints the seconds of processor time of both and their ratio, how long the search alone takes in each, the most memory that each adds
/// while it runs, and the share of equal weights. Linux only: reads the peak resident size from /proc.
///
/// Arguments: shapes ROWSxCOLUMNS (1024x1024 3072x1024 1024x3072). 9728x2560 takes minutes.
public final class GptqBench {
    private static final int GROUP = 128;
    private static final int MAXIMUM = 7;

    public static void main(String[] arguments) throws IOException {
        List<String> shapes = arguments.length > 0 ? Arrays.asList(arguments) : List.of("1024x1024", "3072x1024", "1024x3072");
        System.out.printf("%12s %10s %10s %7s %14s %14s %12s %12s %8s%n",
                "shape", "naive", "ours", "ratio", "naive search", "our search", "naive memory", "our memory", "equal");
        // Warm: the first calls load libraries and compile.
        measure(256, 256);
        for (String shape : shapes) {
            String[] sizes = shape.split("x");
            System.out.printf("%12s %s%n", shape, measure(Integer.parseInt(sizes[0]), Integer.parseInt(sizes[1])));
        }
    }

    private record Run(double seconds, double megabytes, Tensor quantised) {}

    private static String measure(int rows, int columns) throws IOException {
        torch.manual_seed(1);
        Tensor weight = Scope.own(() -> torch.randn(rows, columns).mul(new Scalar(0.02)));
        Tensor hessian = Scope.own(() -> hessian(columns));
        var options = Gptq.paper(3);
        Run naive = run(() -> naive(weight, hessian));
        Run ours = run(() -> options.solve("weight", weight, hessian).quantised());
        double naiveSearch = run(() -> naiveGrid(weight).getFirst()).seconds;
        double search = run(() -> Grid.fit(options.grid(), weight, ClipSearch.MSE).scale()).seconds;
        double equal = Scope.get(() -> Tensors.item(naive.quantised.eq(ours.quantised).to(ScalarType.Double).mean()));
        String line = "%8.2f s %8.2f s %7.1f %12.2f s %12.2f s %9.0f MB %9.0f MB %7.2f%%".formatted(
                naive.seconds, ours.seconds, naive.seconds / ours.seconds, naiveSearch, search, naive.megabytes, ours.megabytes, 100 * equal);
        for (Tensor tensor : List.of(weight, hessian, naive.quantised, ours.quantised)) tensor.close();
        return line;
    }

    /// Of correlated inputs with loud channels.
    private static Tensor hessian(int columns) {
        Tensor inputs = torch.randn(2L * columns, columns).matmul(torch.randn(columns, columns).div(new Scalar(Math.sqrt(columns))));
        inputs = inputs.add(torch.randn(2L * columns, columns)).mul(torch.randn(columns).exp());
        return inputs.t().matmul(inputs).to(ScalarType.Double);
    }

    private static Run run(Supplier<Tensor> body) throws IOException {
        System.gc();
        returnFreedMemory();
        Meter.forgetPeak();
        double before = Meter.resident(), start = Meter.processorSeconds();
        Tensor result = Scope.own(() -> Grad.off(body));
        return new Run(Meter.processorSeconds() - start, Meter.residentPeak() - before, result);
    }

    /// Otherwise what one run has freed would hide what the next one needs.
    private static void returnFreedMemory() {
        Linker linker = Linker.nativeLinker();
        MethodHandle trim = linker.downcallHandle(
                linker.defaultLookup().findOrThrow("malloc_trim"), FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG));
        try {
            int ignored = (int) trim.invokeExact(0L);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static Tensor naive(Tensor weight, Tensor hessian) {
        long columns = weight.size(1);
        List<Tensor> grid = naiveGrid(weight);
        Tensor diagonal = hessian.diagonal();
        Tensor order = diagonal.argsort(true, 0, true);
        Tensor damped = hessian.add(torch.eye(columns, hessian.options()).mul(diagonal.mean().mul(new Scalar(0.01))));
        Tensor permuted = damped.index_select(0, order).index_select(1, order);
        Tensor inverse = torch.cholesky_inverse(torch.linalg_cholesky(permuted));
        Tensor factor = torch.linalg_cholesky(inverse).t();
        Tensor rest = weight.to(ScalarType.Double).index_select(1, order);
        Tensor result = torch.empty_like(weight);
        long[] original = Tensors.longs(order);
        for (int i = 0; i < columns; i++) {
            int column = i;
            Scope.run(() -> {
                Tensor scale = grid.get(0).select(1, original[column] / GROUP), zero = grid.get(1).select(1, original[column] / GROUP);
                Tensor value = rest.select(1, column);
                Tensor codes = Tensors.clamp(value.to(ScalarType.Float).div(scale).round().add(zero), 0, MAXIMUM);
                Tensor rounded = codes.sub(zero).mul(scale);
                result.select(1, original[column]).copy_(rounded);
                Tensor error = value.sub(rounded).div(factor.select(0, column).select(0, column));
                Tensor influence = factor.select(0, column).narrow(0, column, columns - column);
                rest.narrow(1, column, columns - column).sub_(torch.outer(error, influence));
            });
        }
        return result;
    }

    /// Scale and zero point `[R, groups]` by the definition.
    private static List<Tensor> naiveGrid(Tensor weight) {
        Tensor groups = weight.view(weight.size(0), -1, GROUP);
        Tensor low = groups.amin(new long[] {-1}, true).clamp_max(new Scalar(0.0)), high = groups.amax(new long[] {-1}, true).clamp_min(new Scalar(0.0));
        Tensor best = torch.full_like(low, new Scalar(Double.POSITIVE_INFINITY));
        Tensor bestScale = torch.zeros_like(low), bestZero = torch.zeros_like(low);
        for (int step = 0; step < 80; step++) {
            double factor = 1 - step / 100.0;
            Scope.run(() -> {
                Tensor scale = high.mul(new Scalar(factor)).sub(low.mul(new Scalar(factor))).div(new Scalar(MAXIMUM));
                Tensor zero = low.mul(new Scalar(factor)).div(scale).round().neg();
                Tensor rounded = Tensors.clamp(groups.div(scale).round().add(zero), 0, MAXIMUM).sub(zero).mul(scale);
                Tensor error = rounded.sub(groups).abs().pow(new Scalar(2.4)).sum(new long[] {-1}, true, new ScalarTypeOptional());
                Tensor better = error.lt(best);
                best.copy_(error.where(better, best));
                bestScale.copy_(scale.where(better, bestScale));
                bestZero.copy_(zero.where(better, bestZero));
            });
        }
        return List.of(bestScale.squeeze(-1), bestZero.squeeze(-1));
    }
}
