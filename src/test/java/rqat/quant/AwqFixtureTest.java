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
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
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
import rqat.model.Rotation;
import rqat.model.Sites;
import rqat.model.Weights;
import rqat.run.RandomStream;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import tools.jackson.databind.JsonNode;

/// Both searches and their results against the reference code, for every width and block in the files.
class AwqFixtureTest {
    /// How many limits the search tries: 1 - i / 20 of the largest value.
    private static final int LIMITS = 10;
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
                QuantisedModel quantised = Quantiser.quantise(model, new Awq(spec), windows(ids), _ -> {})) {
            var scaled = new LinkedHashMap<String, Tensor>();
            model.latents().forEach((name, latent) -> scaled.put(name, latent.clone()));
            Weights exact = new Weights(new LinkedHashMap<>(model.latents()));
            List<Tensor> states = states(model.config(), exact, ids);
            AwqSearch.run(model.config(), scaled, exact, windows(ids), spec, Calibration.Listener.NONE, block -> {
                String name = "w%d.layer%d".formatted(bits, block.layer());
                if (!figures.has(name)) return;
                var search = new Search(model.config(), exact, spec, block.layer(), states.get(block.layer()));
                checkScalings(block, search, name, figures.get(name), expected);
                checkScaledInputs(model.config(), name, expected);
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

    private static void checkScalings(AwqSearch.Block block, Search search, String name, JsonNode figures, Map<String, Tensor> expected) {
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
                double reference = losses.get(ratio).asDouble();
                if (Math.abs(scaling.losses()[ratio] - reference) <= 1e-3 * reference) continue;
                search.proveTie(found.get(i), ratio, losses.size(), scaling.losses()[ratio], reference);
            }
            assertThat(scaling.best() / (double) losses.size()).isCloseTo(group.get("best_ratio").asDouble(), within(1e-9));
            assertThat(QuantFixtures.relativeDifference(expected.get(name + ".scale." + first), scaling.scale())).isLessThan(1e-5);
        }
    }

    /// The rows of value take over what the input of output is divided by, which only works where there is a row for each of its columns: where
    /// several query heads share a value, both the reference and we leave that input alone. Everything else is scaled in every model.
    private static void checkScaledInputs(ModelConfig config, String name, Map<String, Tensor> expected) {
        boolean oneShape = config.outputs(Linear.VALUE) == config.outputs(Linear.OUTPUT)
                && config.inputs(Linear.VALUE) == config.inputs(Linear.OUTPUT);
        for (Site input : Site.INPUTS) {
            String key = name + ".scale." + shortName(input.readers().getFirst(), 0);
            assertThat(expected.containsKey(key)).as(key).isEqualTo(input != Site.ATTENTION_OUTPUT || oneShape);
        }
    }

    /// The clip search and its results for the reference's own scales: the zero point of a group that is clipped at both ends is a tie, which
    /// the last bit of a scale decides, so our own scales, which differ by rounding, give other limits in a few groups, each a proven tie.
    private static void checkLimits(
            AwqSearch.Block block, Weights exact, GridSpec spec, String name, JsonNode figures, Map<String, Tensor> expected) {
        for (Linear linear : Linear.values()) {
            String map = shortName(linear, block.layer());
            Tensor weight = exact.get(linear.weight(block.layer())).mul(scaleOf(linear, name, expected));
            // What comes before a scaled input without a norm is a map, whose rows are divided.
            if (linear == Linear.VALUE) weight = weight.div(scaleOf(Linear.OUTPUT, name, expected).unsqueeze(1));
            if (linear == Linear.UP) weight = weight.div(scaleOf(Linear.DOWN, name, expected).unsqueeze(1));
            Tensor reference = expected.get(name + ".clip_max." + map);
            assertThat(block.limits().containsKey(linear)).isEqualTo(reference != null);
            if (reference != null) {
                Tensor unclipped = weight;
                Tensor full = weight.view(weight.size(0), reference.size(1), -1).abs().amax(new long[] {-1}, false);
                Tensor limits = AwqSearch.limits(spec, unclipped, block.inputs().get(inputOf(linear)));
                long different = Tensors.longs(limits.div(full).sub(reference.div(full)).abs().gt(new Scalar(1e-3)).sum())[0];
                assertThat(different).as(map).isLessThanOrEqualTo(figures.get("clip").get(map).get("near_ties_below_1e-4").asLong());
                Tensor bound = reference.unsqueeze(-1);
                weight = weight.view(weight.size(0), reference.size(1), -1)
                        .minimum(bound)
                        .maximum(bound.neg())
                        .view(Tensors.shape(weight));
                checkClippedElsewhere(spec, unclipped, block.inputs().get(inputOf(linear)), block.limits().get(linear), reference);
            }
            checkResult(Grid.fit(spec, weight, ClipSearch.TIGHT).fakeQuantise(weight), name, map, figures, expected);
        }
    }

    /// Where two searches with almost the same scales chose different limits, either may be the best: with every step of the grid a millionth
    /// longer, shorter or as it is, whichever suits it, its error is not above what each other limit has when that suits it least.
    ///
    /// @param weight `[R, C]`, scaled
    /// @param inputs `[N, C]`
    private static void checkClippedElsewhere(GridSpec spec, Tensor weight, Tensor inputs, Tensor ours, Tensor reference) {
        long groups = reference.size(1), size = weight.size(1) / groups;
        Tensor elsewhere = ours.sub(reference).abs().gt(reference.mul(new Scalar(1e-3))).view(-1).nonzero().view(-1);
        if (elsewhere.size(0) == 0) return;
        Tensor w = weight.reshape(-1, size).index_select(0, elsewhere).to(ScalarType.Double); // [n, G]
        Tensor x = inputs.to(ScalarType.Double).view(inputs.size(0), groups, size).transpose(0, 1)
                .index_select(0, elsewhere.remainder(new Scalar(groups))); // [n, N, G]
        Tensor full = w.abs().amax(new long[] {-1}, true);
        var least = new ArrayList<Tensor>();
        var most = new ArrayList<Tensor>();
        for (int step = 0; step < LIMITS; step++) {
            Tensor bound = full.mul(new Scalar(1 - step / 20.0));
            Tensor clipped = w.minimum(bound).maximum(bound.neg());
            var errors = new ArrayList<Tensor>();
            for (double length : new double[] {1 - 1e-6, 1, 1 + 1e-6}) {
                Tensor low = clipped.amin(new long[] {-1}, true), high = clipped.amax(new long[] {-1}, true);
                Tensor scale = high.sub(low).mul(new Scalar(length / spec.maximum()));
                Tensor zero = Tensors.clamp(low.div(scale).round().neg(), spec.minimum(), spec.maximum());
                Tensor codes = Tensors.clamp(clipped.div(scale).round().add(zero), spec.minimum(), spec.maximum());
                Tensor error = codes.sub(zero).mul(scale).sub(w);
                errors.add(x.matmul(error.unsqueeze(-1)).square().sum(new long[] {1, 2}, false, new ScalarTypeOptional()));
            }
            Tensor all = torch.stack(new TensorVector(errors.toArray(Tensor[]::new)), 1);
            least.add(all.amin(new long[] {1}, false));
            most.add(all.amax(new long[] {1}, false));
        }
        Tensor bound = torch.stack(new TensorVector(most.toArray(Tensor[]::new)), 1).amin(new long[] {1}, false);
        Tensor candidates = torch.stack(new TensorVector(least.toArray(Tensor[]::new)), 1);
        for (Tensor limits : List.of(ours, reference)) {
            Tensor steps = full.view(-1).sub(limits.reshape(-1).index_select(0, elsewhere)).div(full.view(-1)).mul(new Scalar(20.0)).round();
            Tensor chosen = candidates.gather(1, steps.to(ScalarType.Long).unsqueeze(1)).view(-1);
            assertThat(Tensors.item(chosen.div(bound).max())).as("error over the best of %d limits elsewhere", steps.size(0)).isLessThanOrEqualTo(1 + 1e-4);
        }
    }

    /// Inputs of every block in full precision, `[sequences, tokens, hidden]`.
    private static List<Tensor> states(ModelConfig config, Weights exact, Tensor ids) {
        return Grad.off(() -> {
            var states = new ArrayList<Tensor>();
            states.add(new Decoder(config, exact).embed(ids.to(ScalarType.Long)));
            for (int layer = 0; layer + 1 < config.layers(); layer++) states.add(block(config, exact, layer, states.getLast()));
            return states;
        });
    }

    /// The search over scales in one block, written out.
    ///
    /// @param state input of the block
    private record Search(ModelConfig config, Weights exact, GridSpec spec, int layer, Tensor state) {
        private static final int DRAWS = 64;
        /// Two units in the last place.
        private static final double ROUNDING = 2.4e-7;

        /// Shows that last bits decide between two losses of one ratio: our own follows from the definition, and the reference's does as well
        /// when the scales are changed by what float32 rounds away, for then a zero point that lies between two numbers falls to the other
        /// side, and the weights of its group with it.
        void proveTie(Site input, int ratio, int ratios, double ours, double reference) {
            Grad.off(() -> Scope.run(() -> {
                Tensor power = magnitudes(input).pow(new Scalar((double) ratio / ratios)).clamp_min(new Scalar(1e-4));
                Tensor scale = power.div(power.max().mul(power.min()).sqrt());
                assertThat(loss(input, scale)).isCloseTo(ours, within(1e-5 * ours));
                var random = new RandomStream(ratio);
                double nearest = Double.POSITIVE_INFINITY;
                for (int draw = 0; draw < DRAWS && nearest > 1e-5; draw++) {
                    var factors = new double[(int) scale.size(0)];
                    for (int i = 0; i < factors.length; i++) factors[i] = 1 + ROUNDING * (2 * random.nextDouble() - 1);
                    double loss = loss(input, scale.to(ScalarType.Double).mul(Cpu.of(factors, factors.length)).to(ScalarType.Float));
                    nearest = Math.min(nearest, Math.abs(loss / reference - 1));
                }
                assertThat(nearest).as("%s, ratio %d of %d: ours %s, reference %s", input, ratio, ratios, ours, reference).isLessThan(1e-5);
            }));
        }

        private Tensor magnitudes(Site input) {
            var seen = new Tensor[1];
            var observed = new Decoder(config, exact, new InputObserver(Sites.NONE, (site, x) -> {
                if (site == input) seen[0] = x.abs().to(ScalarType.Double).mean(new long[] {0, 1}, false, new ScalarTypeOptional()).to(ScalarType.Float);
            }));
            observed.block(layer, state, rotation(), Attention.CAUSAL);
            return seen[0];
        }

        private double loss(Site input, Tensor scale) {
            return Scope.get(() -> {
                var candidate = new LinkedHashMap<>(exact.all());
                for (Linear linear : input.readers()) {
                    Tensor scaled = exact.get(linear.weight(layer)).mul(scale);
                    candidate.put(linear.weight(layer), Grid.fit(spec, scaled, ClipSearch.TIGHT).fakeQuantise(scaled).div(scale));
                }
                Tensor error = output(input, new Weights(candidate)).sub(output(input, exact));
                return Tensors.item(error.to(ScalarType.Double).square().mean());
            });
        }

        /// Of the half of the block that reads `input`.
        private Tensor output(Site input, Weights weights) {
            var decoder = new Decoder(config, weights);
            if (input == Site.ATTENTION_INPUT || input == Site.ATTENTION_OUTPUT) return decoder.attention(layer, state, rotation(), Attention.CAUSAL);
            Tensor attended = state.add(new Decoder(config, exact).attention(layer, state, rotation(), Attention.CAUSAL));
            return decoder.mlp(layer, attended);
        }

        private Rotation rotation() {
            return new Decoder(config, exact).rotation(Cpu.range(0, state.size(1)).unsqueeze(0));
        }
    }

    /// What the input of `linear` was divided by; 1 where it was not ([#checkScaledInputs]).
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
