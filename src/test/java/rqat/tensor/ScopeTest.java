package rqat.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class ScopeTest {
    private long before;

    @BeforeEach
    void count() {
        Scope.run(() -> torch.ones(1).add(torch.ones(1))); // loads the library and its caches
        before = Pointer.totalCount();
    }

    @Test
    void runFreesWhatItMade() {
        Scope.run(() -> {
            Tensor x = Cpu.zeros(ScalarType.Float, 8);
            for (int i = 0; i < 50; i++) x = x.add(x);
        });
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
    }

    @Test
    void keepHandsOneTensorToTheScopeAround() {
        Scope.run(() -> {
            Tensor kept = Scope.keep(() -> Cpu.of(new float[] {1, 2}, 2).add(Cpu.of(new float[] {3, 4}, 2)));
            assertThat(Pointer.totalCount()).isEqualTo(before + 1);
            assertThat(Tensors.floats(kept)).containsExactly(4, 6);
        });
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
    }

    @Test
    void keepAllHandsOverSeveral() {
        Scope.run(() -> {
            List<Tensor> kept = Scope.keepAll(() -> List.of(Cpu.of(new long[] {7}, 1), Cpu.of(new long[] {9}, 1)));
            assertThat(Tensors.longs(kept.getFirst())).containsExactly(7);
            assertThat(Tensors.longs(kept.getLast())).containsExactly(9);
        });
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
    }

    @Test
    void anOwnedTensorOutlivesEveryScopeUntilItIsClosed() {
        Tensor[] owned = new Tensor[1];
        Scope.run(() -> owned[0] = Scope.own(() -> Cpu.of(new double[] {0.5}, 1)));
        assertThat(Tensors.doubles(owned[0])).containsExactly(0.5);
        owned[0].close();
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
    }

    @Test
    void aScopeEndsWhenItsBodyThrows() {
        assertThatThrownBy(() -> Scope.run(() -> {
                    Cpu.zeros(ScalarType.Float, 4);
                    throw new IllegalStateException("expected");
                }))
                .hasMessage("expected");
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
    }

    @Test
    void gradientModeEndsWithItsBlockWhateverHappensInside() {
        Scope.run(() -> {
            Tensor leaf = Cpu.zeros(ScalarType.Float, 1).requires_grad_(true);
            Grad.off(() -> Scope.run(() -> assertThat(leaf.add(leaf).requires_grad()).isFalse()));
            assertThat(leaf.add(leaf).requires_grad()).isTrue();
            assertThatThrownBy(() -> Grad.off(() -> {
                        throw new IllegalStateException("expected");
                    }))
                    .hasMessage("expected");
            assertThat(leaf.add(leaf).requires_grad()).isTrue();
            Grad.off(() -> assertThat(Grad.on(() -> leaf.add(leaf)).requires_grad()).isTrue());
        });
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
    }

    @Test
    void copiesKeepValuesAndShape() {
        Scope.run(() -> {
            Tensor x = Cpu.of(new float[] {1.5f, -2, Float.MAX_VALUE, Float.MIN_VALUE, 0, -0.0f}, 2, 3);
            assertThat(Tensors.shape(x)).containsExactly(2, 3);
            assertThat(Tensors.floats(x)).containsExactly(1.5f, -2, Float.MAX_VALUE, Float.MIN_VALUE, 0, -0.0f);
            assertThat(Tensors.floats(x.t())).containsExactly(1.5f, Float.MIN_VALUE, -2, 0, Float.MAX_VALUE, -0.0f);
            assertThat(Tensors.longs(Cpu.of(new boolean[] {true, false}, 2))).containsExactly(1, 0);
            assertThat(Cpu.of(HostTensors.view(x)).equal(x)).isTrue();
        });
        assertThatThrownBy(() -> Scope.run(() -> Cpu.of(new float[3], 2, 2))).hasMessageContaining("12 bytes");
    }
}
