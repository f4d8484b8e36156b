package rqat.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.tensor.Cpu;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

class AdamTest {

    @Test
    void followsTheTextbookInFloat64() {
        Scope.run(() -> {
            var random = new Random(5);
            int rows = 4, columns = 3, size = rows * columns;
            double[] weight = random.doubles(size, -1, 1).toArray();
            double[] first = new double[size], second = new double[size];
            var value = Cpu.of(weight, rows, columns).to(ScalarType.Float);
            var gradient = Cpu.zeros(ScalarType.Float, rows, columns);
            double peak = 0.01, decay = 0.1;
            var settings = new Adam.Settings(0.9, 0.95, 1e-8, decay);
            try (var adam = new Adam(settings, List.of(new Adam.Group(peak, List.of(new Parameter("w", value, gradient)))))) {
                for (int t = 1; t <= 20; t++) {
                    double[] g = random.doubles(size, -1, 1).toArray();
                    double factor = 1.0 / t;
                    gradient.copy_(Cpu.of(g, rows, columns));
                    adam.step(factor);
                    for (int i = 0; i < size; i++) {
                        double rounded = (float) g[i];
                        first[i] = 0.9 * first[i] + 0.1 * rounded;
                        second[i] = 0.95 * second[i] + 0.05 * rounded * rounded;
                        double mean = first[i] / (1 - Math.pow(0.9, t));
                        double deviation = Math.sqrt(second[i] / (1 - Math.pow(0.95, t)));
                        weight[i] -= peak * factor * (decay * weight[i] + mean / (deviation + 1e-8));
                    }
                }
                float[] actual = Tensors.floats(value);
                for (int i = 0; i < size; i++) assertThat((double) actual[i]).isCloseTo(weight[i], within(2e-6));
                assertThat(adam.steps()).isEqualTo(20);
            }
        });
    }

    @Test
    void decayLeavesVectorsAloneAndGroupsHaveTheirOwnRate() {
        Scope.run(() -> {
            var matrix = new Parameter("m", Cpu.full(ScalarType.Float, 2, 1, 2), Cpu.full(ScalarType.Float, 1, 1, 2));
            var vector = new Parameter("v", Cpu.full(ScalarType.Float, 2, 2), Cpu.full(ScalarType.Float, 1, 2));
            var groups = List.of(new Adam.Group(0.1, List.of(matrix)), new Adam.Group(0.01, List.of(vector)));
            try (var adam = new Adam(new Adam.Settings(0.9, 0.95, 1e-8, 0.5), groups)) {
                adam.step(1);
            }
            // The first step of Adam is the learning rate times the sign of the gradient.
            assertThat(Tensors.floats(matrix.value())[0]).isCloseTo(2 - 0.1f * 0.5f * 2 - 0.1f, within(1e-6f));
            assertThat(Tensors.floats(vector.value())[0]).isCloseTo(2 - 0.01f, within(1e-6f));
        });
    }

    @Test
    void refusesAParameterInTwoGroups() {
        Scope.run(() -> {
            var one = new Parameter("w", Cpu.zeros(ScalarType.Float, 2), Cpu.zeros(ScalarType.Float, 2));
            assertThatThrownBy(() -> new Adam(Adam.Settings.DEFAULT, List.of(new Adam.Group(1, List.of(one)), new Adam.Group(2, List.of(one)))))
                    .hasMessageContaining("w");
        });
    }
}
