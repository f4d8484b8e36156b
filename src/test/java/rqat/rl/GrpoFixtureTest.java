package rqat.rl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;
import rqat.rl.GrpoLoss.KlGradient;
import rqat.rl.GrpoLoss.Preset;
import rqat.rl.GrpoLoss.Result;
import rqat.rl.GrpoLoss.Rows;
import rqat.rl.GrpoLoss.Step;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Against TRL's GRPOTrainer._compute_loss in float64.
class GrpoFixtureTest {
    private static final Path FOLDER = Path.of(System.getProperty("rqat.fixtures", ""), "losses");
    private static final Pattern NAME = Pattern.compile("(?<preset>[a-z_]+?)"
            + "(?<onPolicy>\\.on_policy_old_is_detached_new)?"
            + "(?<sequence>_sequence_level)?"
            + "(\\.two_sided_delta(?<delta>[0-9.]+))?"
            + "(?<micro>\\.two_micro_batches_summed)?"
            + "(\\.beta(?<beta>[0-9.]+))?"
            + "(\\.clip(?<low>[0-9.]+)_(?<high>[0-9.]+))?"
            + "(\\.(?<mask>plain|truncated_rows_removed))?");

    private JsonNode json;
    private final Map<String, double[][]> tensors = new HashMap<>();
    private final Map<String, boolean[][]> masks = new HashMap<>();

    @TestFactory
    Stream<DynamicTest> agreesWithTrl() throws IOException {
        assumeTrue(Files.isDirectory(FOLDER), () -> "no fixtures at " + FOLDER);
        json = JsonMapper.shared().readTree(Files.readString(FOLDER.resolve("grpo.json")));
        try (SafetensorsFile file = SafetensorsFile.open(FOLDER.resolve("grpo.safetensors"))) {
            file.tensors().forEach((name, tensor) -> {
                if (name.startsWith("mask_")) masks.put(name.substring("mask_".length()), mask(tensor));
                else if (tensor.shape().length == 2) tensors.put(name, rows(tensor));
                else tensors.put(name, new double[][] {widened(tensor)});
            });
        }
        assertThat(json.get("cases").size()).isPositive();
        return StreamSupport.stream(json.get("cases").spliterator(), false)
                .map(node -> DynamicTest.dynamicTest(node.get("name").asString(), () -> check(node)));
    }

    private void check(JsonNode node) {
        String name = node.get("name").asString();
        Matcher matcher = NAME.matcher(name);
        assertThat(matcher.matches()).as("the name %s is understood", name).isTrue();
        Preset preset = Preset.valueOf(matcher.group("preset").toUpperCase(Locale.ROOT));
        double beta = number(matcher.group("beta"), 0);
        var loss = new GrpoLoss(
                preset,
                number(matcher.group("low"), 0.2),
                number(matcher.group("high"), 0.2),
                number(matcher.group("delta"), Double.POSITIVE_INFINITY),
                Double.POSITIVE_INFINITY,
                beta,
                KlGradient.PLAIN,
                json.get("max_completion_length").asInt());
        boolean[][] mask = masks.get(matcher.group("mask") == null ? "plain" : matcher.group("mask"));
        double[][] current = tensors.get("new_logprobs");
        var rows = new Rows(
                current,
                matcher.group("onPolicy") == null ? tensors.get("old_logprobs") : current,
                tensors.get("ref_logprobs"),
                null,
                mask,
                advantages());

        if (matcher.group("micro") != null) {
            checkMicroBatches(node, loss, rows, tensors.get(matcher.group("preset") + ".two_micro_batches_summed.grad"));
            return;
        }
        Result result = loss.of(rows, Step.of(mask));

        assertThat(result.loss()).isCloseTo(node.get("loss").asDouble(), within(1e-9));
        assertGradient(result.gradient(), tensors.get(name + ".grad"));
        assertShare(node, "clip_low_mean", result.clippedLow(), result);
        assertShare(node, "clip_high_mean", result.clippedHigh(), result);
        assertShare(node, "clip_region_mean", result.clippedLow() + result.clippedHigh(), result);
        assertShare(node, "kl_mean", result.klSum(), result);
    }

    private static void checkMicroBatches(JsonNode node, GrpoLoss loss, Rows rows, double[][] expected) {
        int half = rows.mask().length / 2;
        var step = new Step(2L * half, Step.of(rows.mask()).tokens(), 2);
        Result first = loss.of(slice(rows, 0, half), step);
        Result second = loss.of(slice(rows, half, 2 * half), step);

        assertThat(first.loss() + second.loss()).isCloseTo(node.get("loss").asDouble(), within(1e-9));
        double[][] gradient = Stream.of(first.gradient(), second.gradient()).flatMap(Arrays::stream).toArray(double[][]::new);
        assertGradient(gradient, expected);
        double whole = loss.of(rows, Step.of(rows.mask())).loss();
        assertThat(Math.abs(whole - node.get("loss").asDouble()) < 1e-9).isEqualTo(node.get("equals_single_batch").asBoolean());
    }

    private static void assertGradient(double[][] actual, double[][] expected) {
        assertThat(actual.length).isEqualTo(expected.length);
        for (int i = 0; i < actual.length; i++) {
            assertThat(actual[i]).as("row %d", i).containsExactly(expected[i], within(1e-7)); // the file rounds to float32
        }
    }

    private static void assertShare(JsonNode node, String key, double sum, Result result) {
        if (node.has(key)) assertThat(sum / result.tokens()).as(key).isCloseTo(node.get(key).asDouble(), within(1e-9));
    }

    private static Rows slice(Rows rows, int from, int to) {
        return new Rows(
                Arrays.copyOfRange(rows.current(), from, to),
                Arrays.copyOfRange(rows.old(), from, to),
                Arrays.copyOfRange(rows.reference(), from, to),
                null,
                Arrays.copyOfRange(rows.mask(), from, to),
                Arrays.copyOfRange(rows.advantages(), from, to));
    }

    /// As the reference was fed: the float32 tensor.
    private double[] advantages() {
        return tensors.get("advantages")[0];
    }

    private static double number(String text, double otherwise) {
        return text == null ? otherwise : Double.parseDouble(text);
    }

    private static double[][] rows(HostTensor tensor) {
        double[] flat = widened(tensor);
        int width = (int) tensor.shape()[1];
        double[][] rows = new double[(int) tensor.shape()[0]][];
        for (int i = 0; i < rows.length; i++) rows[i] = Arrays.copyOfRange(flat, i * width, (i + 1) * width);
        return rows;
    }

    private static boolean[][] mask(HostTensor tensor) {
        int[] flat = tensor.toInts();
        boolean[][] rows = new boolean[(int) tensor.shape()[0]][(int) tensor.shape()[1]];
        for (int i = 0; i < flat.length; i++) rows[i / rows[0].length][i % rows[0].length] = flat[i] != 0;
        return rows;
    }

    private static double[] widened(HostTensor tensor) {
        float[] values = tensor.toFloats();
        double[] result = new double[values.length];
        for (int i = 0; i < values.length; i++) result[i] = values[i];
        return result;
    }
}
