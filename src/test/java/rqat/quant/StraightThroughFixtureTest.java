package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleType;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Outputs and gradients of the fake quantiser against those that automatic differentiation of the reference gives.
class StraightThroughFixtureTest {

    @TestFactory
    Stream<DynamicTest> everyCase() {
        return Scope.get(() -> QuantFixtures.tensors("ste.safetensors").keySet().stream()
                .filter(key -> key.endsWith(".out"))
                .map(key -> key.substring(0, key.length() - ".out".length()))
                .map(name -> DynamicTest.dynamicTest(name, () -> Scope.run(() -> {
                    Map<String, Tensor> expected = QuantFixtures.tensors("ste.safetensors");
                    if (name.startsWith("static.")) checkStatic(name, expected);
                    else checkDynamic(name, expected);
                })))
                .toList()
                .stream());
    }

    private static void checkStatic(String name, Map<String, Tensor> expected) {
        Tensor weight = expected.get(name + ".w");
        Tensor scale = expected.get(name + ".scale");
        Tensor gradient = expected.get("grad_out");
        GridSpec format = QuantFixtures.spec(name.substring("static.".length()));
        GridSpec spec = new GridSpec(
                format.bits(), (int) (weight.size(1) / scale.size(1)), format.symmetric(), ScaleType.FLOAT32);
        Grid grid = new Grid(spec, scale, expected.get(name + ".zero"));

        assertThat(QuantFixtures.largestDifference(grid.fakeQuantise(weight), expected.get(name + ".out"))).isLessThan(1e-6);
        Tensor mask = grid.mask(weight, MaskRule.HALF_STEP);
        assertThat(QuantFixtures.largestDifference(gradient.mul(mask), expected.get(name + ".grad_w"))).isLessThan(1e-6);
        assertThat(QuantFixtures.relativeDifference(expected.get(name + ".grad_scale"), grid.scaleGradient(weight, gradient)))
                .isLessThan(1e-5);
    }

    /// A scale that follows from the weights inside the graph sends its gradient to the ends of each row's range.
    private static void checkDynamic(String name, Map<String, Tensor> expected) {
        Tensor weight = expected.get("w");
        Tensor gradient = expected.get("grad_out");
        GridSpec spec = QuantFixtures.spec(name.substring("dynamic.".length()));
        Grid grid = Grid.fit(spec, weight, ClipSearch.NONE);
        assertThat(QuantFixtures.largestDifference(grid.fakeQuantise(weight), expected.get(name + ".out"))).isLessThan(1e-6);

        Tensor atEnds = grid.scaleGradient(weight, gradient).div(new Scalar(spec.maximum()));
        Tensor highest = weight.eq(weight.amax(new long[] {1}, true));
        Tensor lowest = weight.eq(weight.amin(new long[] {1}, true));
        Tensor slope;
        if (spec.symmetric()) {
            Tensor largest = weight.abs().eq(weight.abs().amax(new long[] {1}, true));
            slope = weight.sign().mul(largest);
        } else {
            slope = highest.to(weight.scalar_type()).sub(lowest.to(weight.scalar_type()));
        }
        Tensor actual = gradient.mul(grid.mask(weight, MaskRule.HALF_STEP)).add(slope.mul(atEnds));
        Tensor reference = expected.get(name + ".grad_w");
        Tensor difference = torch.where(slope.ne(new Scalar(0.0)), actual.sub(reference).div(reference), actual.sub(reference))
                .abs();
        assertThat(Tensors.item(difference.max())).isCloseTo(0, within(1e-4));
        assertThat(Tensors.item(difference.mul(slope.eq(new Scalar(0.0))).max())).isLessThan(1e-6);
    }
}
