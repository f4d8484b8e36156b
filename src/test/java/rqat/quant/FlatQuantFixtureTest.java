package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import rqat.Fixtures;
import rqat.format.GridSpec;
import rqat.model.Attention;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.run.RandomStream;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// One block against the reference's: outputs in all forms, gradients of every parameter, re-parameterised weights, the calibration loop.
class FlatQuantFixtureTest {
    private static final String FILE = "flatquant.safetensors";

    /// The parts of the reference's parameter names and ours.
    private static final Map<String, String> SITES = Map.of(
            "self_attn.ln_trans", "attention_input",
            "mlp.up_gate_trans", "mlp_input",
            "mlp.down_trans", "mlp_hidden",
            "self_attn.o_trans", "attention_output",
            "self_attn.vcache_trans", "values",
            "self_attn.kcache_trans", "keys");
    private static final Map<String, String> QUANTISERS = Map.of(
            "self_attn.q_proj.act_quantizer", "attention_input",
            "mlp.up_gate_quant", "mlp_input",
            "self_attn.o_proj.act_quantizer", "attention_output",
            "mlp.down_proj.act_quantizer", "mlp_hidden",
            "self_attn.k_cache_quantizer", "keys",
            "self_attn.v_cache_quantizer", "values");

    /// The reference's tensors whose name begins with `prefix`, under our names and in our shapes; shards stacked.
    private static Map<String, Tensor> ours(Map<String, Tensor> fixture, String prefix) {
        var parts = new LinkedHashMap<String, List<Tensor>>();
        fixture.forEach((key, tensor) -> {
            if (!key.startsWith(prefix)) return;
            String name = name(key.substring(prefix.length()));
            if (name != null) parts.computeIfAbsent(name, _ -> new ArrayList<>()).add(tensor);
        });
        var result = new LinkedHashMap<String, Tensor>();
        parts.forEach((name, list) -> {
            if (name.contains(".weight.")) result.put(name, list.getFirst().squeeze(-1).contiguous());
            else if (list.size() == 1) result.put(name, list.getFirst().contiguous());
            else if (list.getFirst().dim() == 1) result.put(name, Tensors.cat(list, 0));
            else result.put(name, torch.stack(new TensorVector(list.toArray(Tensor[]::new)), 0));
        });
        return result;
    }

    private static String name(String reference) {
        String block = "model.layers.0.";
        String suffix = reference.endsWith("_max") ? "clip_high" : "clip_low";
        int weight = reference.indexOf(".clip_factor_w_");
        if (weight >= 0) return block + reference.substring(0, weight) + ".weight." + suffix;
        int activation = reference.indexOf(".clip_factor_a_");
        if (activation >= 0) return block + QUANTISERS.get(reference.substring(0, activation)) + "." + suffix;
        String[] words = reference.split("\\.");
        String site = words.length < 3 ? null : SITES.get(words[0] + "." + words[1]);
        if (site == null) return null;
        String part = switch (words[words.length - 1]) {
            case "L" -> "left";
            case "R" -> "right";
            case "diag_scale" -> "scale";
            default -> site.equals("attention_output") ? "left" : "right";
        };
        return block + site + "." + part;
    }

    private static FlatQuantCalibration block(QuantisedModel model, int shards) {
        return FlatQuant.paper(4, shards).calibration(FlatQuant.paper(4, shards).transforms(model.config()), model.latents());
    }

    /// Inputs `[B, T, hidden]` as calibration takes them.
    private static PackedBatch batch(Tensor x) {
        int[] lengths = new int[(int) x.size(0)];
        java.util.Arrays.fill(lengths, (int) x.size(1));
        return new PackedBatch(x.view(1, -1, x.size(2)), lengths);
    }

    private static QuantisedModel model() {
        return ModelDirectory.load(Fixtures.path("models").resolve("qwen2"));
    }

    private static Tensor run(ModelConfig config, Map<String, Tensor> weights, ActivationSites sites, Tensor x) {
        var decoder = sites == null
                ? new Decoder(config, new Weights(new LinkedHashMap<>(weights)))
                : new Decoder(config, new Weights(new LinkedHashMap<>(weights)), sites);
        return decoder.block(0, x, decoder.rotation(Cpu.range(0, x.size(1)).unsqueeze(0)), Attention.CAUSAL);
    }

    @TestFactory
    Stream<DynamicTest> outputsAndGradients() {
        Set<String> cases = new TreeSet<>();
        Scope.run(() -> QuantFixtures.tensors(FILE).keySet().forEach(key -> {
            if (key.matches("tp\\d+\\..*")) cases.add(key.substring(0, key.indexOf('.')));
        }));
        assertThat(cases).isNotEmpty();
        return cases.stream().map(name -> DynamicTest.dynamicTest(name, () -> check(name)));
    }

    private static void check(String name) {
        try (QuantisedModel model = model()) {
            Scope.run(() -> {
                Map<String, Tensor> fixture = QuantFixtures.tensors(FILE);
                FlatQuantCalibration block = block(model, Integer.parseInt(name.substring(2)));
                Map<String, Tensor> parameters = ours(fixture, name + ".");
                block.flat().shapes().forEach((parameter, shape) -> {
                    if (parameter.startsWith("model.layers.0.")) assertThat(Tensors.shape(parameters.get(parameter))).as(parameter).isEqualTo(shape);
                });
                Tensor x = fixture.get(name + ".x");
                var latents = new LinkedHashMap<>(model.latents());
                assertClose(fixture.get(name + ".out_fp"), run(model.config(), latents, null, x), 1e-4, "full precision");
                checkReparameterised(fixture, name, block, latents, parameters, x);
                checkGradients(fixture, name, block, latents, parameters, x);
            });
        }
    }

    private static void checkReparameterised(
            Map<String, Tensor> fixture,
            String name,
            FlatQuantCalibration block,
            Map<String, Tensor> latents,
            Map<String, Tensor> parameters,
            Tensor x) {
        FlatTransforms flat = block.flat();
        var tensors = new LinkedHashMap<>(latents);
        tensors.putAll(parameters);
        Map<String, Tensor> unrounded = flat.unrounded(0, tensors);
        var served = new LinkedHashMap<>(latents);
        served.putAll(unrounded);
        var sites = new ActivationSites(flat.config(), flat.activations(), flat.sites(0, tensors));
        assertClose(fixture.get(name + ".out_clip_only"), run(flat.config(), served, sites.withoutQuantisers(), x), 1e-4, "clipping only");

        // As it is served: codes of the grid, so rounded by the same class that saves and exports.
        for (Linear linear : Linear.values()) {
            GridSpec spec = flat.activations().grid(flat.grid(), flat.config(), linear);
            served.compute(linear.weight(0), (_, weight) -> Grid.fit(spec, weight, ClipSearch.NONE).fakeQuantise(weight));
        }
        assertClose(fixture.get(name + ".out_deployed"), run(flat.config(), served, sites, x), 1e-4, "deployed");
        assertClose(fixture.get(name + ".out_quantised"), block.output(0, parameters, batch(x)).view(Tensors.shape(x)), 1e-4, "training");
        for (Linear linear : Linear.values()) {
            assertThat(flat.rounded(linear, unrounded.get(linear.weight(0))).equal(served.get(linear.weight(0)))).as(linear.name()).isTrue();
        }

        String prefix = name + ".reparam.";
        fixture.forEach((key, expected) -> {
            if (!key.startsWith(prefix)) return;
            String what = key.substring(prefix.length());
            String tensor = "model.layers.0." + what.replaceFirst("\\.W(\\.rows0_3)?$", "") + (what.endsWith("bias") ? "" : ".weight");
            Tensor actual = unrounded.get(tensor);
            assertClose(expected, what.endsWith("rows0_3") ? actual.narrow(0, 0, 4) : actual, 1e-4, key);
        });
    }

    private static void checkGradients(
            Map<String, Tensor> fixture,
            String name,
            FlatQuantCalibration block,
            Map<String, Tensor> latents,
            Map<String, Tensor> parameters,
            Tensor x) {
        var leaves = new LinkedHashMap<String, Tensor>();
        latents.forEach((key, tensor) -> leaves.put(key, tensor.detach().requires_grad_(true)));
        var learned = new LinkedHashMap<String, Tensor>();
        parameters.forEach((key, tensor) -> learned.put(key, tensor.detach().requires_grad_(true)));
        Tensor input = x.detach().requires_grad_(true);
        Tensor out = Grad.on(() -> new FlatQuantCalibration(block.flat(), leaves, block.schedule()).output(0, learned, batch(input)).view(Tensors.shape(x)));
        out.backward(fixture.get(name + ".grad_out"), new BoolOptional(), false, new TensorArrayRefOptional());

        String prefix = name + ".grad.";
        assertClose(fixture.getOrDefault(prefix + "x", input.grad()), input.grad(), 1e-3, "x");
        Map<String, Tensor> expected = ours(fixture, prefix);
        assertThat(expected.size()).isGreaterThan(30);
        expected.forEach((key, gradient) -> assertClose(gradient, learned.get(key).grad(), 1e-3, key));
        // The reference names the other gradients (weights, first rows; norms; biases) by the model's own names.
        int others = 0;
        for (var entry : fixture.entrySet()) {
            String key = entry.getKey();
            if (!key.startsWith(prefix) || !(key.endsWith(".bias") || key.endsWith("layernorm.weight") || key.contains(".W"))) continue;
            String what = key.substring(prefix.length());
            Tensor actual = leaves.get("model.layers.0." + what.replaceFirst("\\.W(\\.rows0_1)?$", ".weight")).grad();
            assertClose(entry.getValue(), what.endsWith("rows0_1") ? actual.narrow(0, 0, 2) : actual, 1e-3, key);
            others++;
        }
        assertThat(others).isGreaterThan(1);
    }

    /// Grouped-query attention, head dimensions that are not hidden / heads, biases, query and key norms.
    @TestFactory
    Stream<DynamicTest> transformsCancel() throws java.io.IOException {
        try (var paths = java.nio.file.Files.list(Fixtures.path("models"))) {
            return paths.filter(path -> java.nio.file.Files.exists(path.resolve("config.json"))).sorted().toList().stream()
                    .flatMap(path -> Stream.of(1, 2).map(shards -> DynamicTest.dynamicTest(path.getFileName() + ", shards " + shards, () -> {
                        try (QuantisedModel model = ModelDirectory.load(path)) {
                            FlatQuantEquivalence.check(model, shards);
                        }
                    })));
        }
    }

    @Test
    void calibration() {
        try (QuantisedModel model = model()) {
            Scope.run(() -> {
                Map<String, Tensor> fixture = QuantFixtures.tensors(FILE);
                FlatQuantCalibration block = block(model, 1);
                Map<String, Tensor> parameters = initial(block);
                Tensor ids = fixture.get("calib.input_ids");
                List<PackedBatch> batches = new ArrayList<>();
                int size = block.schedule().batch();
                for (long from = 0; from < ids.size(0); from += size) {
                    int[][] windows = new int[size][];
                    for (int i = 0; i < size; i++) {
                        windows[i] = java.util.stream.LongStream.of(Tensors.longs(ids.select(0, from + i).contiguous())).mapToInt(id -> (int) id).toArray();
                    }
                    batches.add(block.batch(windows));
                }
                List<Tensor> outputs = block.outputs(0, parameters, batches);
                ours(fixture, "calib.diag_init.").forEach((name, expected) -> assertClose(expected, parameters.get(name), 1e-5, name));
                assertClose(
                        fixture.get("calib.fp_out_seq0_last3"), outputs.getFirst().select(0, 0).narrow(0, ids.size(1) - 3, 3), 1e-4, "outputs");

                Map<String, Tensor> gradients = ours(fixture, "calib.step1.grad.");
                assertThat(nearest(block, parameters, batches.getFirst(), outputs.getFirst(), gradients)).isLessThan(1e-3);

                var json = QuantFixtures.json("flatquant.json").path("calibration");
                double third = afterReferenceGradient(block, parameters, gradients, batches, outputs);
                assertThat(third).isCloseTo(json.path("layer0_loss_every_step").get(2).asDouble(), org.assertj.core.api.Assertions.withinPercentage(0.1));

                FlatQuantCalibration.Result result = block.learn(0, parameters, batches, outputs, Calibration.Listener.NONE);
                // The loss is a step function of the parameters: with gradients that differ from the reference's by millionths, one code so near
                // to a tie that the last bits of three parameters decide it falls to the other side, and the third loss is 0.15 % off. Above,
                // from the reference's own gradients, it is the reference's to the last digit.
                for (int i = 0; i < 3; i++) {
                    double expected = json.path("layer0_loss_every_step").get(i).asDouble();
                    assertThat(result.losses().get(i)).isCloseTo(expected, org.assertj.core.api.Assertions.withinPercentage(i < 2 ? 0.1 : 0.5));
                }
                double reference = json.path("layer0_mse_after").asDouble(), start = json.path("layer0_mse_before").asDouble();
                assertThat(result.before()).isCloseTo(start, org.assertj.core.api.Assertions.withinPercentage(0.1));
                assertThat(result.after()).isCloseTo(reference, org.assertj.core.api.Assertions.withinPercentage(15)).isLessThan(0.9 * start);
                outputs.forEach(Tensor::close);
                batches.forEach(PackedBatch::close);
            });
        }
    }

    /// Of the error's logarithm, with respect to each parameter.
    private static Map<String, Tensor> gradients(FlatQuantCalibration block, Map<String, Tensor> parameters, PackedBatch batch, Tensor output) {
        var leaves = new LinkedHashMap<String, Tensor>();
        parameters.forEach((name, tensor) -> leaves.put(name, tensor.detach().clone().requires_grad_(true)));
        Grad.on(() -> {
            Tensor error = block.error(0, leaves, batch, output);
            error.div(error.detach()).backward();
            return error;
        });
        var gradients = new LinkedHashMap<String, Tensor>();
        leaves.forEach((name, leaf) -> gradients.put(name, leaf.grad()));
        return gradients;
    }

    /// Of all gradients, the one furthest from the reference's, relatively.
    private static double furthest(Map<String, Tensor> expected, Map<String, Tensor> gradients) {
        return expected.entrySet().stream()
                .mapToDouble(entry -> QuantFixtures.relativeDifference(entry.getValue().view(Tensors.shape(gradients.get(entry.getKey()))), gradients.get(entry.getKey())))
                .max().orElseThrow();
    }

    /// The transforms, each value changed by at most two units in its last place.
    private static Map<String, Tensor> rounded(Map<String, Tensor> parameters, RandomStream random) {
        var changed = new LinkedHashMap<String, Tensor>();
        parameters.forEach((name, tensor) -> {
            if (FlatTransforms.isClip(name)) {
                changed.put(name, tensor);
                return;
            }
            float[] values = Tensors.floats(tensor.contiguous());
            for (int i = 0; i < values.length; i++) values[i] += (random.nextInt(5) - 2) * Math.ulp(values[i]);
            changed.put(name, Cpu.of(values, values.length).view(Tensors.shape(tensor)));
        });
        return changed;
    }

    /// How far all gradients together are from the reference's, at best over what the last bits of the transforms decide: a gradient is a step
    /// function of the parameters, and where a code or a zero point lies between two numbers, it is one of two.
    private static double nearest(
            FlatQuantCalibration block, Map<String, Tensor> parameters, PackedBatch batch, Tensor output, Map<String, Tensor> expected) {
        double nearest = furthest(expected, gradients(block, parameters, batch, output));
        var random = new RandomStream(1);
        for (int draw = 0; draw < 64 && nearest >= 1e-3; draw++) {
            nearest = Math.min(nearest, Scope.get(() -> furthest(expected, gradients(block, rounded(parameters, random), batch, output))));
        }
        return nearest;
    }

    /// One code near a tie decides about percents of a gradient: in 4 of 24 random batches the gradients are more than a thousandth off after a
    /// change of the transforms' last bits, and each time some other such change finds them again. A gradient that is off
    /// for another reason is not found.
    @Test
    void aTieIsFoundAndAnErrorIsNot() {
        try (QuantisedModel model = model()) {
            int ties = 0;
            for (int seed = 0; seed < 24; seed++) {
                var random = new RandomStream(seed);
                ties += Scope.get(() -> {
                    FlatQuantCalibration block = block(model, 1);
                    Map<String, Tensor> parameters = initial(block);
                    var windows = new int[4][24];
                    for (int[] window : windows) java.util.Arrays.setAll(window, _ -> random.nextInt(model.config().vocabularySize()));
                    PackedBatch batch = block.batch(windows);
                    Tensor output = block.outputs(0, parameters, List.of(batch)).getFirst();
                    Map<String, Tensor> ours = gradients(block, parameters, batch, output);
                    Map<String, Tensor> other = gradients(block, rounded(parameters, random), batch, output);
                    boolean tie = furthest(other, ours) >= 1e-3;
                    if (tie) {
                        assertThat(nearest(block, parameters, batch, output, other)).isLessThan(1e-3);
                        other.computeIfPresent("model.layers.0.mlp_hidden.clip_high", (_, gradient) -> gradient.mul(new Scalar(1.014)));
                        assertThat(nearest(block, parameters, batch, output, other)).isGreaterThan(1e-3);
                    }
                    output.close();
                    batch.close();
                    return tie ? 1 : 0;
                });
            }
            System.out.println("batches that a tie decides: " + ties + " of 24");
            assertThat(ties).isPositive();
        }
    }

    /// What calibration starts from, in the first block.
    private static Map<String, Tensor> initial(FlatQuantCalibration block) {
        Map<String, Tensor> parameters = ours(QuantFixtures.tensors(FILE), "calib.init.");
        block.flat().shapes().forEach((name, shape) -> {
            if (FlatTransforms.isClip(name)) parameters.put(name, Cpu.full(ScalarType.Float, 4, shape));
        });
        parameters.keySet().removeIf(name -> !name.startsWith("model.layers.0."));
        return parameters;
    }

    /// The third loss when the first update is made with the reference's gradients and the second with ours.
    private static double afterReferenceGradient(
            FlatQuantCalibration block, Map<String, Tensor> parameters, Map<String, Tensor> gradients, List<PackedBatch> batches, List<Tensor> outputs) {
        FlatQuantCalibration.Schedule method = block.schedule();
        var transforms = new LinkedHashMap<>(parameters);
        transforms.keySet().removeIf(FlatTransforms::isClip);
        var clips = new LinkedHashMap<>(parameters);
        clips.keySet().removeIf(name -> !FlatTransforms.isClip(name));
        long steps = (long) method.epochs() * batches.size();
        try (var first = new FlatQuantCalibration.Learned(transforms, method.learningRate());
                var second = new FlatQuantCalibration.Learned(clips, method.clipLearningRate())) {
            var leaves = new LinkedHashMap<>(first.leaves);
            leaves.putAll(second.leaves);
            Grad.off(() -> leaves.forEach((name, leaf) -> leaf.grad().copy_(gradients.get(name).view(Tensors.shape(leaf)))));
            first.step(0, steps, method);
            second.step(0, steps, method);
            Grad.on(() -> {
                Tensor error = block.error(0, leaves, batches.get(1), outputs.get(1));
                error.div(error.detach()).backward();
                return error;
            });
            first.step(1, steps, method);
            second.step(1, steps, method);
            return Grad.off(() -> Tensors.item(block.error(0, leaves, batches.get(2 % batches.size()), outputs.get(2 % batches.size()))));
        }
    }

    private static void assertClose(Tensor expected, Tensor actual, double tolerance, String what) {
        assertThat(QuantFixtures.relativeDifference(expected, actual.detach())).as(what).isLessThan(tolerance);
    }
}
