package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import tools.jackson.databind.JsonNode;

/// The solver against the reference solver, over every run in the files.
class GptqFixtureTest {

    @TestFactory
    Stream<DynamicTest> everyRun() {
        return QuantFixtures.json("gptq.json").propertyStream()
                .filter(entry -> entry.getValue().has("sha256_dequantised_f32le"))
                .map(entry -> DynamicTest.dynamicTest(
                        entry.getKey(), () -> Scope.run(() -> check(entry.getKey(), entry.getValue()))));
    }

    private static Tensor hessian(Tensor calibration, long sequences) {
        try (Hessian hessian = new Hessian(Place.cpu(ScalarType.Float), calibration.size(1))) {
            hessian.add(calibration.view(sequences, -1, calibration.size(1)));
            return hessian.mean();
        }
    }

    private static void check(String name, JsonNode run) {
        Map<String, Tensor> expected = QuantFixtures.tensors("gptq.safetensors");
        Map<String, Tensor> inputs = QuantFixtures.tensors("inputs.safetensors");
        String matrix = run.get("matrix").asString();
        Tensor weight = inputs.get(matrix + ".weight").to(ScalarType.Float);
        Tensor calibration = inputs.get(matrix + ".calib");
        GridSpec spec = new GridSpec(
                run.get("bits").asInt(), Math.max(0, run.get("groupsize").asInt()), run.get("sym").asBoolean(), ScaleType.FLOAT32);
        Gptq options = new Gptq(
                spec,
                run.get("mse_search").asBoolean() ? ClipSearch.MSE : ClipSearch.NONE,
                run.get("act_order").asBoolean(),
                run.get("static_groups").asBoolean(),
                run.get("percdamp").asDouble());

        Gptq.Solution solution =
                options.solve(name, weight, hessian(calibration, run.get("sequences").asLong()));

        // The zero point of an all-zero group may differ by one; the weights there are 0 either way.
        Set<Integer> zeroGroups = allZeroGroups(weight, spec);
        float[] scale = Tensors.floats(solution.grid().scale());
        float[] referenceScale = Tensors.floats(expected.get(name + ".scale"));
        boolean exact = options.staticGroups() || spec.groupSize() == 0;
        // A dynamic group's range is that of weights already compensated, in which the reference's float32 differs from its own float64 too.
        for (int i = 0; i < scale.length; i++) {
            assertThat(scale[i]).isCloseTo(referenceScale[i], within(exact ? 0 : 1e-5f * referenceScale[i]));
        }
        if (expected.containsKey(name + ".zero")) {
            long[] zero = Tensors.longs(solution.grid().zero());
            long[] reference = Tensors.longs(expected.get(name + ".zero"));
            for (int i = 0; i < zero.length; i++) {
                assertThat(zero[i]).isCloseTo(reference[i], within(zeroGroups.contains(i) ? 1L : 0L));
            }
        }
        if (expected.containsKey(name + ".codes")) {
            long[] codes = Tensors.longs(solution.codes());
            long[] reference = Tensors.longs(expected.get(name + ".codes"));
            long group = spec.groupColumns(weight.size(1));
            for (int i = 0; i < codes.length; i++) {
                if (!zeroGroups.contains((int) (i / group))) assertThat(codes[i]).as("code %d", i).isEqualTo(reference[i]);
            }
        }
        if (exact) {
            assertThat(QuantFixtures.sha256OfFloats(solution.quantised()))
                    .isEqualTo(run.get("sha256_dequantised_f32le").asString());
        }
        if (expected.containsKey(name + ".wtilde")) {
            assertThat(QuantFixtures.largestDifference(solution.latent(), expected.get(name + ".wtilde"))).isLessThan(1e-5);
        }
        assertThat(solution.grid().codes(solution.latent()).equal(solution.codes())).isTrue();
        assertThat(solution.grid().fakeQuantise(solution.latent()).equal(solution.quantised())).isTrue();

        Tensor tokens = calibration.to(ScalarType.Double);
        Tensor wide = weight.to(ScalarType.Double);
        double output = Tensors.item(tokens.matmul(wide.t()).square().sum());
        double error = Tensors.item(
                tokens.matmul(wide.sub(solution.quantised().to(ScalarType.Double)).t()).square().sum());
        assertThat(error / output).isLessThanOrEqualTo(run.get("rel_output_err_gptq").asDouble() * (1 + 1e-5));
        assertThat(error / output).isCloseTo(run.get("rel_output_err_gptq").asDouble(), within(1e-7));
        double latentError = Tensors.item(
                tokens.matmul(wide.sub(solution.latent().to(ScalarType.Double)).t()).square().sum());
        assertThat(latentError / output).isCloseTo(run.get("rel_output_err_of_wtilde_unquantised").asDouble(), within(1e-5));
    }

    private static Set<Integer> allZeroGroups(Tensor weight, GridSpec spec) {
        float[] values = Tensors.floats(weight);
        int group = (int) spec.groupColumns(weight.size(1));
        Set<Integer> result = new HashSet<>();
        for (int first = 0; first < values.length; first += group) {
            boolean zero = true;
            for (int i = first; i < first + group; i++) zero &= values[i] == 0;
            if (zero) result.add(first / group);
        }
        return result;
    }

    @Test
    void hessians() {
        Scope.run(() -> {
            Map<String, Tensor> expected = QuantFixtures.tensors("gptq.safetensors");
            Map<String, Tensor> inputs = QuantFixtures.tensors("inputs.safetensors");
            JsonNode shapes = QuantFixtures.json("inputs.json").get("shapes");
            for (String matrix : shapes.propertyNames()) {
                Tensor hessian =
                        hessian(inputs.get(matrix + ".calib"), shapes.get(matrix).get("sequences").asLong());
                assertThat(QuantFixtures.relativeDifference(expected.get(matrix + ".hessian_diag"), hessian.diagonal()))
                        .isLessThan(1e-6);
                assertThat(QuantFixtures.relativeDifference(expected.get(matrix + ".hessian_row0_to_3"), hessian.narrow(0, 0, 4)))
                        .isLessThan(1e-6);
            }
        });
    }
}
