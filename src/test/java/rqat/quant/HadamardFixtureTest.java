package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.tensor.Scope;

/// The matrices against the reference's tables.
class HadamardFixtureTest {
    @TestFactory
    Stream<DynamicTest> everyTable() {
        return Scope.get(() -> QuantFixtures.tensors("hadamard.safetensors").keySet().stream()
                .filter(name -> name.matches("H\\d+"))
                .map(name -> DynamicTest.dynamicTest(name, () -> Scope.run(() -> {
                    Tensor expected = QuantFixtures.tensors("hadamard.safetensors").get(name);
                    Tensor matrix = Hadamard.matrix(Integer.parseInt(name.substring(1)));
                    assertThat(matrix.to(ScalarType.Char).equal(expected)).isTrue();
                }))));
    }
}
