package rqat.model;

import static org.assertj.core.api.Assertions.assertThat;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.run.RandomStream;
import rqat.tensor.Cpu;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Short and long sequences take different kernels; both must be the formula, forwards and backwards.
final class AttentionTest {
    private static final int HEADS = 4, SHARED = 2, WIDTH = 8;

    @ParameterizedTest
    @CsvSource({"30, Float, 1e-5", "520, Float, 1e-5", "30, BFloat16, 2e-2", "520, BFloat16, 2e-2"})
    void isTheFormula(int tokens, ScalarType type, double tolerance) {
        Scope.run(() -> {
            var random = new RandomStream(tokens);
            Tensor queries = leaf(random, type, HEADS, tokens), keys = leaf(random, type, SHARED, tokens), values = leaf(random, type, SHARED, tokens);
            Tensor expected = formula(queries.to(ScalarType.Double), keys.to(ScalarType.Double), values.to(ScalarType.Double));
            Tensor weights = normal(random, HEADS, tokens);
            weights.to(ScalarType.Double).mul(expected).sum().backward();
            Tensor[] leaves = {queries, keys, values};
            Tensor[] gradients = new Tensor[3];
            for (int i = 0; i < 3; i++) {
                gradients[i] = leaves[i].grad().clone();
                leaves[i].grad().zero_();
            }
            Tensor attended = Attention.CAUSAL.attend(0, queries, keys, values);
            assertThat(attended.scalar_type().intern()).isEqualTo(type);
            weights.mul(attended.to(ScalarType.Float)).sum().backward();
            assertThat(distance(attended, expected)).isLessThan(tolerance);
            for (int i = 0; i < 3; i++) assertThat(distance(leaves[i].grad(), gradients[i])).isLessThan(2 * tolerance);
        });
    }

    private static Tensor formula(Tensor queries, Tensor keys, Tensor values) {
        long tokens = queries.size(2);
        Tensor repeatedKeys = keys.repeat_interleave(HEADS / SHARED, new LongOptional(1), new LongOptional());
        Tensor repeatedValues = values.repeat_interleave(HEADS / SHARED, new LongOptional(1), new LongOptional());
        Tensor scores = queries.matmul(repeatedKeys.transpose(2, 3)).div(new Scalar(Math.sqrt(WIDTH)));
        Tensor later = torch.ones(new long[] {tokens, tokens}).triu(1).to(ScalarType.Bool);
        return scores.masked_fill(later, new Scalar(Double.NEGATIVE_INFINITY)).softmax(-1).matmul(repeatedValues);
    }

    /// Norm of the difference over the norm.
    private static double distance(Tensor found, Tensor expected) {
        Tensor exact = expected.detach().to(ScalarType.Double);
        return Tensors.item(found.detach().to(ScalarType.Double).sub(exact).norm().div(exact.norm()));
    }

    private static Tensor leaf(RandomStream random, ScalarType type, int heads, int tokens) {
        return normal(random, heads, tokens).to(type).requires_grad_(true);
    }

    private static Tensor normal(RandomStream random, int heads, int tokens) {
        float[] values = new float[heads * tokens * WIDTH];
        for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
        return Cpu.of(values, 1, heads, tokens, WIDTH);
    }
}
