package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import rqat.tensor.Cpu;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The matrices against the reference's tables, and what it does with them.
class HadamardFixtureTest {
    private static final double TOLERANCE = 1e-5;

    @TestFactory
    Stream<DynamicTest> everyTable() {
        return forEach(name -> name.matches("H\\d+"), (name, tensors) -> assertThat(Hadamard.matrix(Place.cpu(ScalarType.Double), Integer.parseInt(name.substring(1)))
                        .to(ScalarType.Char)
                        .equal(tensors.get(name)))
                .isTrue());
    }

    @TestFactory
    Stream<DynamicTest> everyTransform() {
        return forEach(name -> name.matches("n\\d+\\.x"), (name, tensors) -> {
            int order = Integer.parseInt(name.substring(1, name.indexOf('.')));
            assertClose(Hadamard.transform(Place.cpu(ScalarType.Double), order).apply(wide(tensors.get(name))), tensors.get("n" + order + ".y"));
        });
    }

    @Test
    void foldsIntoWeights() {
        Scope.run(() -> {
            Map<String, Tensor> tensors = QuantFixtures.tensors("hadamard.safetensors");
            Tensor weight = wide(tensors.get("fold.w"));
            int columns = (int) weight.size(1);
            assertClose(Hadamard.transform(Place.cpu(ScalarType.Double), columns).apply(weight), tensors.get("fold.input_full.w"));
            KroneckerTransform small = Hadamard.transform(Place.cpu(ScalarType.Double), 16);
            assertClose(small.apply(weight.view(weight.size(0), -1, 16)).view(-1, columns), tensors.get("fold.input_per16.w"));
            Tensor rows = small.apply(weight.t().contiguous().view(columns, -1, 16)).view(columns, -1).t();
            assertClose(rows, tensors.get("fold.output_per16.w"));
            assertClose(small.apply(wide(tensors.get("fold.b")).view(-1, 16)).view(-1), tensors.get("fold.output_per16.b"));
        });
    }

    @Test
    void residualRotation() {
        Scope.run(() -> {
            Map<String, Tensor> tensors = QuantFixtures.tensors("hadamard.safetensors");
            Tensor signs = wide(tensors.get("R1.signs"));
            int width = (int) signs.numel();
            Tensor rows = ModelRotation.residual(torch.eye(width, Cpu.options(ScalarType.Double)), signs, Hadamard.transform(Place.cpu(ScalarType.Double), width));
            assertClose(rows.narrow(0, 0, 8), tensors.get("R1.Q.rows0_7"));
        });
    }

    private interface Check {
        void run(String name, Map<String, Tensor> tensors);
    }

    private static Stream<DynamicTest> forEach(Predicate<String> names, Check check) {
        return Scope.get(() -> QuantFixtures.tensors("hadamard.safetensors").keySet().stream().filter(names).toList()).stream()
                .map(name -> DynamicTest.dynamicTest(
                        name, () -> Scope.run(() -> check.run(name, QuantFixtures.tensors("hadamard.safetensors")))));
    }

    private static Tensor wide(Tensor tensor) {
        return tensor.to(ScalarType.Double);
    }

    private static void assertClose(Tensor actual, Tensor expected) {
        assertThat(Tensors.shape(actual)).isEqualTo(Tensors.shape(expected));
        assertThat(QuantFixtures.largestDifference(expected, actual)).isLessThan(TOLERANCE);
    }
}
