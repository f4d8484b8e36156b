package rqat.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The closed-form gradients against automatic differentiation of the whole logits, in float64, for chunks that do and do not divide the
/// rows.
class ChunkedHeadTest {
    private static final int ROWS = 10, WIDTH = 6, VOCABULARY = 23;

    private static Tensor random(Random random, double size, long... shape) {
        long count = 1;
        for (long length : shape) count *= length;
        return Cpu.of(random.doubles(count, -size, size).toArray(), shape);
    }

    private record Inputs(Tensor hidden, Tensor head, Tensor teacherHidden, Tensor teacherHead, Tensor targets, Tensor coefficients) {
        static Inputs of(long seed) {
            var random = new Random(seed);
            return new Inputs(
                    random(random, 2, ROWS, WIDTH),
                    random(random, 2, VOCABULARY, WIDTH),
                    random(random, 2, ROWS, WIDTH + 3),
                    random(random, 2, VOCABULARY, WIDTH + 3),
                    Cpu.of(random.ints(ROWS, 0, VOCABULARY).toArray(), ROWS),
                    random(random, 1, ROWS));
        }
    }

    private static Tensor logProbabilities(Tensor hidden, Tensor head, double temperature) {
        return torch.linear(hidden, head).div(new Scalar(temperature)).log_softmax(-1);
    }

    /// Compares `chunked` with the sum of `whole`, which gets the student's log-probabilities as part of a graph.
    private static void check(
            double temperature,
            double coefficient,
            java.util.function.BiFunction<Inputs, ChunkedHead, ChunkedHead.Loss> chunked,
            java.util.function.BiFunction<Inputs, Tensor, Tensor> whole) {
        for (long seed = 0; seed < 5; seed++) {
            Inputs inputs = Inputs.of(seed);
            Tensor hidden = inputs.hidden.detach().requires_grad_(true);
            Tensor head = inputs.head.detach().requires_grad_(true);
            Tensor expected = Grad.on(() -> whole.apply(inputs, logProbabilities(hidden, head, temperature)).sum());
            expected.mul(new Scalar(coefficient)).backward();
            for (int chunk : new int[] {1, 7, ROWS, ROWS + 1}) {
                Tensor gradient = torch.zeros_like(inputs.head);
                ChunkedHead.Loss loss = chunked.apply(inputs, new ChunkedHead(inputs.head, gradient, chunk));
                assertThat(loss.sum()).isCloseTo(Tensors.item(expected), within(1e-10));
                assertThat(Tensors.doubles(loss.hidden())).containsExactly(Tensors.doubles(hidden.grad()), within(1e-12));
                assertThat(Tensors.doubles(gradient)).containsExactly(Tensors.doubles(head.grad()), within(1e-12));
            }
        }
    }

    private static Tensor picked(Inputs inputs, Tensor logProbabilities) {
        return logProbabilities.gather(1, inputs.targets.unsqueeze(1)).squeeze(1);
    }

    @Test
    void crossEntropy() {
        Scope.run(() -> check(
                1,
                0.3,
                (inputs, head) -> head.crossEntropy(inputs.hidden, inputs.targets, 0.3),
                (inputs, student) -> picked(inputs, student).neg()));
    }

    private static void checkDivergence(Divergence divergence, java.util.function.BinaryOperator<Tensor> formula) {
        for (double temperature : new double[] {1, 2.5}) {
            Scope.run(() -> check(
                    temperature,
                    0.7,
                    (inputs, head) -> head.divergence(
                            inputs.hidden, inputs.teacherHidden, inputs.teacherHead, divergence, temperature, 0.7),
                    (inputs, student) -> formula.apply(student, logProbabilities(inputs.teacherHidden, inputs.teacherHead, temperature))
                            .mul(new Scalar(temperature * temperature))));
        }
    }

    @Test
    void forwardKl() {
        checkDivergence(new Divergence.ForwardKl(), (student, teacher) -> teacher.exp().mul(teacher.sub(student)));
    }

    @Test
    void reverseKl() {
        checkDivergence(new Divergence.ReverseKl(), (student, teacher) -> student.exp().mul(student.sub(teacher)));
    }

    @Test
    void jensenShannon() {
        for (double b : new double[] {0.1, 0.5, 0.9}) {
            checkDivergence(new Divergence.JensenShannon(b), (student, teacher) -> {
                Tensor mixture = teacher.exp().mul(new Scalar(b)).add(student.exp().mul(new Scalar(1 - b))).log();
                return teacher.exp().mul(teacher.sub(mixture)).mul(new Scalar(b))
                        .add(student.exp().mul(student.sub(mixture)).mul(new Scalar(1 - b)));
            });
        }
    }

    @Test
    void knownValuesOfOnePosition() {
        Scope.run(() -> {
            Tensor student = Cpu.of(new double[] {1, 2, 0.5, -1}, 1, 4);
            Tensor teacher = Cpu.of(new double[] {0.5, 1.5, 1, 0}, 1, 4);
            Tensor identity = torch.eye(4).to(ScalarType.Double);
            var head = new ChunkedHead(identity, null, 8);
            Function<Divergence, double[]> values = divergence -> new double[] {
                head.divergence(student, teacher, identity, divergence, 1, 1).sum(),
                head.divergence(student, teacher, identity, divergence, 2, 1).sum()
            };
            // Worked out by hand and checked by finite differences in the design notes.
            assertThat(values.apply(new Divergence.ForwardKl())).containsExactly(new double[] {0.1361520572, 0.1760383627}, within(1e-9));
            assertThat(values.apply(new Divergence.ReverseKl())).containsExactly(new double[] {0.1106530150, 0.1637300107}, within(1e-9));
            assertThat(values.apply(new Divergence.JensenShannon(0.5)))
                    .containsExactly(new double[] {0.0299618381, 0.0421970324}, within(1e-9));
            assertThat(values.apply(new Divergence.JensenShannon(0.1)))
                    .containsExactly(new double[] {0.0118715057, 0.0156929630}, within(1e-9));
            assertThat(values.apply(new Divergence.JensenShannon(0.9)))
                    .containsExactly(new double[] {0.0100940150, 0.0148140958}, within(1e-9));
            for (Divergence divergence : List.of(new Divergence.ForwardKl(), new Divergence.ReverseKl(), new Divergence.JensenShannon(0.3))) {
                ChunkedHead.Loss same = head.divergence(student, student, identity, divergence, 1, 1);
                assertThat(same.sum()).isCloseTo(0, within(1e-15));
                assertThat(Tensors.doubles(same.hidden())).containsExactly(new double[4], within(1e-15));
            }
        });
    }

    @Test
    void weightedLogProbabilities() {
        for (double temperature : new double[] {1, 0.6}) {
            Scope.run(() -> check(
                    temperature,
                    1,
                    (inputs, head) -> head.weightedLogProbabilities(inputs.hidden, inputs.targets, inputs.coefficients, temperature),
                    (inputs, student) -> picked(inputs, student).mul(inputs.coefficients)));
        }
    }

    @Test
    void scoresAreLogProbabilityAndEntropy() {
        for (double temperature : new double[] {1, 0.6}) {
            Scope.run(() -> {
                Inputs inputs = Inputs.of(3);
                Tensor all = logProbabilities(inputs.hidden, inputs.head, temperature);
                double[] entropies = Tensors.doubles(all.exp().mul(all).sum(-1).neg());
                for (int chunk : new int[] {1, 7, ROWS, ROWS + 1}) {
                    ChunkedHead.Scores scores = new ChunkedHead(inputs.head, null, chunk).scores(inputs.hidden, inputs.targets, temperature);
                    assertThat(Tensors.doubles(scores.logProbabilities())).containsExactly(Tensors.doubles(picked(inputs, all)), within(1e-12));
                    assertThat(Tensors.doubles(scores.entropies())).containsExactly(entropies, within(1e-12));
                }
            });
        }
    }

    @Test
    void bfloat16HeadsSumTheirGradientInFloat32() {
        Scope.run(() -> {
            Inputs inputs = Inputs.of(4);
            Tensor exact = torch.zeros_like(inputs.head);
            ChunkedHead.Loss expected = new ChunkedHead(inputs.head, exact, 3).crossEntropy(inputs.hidden, inputs.targets, 0.1);
            Tensor gradient = Cpu.zeros(ScalarType.Float, VOCABULARY, WIDTH);
            ChunkedHead.Loss narrow = new ChunkedHead(inputs.head.to(ScalarType.BFloat16), gradient, 3)
                    .crossEntropy(inputs.hidden.to(ScalarType.BFloat16), inputs.targets, 0.1);
            assertThat(narrow.sum()).isCloseTo(expected.sum(), within(0.02 * expected.sum()));
            assertThat(Tensors.doubles(gradient)).containsExactly(Tensors.doubles(exact), within(0.01));
            assertThat(Tensors.type(narrow.hidden())).isEqualTo(ScalarType.BFloat16);
        });
    }
}
