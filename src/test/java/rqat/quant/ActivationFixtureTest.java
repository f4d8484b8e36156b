package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import rqat.format.ActivationSpec;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Activations as the reference's run-time quantiser rounds them, and its gradients with learned clipping.
class ActivationFixtureTest {
    private static final String FILE = "activations.safetensors";
    private static final Pattern SETTING = Pattern.compile("a(\\d+)\\.(sym|asym)\\.clip([\\d.]+)\\.(token|g(\\d+))");

    @TestFactory
    Stream<DynamicTest> everyCase() {
        return Scope.get(() -> QuantFixtures.tensors(FILE).keySet().stream()
                .filter(key -> SETTING.matcher(key.replaceFirst("\\.out$", "")).matches())
                .map(key -> key.substring(0, key.length() - ".out".length()))
                .toList())
                .stream()
                .map(name -> DynamicTest.dynamicTest(name, () -> Scope.run(() -> check(name, QuantFixtures.tensors(FILE)))));
    }

    private static void check(String name, Map<String, Tensor> expected) {
        Matcher setting = SETTING.matcher(name);
        assertThat(setting.matches()).isTrue();
        var spec = new ActivationSpec(
                Integer.parseInt(setting.group(1)), setting.group(2).equals("sym"), Double.parseDouble(setting.group(3)));
        Tensor x = expected.get("x");
        int groups = setting.group(5) == null ? 1 : (int) x.size(1) / Integer.parseInt(setting.group(5));
        var quantiser = new ActivationQuantiser(spec, groups, null, null);
        assertThat(QuantFixtures.largestDifference(quantiser.apply(x), expected.get(name + ".out"))).isLessThan(1e-5);
        // Under gradients the value is the same to the last bit.
        Tensor recorded = Grad.on(() -> quantiser.apply(x.detach().requires_grad_(true)));
        assertThat(recorded.requires_grad()).isTrue();
        assertThat(recorded.equal(quantiser.apply(x))).isTrue();
        // A row alone is what it is among others.
        for (long row = 0; row < x.size(0); row++) {
            assertThat(quantiser.apply(x.narrow(0, row, 1)).equal(quantiser.apply(x).narrow(0, row, 1))).isTrue();
        }
    }

    @Test
    void learnedClipping() {
        Scope.run(() -> {
            Map<String, Tensor> expected = QuantFixtures.tensors(FILE);
            Tensor x = expected.get("x").requires_grad_(true);
            Tensor high = expected.get("lac.clip_max").requires_grad_(true);
            Tensor low = expected.get("lac.clip_min").requires_grad_(true);
            var quantiser = new ActivationQuantiser(new ActivationSpec(4, false, 1), 1, high, low);
            Tensor out = Grad.on(() -> quantiser.apply(x));
            assertThat(QuantFixtures.largestDifference(out, expected.get("lac.out"))).isLessThan(1e-5);

            out.backward(expected.get("lac.grad_out"), new BoolOptional(), false, new TensorArrayRefOptional());
            assertThat(QuantFixtures.largestDifference(x.grad(), expected.get("lac.grad_x"))).isLessThan(1e-5);
            assertThat(QuantFixtures.relativeDifference(expected.get("lac.grad_clip_max"), high.grad())).isLessThan(1e-3);
            assertThat(QuantFixtures.relativeDifference(expected.get("lac.grad_clip_min"), low.grad())).isLessThan(1e-3);
        });
    }

    /// The scale stores what the reference does: one number per token, from which all values of the token follow.
    @Test
    void scalesFollowFromTheRange() {
        Scope.run(() -> {
            Map<String, Tensor> expected = QuantFixtures.tensors(FILE);
            Tensor x = expected.get("x");
            expected.keySet().stream().filter(key -> key.matches("a\\d+\\.asym\\.clip1\\.0\\.token\\.scale")).forEach(key -> {
                int bits = Integer.parseInt(key.substring(1, key.indexOf('.')));
                Tensor out = new ActivationQuantiser(new ActivationSpec(bits, false, 1), 1, null, null).apply(x);
                // Every result is a whole number of the reference's scales.
                Tensor steps = out.div(expected.get(key));
                assertThat(Tensors.item(steps.sub(steps.round()).abs().max())).isLessThan(1e-3);
                assertThat(Tensors.item(out.select(0, 2).abs().max().add(new Scalar(0.0)))).isZero();
            });
        });
    }
}
