package rqat.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

class GradTest {

    private static boolean records(Tensor leaf) {
        return leaf.mul(leaf).requires_grad();
    }

    @Test
    void everyBlockEndsWhereItEnds() {
        Scope.run(() -> {
            Tensor leaf = Cpu.full(ScalarType.Float, 3, 1).set_requires_grad(true);
            long before = Pointer.totalCount();
            assertThat(Grad.off(() -> {
                        Scope.run(() -> {});
                        boolean outside = records(leaf);
                        boolean inside = Grad.on(() -> records(leaf));
                        return !outside && inside && !records(leaf);
                    }))
                    .isTrue();
            assertThat(records(leaf)).as("within the same scope, after the block").isTrue();
            assertThatThrownBy(() -> Grad.off(() -> {
                        throw new IllegalStateException("inside");
                    }))
                    .hasMessage("inside");
            assertThat(records(leaf)).as("after an exception").isTrue();
            long products = 5; // the results of `records`, which this scope still holds
            assertThat(Pointer.totalCount()).isEqualTo(before + products);
        });
    }
}
