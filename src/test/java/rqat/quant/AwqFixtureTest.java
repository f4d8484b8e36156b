package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.Fixtures;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.format.Site;
import rqat.model.Attention;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import tools.jackson.databind.JsonNode;

/// Both searches and their results against the reference code, for every width and block in the files.
class AwqFixtureTest {
    private static final Pattern BLOCK = Pattern.compile("w(\\d+)\\.layer(\\d+)");

    @TestFactory
    Stream<DynamicTest> everyWidth() {
        JsonNode figures = QuantFixtures.json("awq.json");
        return figures.propertyNames().stream()
                .map(BLOCK::matcher)
                .filter(matcher -> matcher.matches())
                .map(matcher -> Integer.parseInt(matcher.group(1)))
                .distinct()
                .map(bits -> DynamicTest.dynamicTest("w" + bits, () -> Scope.run(() -> check(bits, figures))));
    }

    private static void check(int bits, JsonNode figures) {
        Path source = Fixtures.path("quant").resolve(figures.get("model").asString());
        Map<String, Tensor> expected = QuantFixtures.tensors("awq.safetensors");
        Tensor ids = expected.get("input_ids");
        GridSpec spec = new GridSpec(bits, figures.get("group_size").asInt(), false, ScaleType.FLOAT32);
        try (QuantisedModel model = ModelDirectory.load(source);
                QuantisedModel quantised = Quantiser.quantise(model, new Method.Awq(spec), windows(ids), _ -> {})) {
            var scaled = new LinkedHashMap<String, Tensor>();
            model.latents().forEach((name, latent) -> scaled.put(name, latent.clone()));
            Weights exact = new Weights(new LinkedHashMap<>(model.latents()));
            AwqSearch.run(model.config(), scaled, exact, windows(ids), spec, Calibration.Listener.NONE, block -> {
                String name = "w%d.layer%d".formatted(bits, block.layer());
                if (!figures.has(name)) return;
                checkScalings(block, name, figures.get(name), expected);
                checkLimits(block, exact, spec, name, figures.get(name), expected);
                checkSmooth(quantised, block.layer(), name, expected);
            });
            checkOutputs(bits, model, quantised, ids, figures);
        }
    }

    private static int[][] windows(Tensor ids) {
        int length = (int) ids.size(1);
        int[] flat = Arrays.stream(Tensors.longs(ids)).mapToInt(Math::toIntExact).toArray();
        int[][] windows = new int[(int) ids.size(0)][];
        for (int i = 0; i < windows.length; i++) windows[i] = Arrays.copyOfRange(flat, i * length, (i + 1) * length);
        return windows;
    }

    private static void checkScalings(AwqSearch.Block block, String name, JsonNode figures, Map<String, Tensor> expected) {
        List<Site> found = new ArrayList<>(block.scalings().keySet());
        assertThat(found).hasSize(figures.get("groups").size());
        for (int i = 0; i < found.size(); i++) {
            JsonNode group = figures.get("groups").get(i);
            String first = group.get("linears").get(0).asString();
            assertThat(found.get(i).readers().getFirst().weight(block.layer())).endsWith("." + first + ".weight");
            AwqSearch.Scaling scaling = block.scalings().get(found.get(i));
            JsonNode losses = group.get("losses_for_ratio_0_to_0.95");
            assertThat(scaling.losses()).hasSize(losses.size());
            for (int ratio = 0; ratio < losses.size(); ratio++) {
                assertThat(scaling.losses()[ratio]).isCloseTo(losses.get(ratio).asDouble(), within(1e-3 * losses.get(ratio).asDouble()));
            }
            assertThat(scaling.best() / (double) losses.size()).isCloseTo(group.get("best_ratio").asDouble(), within(1e-9));
            assertThat(QuantFixtures.relativeDifference(expected.get(name + ".scale." + first), scaling.scale())).isLessThan(1e-5);
        }
    }

    /// The clip search and its results for the reference's own scales: the zero point of a group that is clipped at both ends is a tie, which
    /// the last bit of a scale decides, so scales that differ by rounding give other results in a few groups.
    private static void checkLimits(
            AwqSearch.Block block, Weights exact, GridSpec spec, String name, JsonNode figures, Map<String, Tensor> expected) {
        for (Linear linear : Linear.values()) {
            String map = shortName(linear, block.layer());
            Tensor weight = exact.get(linear.weight(block.layer())).mul(scaleOf(linear, name, expected));
            if (linear == Linear.UP) weight = weight.div(scaleOf(Linear.DOWN, name, expected).unsqueeze(1));
            Tensor reference = expected.get(name + ".clip_max." + map);
            assertThat(block.limits().containsKey(linear)).isEqualTo(reference != null);
            if (reference != null) {
                Tensor full = weight.view(weight.size(0), reference.size(1), -1).abs().amax(new long[] {-1}, false);
                Tensor limits = AwqSearch.limits(spec, weight, block.inputs().get(inputOf(linear)));
                long different = Tensors.longs(limits.div(full).sub(reference.div(full)).abs().gt(new Scalar(1e-3)).sum())[0];
                assertThat(different).as(map).isLessThanOrEqualTo(figures.get("clip").get(map).get("near_ties_below_1e-4").asLong());
                Tensor bound = reference.unsqueeze(-1);
                weight = weight.view(weight.size(0), reference.size(1), -1)
                        .minimum(bound)
                        .maximum(bound.neg())
                        .view(Tensors.shape(weight));
                long elsewhere = Tensors.longs(block.limits().get(linear).sub(reference).abs().gt(reference.mul(new Scalar(1e-3))).sum())[0];
                assertThat(elsewhere / (double) reference.numel()).as("share of groups clipped elsewhere").isLessThan(0.1);
            }
            checkResult(Grid.fit(spec, weight, ClipSearch.TIGHT).fakeQuantise(weight), name, map, figures, expected);
        }
    }

    private static Tensor scaleOf(Linear linear, String name, Map<String, Tensor> expected) {
        Tensor scale = expected.get(name + ".scale." + shortName(inputOf(linear).readers().getFirst(), 0));
        return scale == null ? Cpu.full(ScalarType.Float, 1, 1) : scale;
    }

    private static Site inputOf(Linear linear) {
        return Site.INPUTS.stream().filter(input -> input.readers().contains(linear)).findFirst().orElseThrow();
    }

    private static String shortName(Linear linear, int layer) {
        return linear.weight(layer).replaceFirst("model\\.layers\\.\\d+\\.", "").replaceFirst("\\.weight$", "");
    }

    private static void checkResult(Tensor weight, String name, String map, JsonNode figures, Map<String, Tensor> expected) {
        String key = name + ".final." + map;
        if (expected.containsKey(key)) assertThat(QuantFixtures.largestDifference(weight, expected.get(key))).isLessThan(1e-5);
        Tensor rows = expected.get(key + ".rows0_3");
        if (rows != null) assertThat(QuantFixtures.largestDifference(weight.narrow(0, 0, 4), rows)).isLessThan(1e-5);
        JsonNode norms = figures.get("final_weight").get(map);
        Tensor wide = weight.to(ScalarType.Double);
        assertThat(Tensors.item(wide.norm())).isCloseTo(norms.get("l2").asDouble(), within(1e-5 * norms.get("l2").asDouble()));
        assertThat(Tensors.item(wide.sum())).isCloseTo(norms.get("sum").asDouble(), within(1e-4));
    }

    /// What nothing is rounded in: norms and biases.
    private static void checkSmooth(QuantisedModel quantised, int layer, String name, Map<String, Tensor> expected) {
        for (Linear linear : Linear.values()) {
            Tensor bias = expected.get(name + ".final_bias." + shortName(linear, layer));
            if (bias != null) assertThat(QuantFixtures.largestDifference(quantised.latents().get(linear.bias(layer)), bias)).isLessThan(1e-5);
        }
        for (String norm : List.of(ModelConfig.attentionNorm(layer), ModelConfig.mlpNorm(layer))) {
            String key = name + ".final." + norm.replaceFirst("model\\.layers\\.\\d+\\.", "").replaceFirst("\\.weight$", "");
            assertThat(QuantFixtures.relativeDifference(expected.get(key), quantised.latents().get(norm))).isLessThan(1e-5);
        }
    }

    /// The error of each block on the inputs of the full-precision model, relative to what the block adds to them, and that of the reference's
    /// round to nearest with the same quantiser.
    private static void checkOutputs(int bits, QuantisedModel model, QuantisedModel quantised, Tensor ids, JsonNode figures) {
        Grad.off(() -> Scope.run(() -> {
            Weights exact = model.weights(ScalarType.Float), served = quantised.weights(ScalarType.Float);
            var nearest = new LinkedHashMap<>(exact.all());
            GridSpec spec = quantised.method().grid();
            quantised.grids().keySet().forEach(name -> nearest.put(name, Grid.fit(spec, exact.get(name), ClipSearch.TIGHT).fakeQuantise(exact.get(name))));
            Tensor state = new Decoder(model.config(), exact).embed(ids.to(ScalarType.Long));
            for (int layer = 0; figures.has("w%d.layer%d".formatted(bits, layer)); layer++) {
                JsonNode errors = figures.get("w%d.layer%d".formatted(bits, layer)).get("block_output_rel_mse");
                Tensor output = block(model.config(), exact, layer, state), added = output.sub(state);
                assertThat(relative(block(model.config(), served, layer, state).sub(output), added))
                        .isCloseTo(errors.get("awq").asDouble(), withinPercentage(2));
                assertThat(relative(block(model.config(), new Weights(nearest), layer, state).sub(output), added))
                        .isCloseTo(errors.get("rtn_same_quantiser").asDouble(), withinPercentage(0.1));
                state = output;
            }
            served.all().values().forEach(Tensor::close);
            exact.all().values().forEach(Tensor::close);
        }));
    }

    private static Tensor block(ModelConfig config, Weights weights, int layer, Tensor state) {
        Decoder decoder = new Decoder(config, weights);
        return decoder.block(layer, state, decoder.rotation(Cpu.range(0, state.size(1)).unsqueeze(0)), Attention.CAUSAL);
    }

    private static double relative(Tensor error, Tensor size) {
        return Tensors.item(error.square().sum()) / Tensors.item(size.square().sum());
    }
}
