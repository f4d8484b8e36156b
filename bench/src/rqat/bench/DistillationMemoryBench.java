package rqat.bench;

import java.io.IOException;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import rqat.train.ChunkedHead;
import rqat.train.Divergence;

/// Peak memory of the distillation loss and its gradients above what its inputs and results need, for sequence lengths N and vocabularies
/// V: a chunk at a time (bounded by the chunk, whatever N) beside the whole logits under automatic differentiation (grows with N x V; left
/// out where it would need more than 3 GB). Linux only: reads the peak resident size from /proc.
public final class DistillationMemoryBench {
    private static final int WIDTH = 64, CHUNK = 128;

    public static void main(String[] arguments) throws IOException {
        System.out.printf("%8s %8s %14s %14s%n", "N", "V", "chunked", "whole");
        for (int vocabulary : new int[] {8_192, 151_936}) {
            for (int rows : new int[] {256, 1024, 4096, 16_384}) {
                double chunked = peak(rows, vocabulary, true);
                String whole = 24.0 * rows * vocabulary > 3e9 ? "-" : "%.0f MB".formatted(peak(rows, vocabulary, false));
                System.out.printf("%8d %8d %11.0f MB %14s%n", rows, vocabulary, chunked, whole);
            }
        }
    }

    /// Megabytes of resident memory added at the worst moment.
    private static double peak(int rows, int vocabulary, boolean chunked) throws IOException {
        Tensor hidden = Scope.own(() -> torch.randn(rows, WIDTH));
        Tensor teacherHidden = Scope.own(() -> torch.randn(rows, WIDTH));
        Tensor head = Scope.own(() -> torch.randn(vocabulary, WIDTH).requires_grad_(true));
        Tensor gradient = Scope.own(() -> torch.ones(vocabulary, WIDTH).zero_());
        try {
            Meter.forgetPeak();
            double before = Meter.resident();
            Scope.run(() -> {
                if (chunked) {
                    new ChunkedHead(head, gradient, CHUNK)
                            .divergence(hidden, teacherHidden, head, new Divergence.ForwardKl(), 1, 1.0 / rows);
                } else {
                    Tensor leaf = hidden.detach().requires_grad_(true);
                    Tensor student = torch.linear(leaf, head).log_softmax(-1);
                    Tensor teacher = torch.linear(teacherHidden, head.detach()).log_softmax(-1);
                    teacher.exp().mul(teacher.sub(student)).sum().div(Tensors.full(Place.cpu(ScalarType.Float), rows, 1)).backward();
                }
            });
            return Meter.residentPeak() - before;
        } finally {
            for (Tensor tensor : new Tensor[] {hidden, teacherHidden, head, gradient}) tensor.close();
        }
    }
}
