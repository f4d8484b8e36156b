package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.format.GridSpec;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import tools.jackson.databind.JsonNode;

/// Round-to-nearest grids against the reference quantiser, over every setting in the files.
class GridFixtureTest {

    @TestFactory
    Stream<DynamicTest> everySetting() {
        JsonNode figures = QuantFixtures.json("rtn.json");
        return figures.propertyStream().filter(entry -> entry.getValue().has("sha256_codes_int8"))
                .map(entry -> DynamicTest.dynamicTest(
                        entry.getKey(), () -> Scope.run(() -> check(entry.getKey(), entry.getValue()))));
    }

    private static void check(String name, JsonNode figures) {
        Map<String, Tensor> expected = QuantFixtures.tensors("rtn.safetensors");
        Map<String, Tensor> inputs = QuantFixtures.tensors("inputs.safetensors");
        String matrix = name.substring(0, name.indexOf('.'));
        Tensor weight = inputs.get(matrix + ".weight").to(ScalarType.Float);
        Tensor calibration = inputs.get(matrix + ".calib").to(ScalarType.Double);
        String setting = name.substring(matrix.length() + 1);
        GridSpec spec = QuantFixtures.spec(setting);
        ClipSearch search = setting.contains(".mse.") ? ClipSearch.MSE : ClipSearch.NONE;

        Grid grid = Grid.fit(spec, weight, search);
        Tensor codes = grid.codes(weight);
        Tensor dequantised = grid.dequantise(codes);

        Set<Long> ties = new HashSet<>();
        figures.path("groups_with_near_tie").forEach(group -> ties.add(group.asLong()));
        boolean tieTakenOtherwise = compareScales(grid, expected.get(name + ".scale"), ties);
        if (expected.containsKey(name + ".shrink_index")) {
            float[] full = Tensors.floats(Grid.fit(spec, weight, ClipSearch.NONE).scale());
            float[] scale = Tensors.floats(grid.scale());
            long[] index = Tensors.longs(expected.get(name + ".shrink_index"));
            for (int i = 0; i < index.length; i++) {
                if (!ties.contains((long) i)) assertThat(scale[i] / full[i]).isCloseTo(1 - index[i] / 100f, within(2e-6f));
            }
        }
        if (!tieTakenOtherwise) {
            if (expected.containsKey(name + ".zero")) {
                assertThat(Tensors.longs(grid.zero())).isEqualTo(Tensors.longs(expected.get(name + ".zero")));
            }
            if (expected.containsKey(name + ".codes")) {
                assertThat(codes.equal(expected.get(name + ".codes"))).isTrue();
            }
            assertThat(QuantFixtures.sha256OfInt8(codes)).isEqualTo(figures.get("sha256_codes_int8").asString());
            assertThat(QuantFixtures.sha256OfFloats(dequantised))
                    .isEqualTo(figures.get("sha256_dequantised_f32le").asString());
        }
        assertThat(dequantised.equal(grid.fakeQuantise(weight))).isTrue();

        assertThat(QuantFixtures.relativeDifference(weight, dequantised))
                .isCloseTo(figures.get("rel_frobenius_err").asDouble(), within(1e-5));
        Tensor error = weight.to(ScalarType.Double).sub(dequantised.to(ScalarType.Double));
        assertThat(Tensors.item(error.abs().pow(new Scalar(2.4)).sum()))
                .isCloseTo(figures.get("sum_abs_err_pow_2.4").asDouble(), within(1e-5));
        Tensor output = calibration.matmul(weight.to(ScalarType.Double).t());
        double outputError = Tensors.item(calibration.matmul(error.t()).square().sum()) / Tensors.item(output.square().sum());
        assertThat(outputError).isCloseTo(figures.get("rel_output_err").asDouble(), within(1e-5));
    }

    /// Bit for bit outside near ties. Returns whether a near tie went the other way.
    private static boolean compareScales(Grid grid, Tensor expected, Set<Long> ties) {
        float[] actual = Tensors.floats(grid.scale());
        float[] reference = Tensors.floats(expected);
        assertThat(actual).hasSameSizeAs(reference);
        boolean otherwise = false;
        for (int i = 0; i < actual.length; i++) {
            if (ties.contains((long) i)) {
                otherwise |= actual[i] != reference[i];
            } else {
                assertThat(actual[i]).as("scale of group %d", i).isEqualTo(reference[i]);
            }
        }
        return otherwise;
    }
}
