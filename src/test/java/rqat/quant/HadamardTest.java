package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import rqat.Failure;
import rqat.tensor.Cpu;
import rqat.tensor.Place;
import rqat.tensor.Scope;

class HadamardTest {
    @Test
    void everyOrderHasOrthogonalRowsOfSigns() {
        int[] orders = IntStream.rangeClosed(1, 320).filter(Hadamard::exists).toArray();
        // All widths of the paper's models, their quarters and heads, but those above 320 and 156.
        assertThat(orders).contains(1, 2, 12, 16, 20, 28, 32, 36, 40, 44, 52, 60, 76, 80, 104, 108, 140, 152, 280, 312);
        for (int order : orders) {
            Scope.run(() -> {
                Tensor matrix = Hadamard.matrix(Place.cpu(ScalarType.Double), order);
                assertThat(matrix.abs().eq(new Scalar(1.0)).all().item_bool()).isTrue();
                Tensor identity = torch.eye(order, Cpu.options(ScalarType.Double)).mul(new Scalar((double) order));
                assertThat(matrix.matmul(matrix.t()).equal(identity)).as("order %d", order).isTrue();
            });
        }
    }

    @Test
    void ordersOfThePapersModels() {
        for (int order : new int[] {1536, 1024, 2560, 8960, 3072, 9728, 2240, 768, 2432, 12, 16, 32, 128}) {
            assertThat(Hadamard.exists(order)).as("order %d", order).isTrue();
        }
    }

    @Test
    void ordersWithoutAConstructionAreNamed() {
        for (int order : new int[] {0, -4, 3, 6, 10, 92, 100, 156}) {
            assertThat(Hadamard.exists(order)).as("order %d", order).isFalse();
            assertThatThrownBy(() -> Hadamard.matrix(Place.cpu(ScalarType.Double), order)).isInstanceOf(Failure.class).hasMessageContaining("order " + order);
        }
    }
}
