package rqat.rl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.rl.Advantages.Scaling;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Against the advantage block of TRL's GRPOTrainer in float64.
class AdvantagesFixtureTest {
    private static final Path FILE = Path.of(System.getProperty("rqat.fixtures", ""), "losses", "advantages.json");

    @TestFactory
    Stream<DynamicTest> agreesWithTrl() throws IOException {
        assumeTrue(Files.isRegularFile(FILE), () -> "no fixtures at " + FILE);
        JsonNode cases = JsonMapper.shared().readTree(Files.readString(FILE)).get("cases");
        assertThat(cases.size()).isPositive();
        return StreamSupport.stream(cases.spliterator(), false).map(node -> DynamicTest.dynamicTest(title(node), () -> {
            double[] expected = doubles(node.get("advantages"));
            assertThat(actual(node)).containsExactly(expected, within(1e-6));
        }));
    }

    private static String title(JsonNode node) {
        return List.of("name", "scale", "aggregation").stream().map(key -> node.path(key).asString("")).toList().toString();
    }

    private static double[] actual(JsonNode node) {
        int groupSize = node.get("group_size").asInt();
        Scaling scaling = switch (node.get("scale").asString()) {
            case "group" -> Scaling.GROUP_STD;
            case "batch" -> Scaling.BATCH_STD;
            case "none" -> Scaling.NONE;
            default -> throw new IllegalArgumentException(node.toString());
        };
        if (!node.has("weights")) return Advantages.of(doubles(node.get("rewards")), groupSize, scaling);
        double[][] rewards = StreamSupport.stream(node.get("rewards").spliterator(), false)
                .map(AdvantagesFixtureTest::doubles)
                .toArray(double[][]::new);
        double[] weights = doubles(node.get("weights"));
        return switch (node.get("aggregation").asString()) {
            case "sum_then_normalize" -> Advantages.of(Advantages.weightedSum(rewards, weights), groupSize, scaling);
            case "normalize_then_sum" -> Advantages.normaliseThenSum(rewards, weights, groupSize);
            default -> throw new IllegalArgumentException(node.toString());
        };
    }

    private static double[] doubles(JsonNode array) {
        return StreamSupport.stream(array.spliterator(), false)
                .mapToDouble(value -> value.isNull() ? Double.NaN : value.asDouble())
                .toArray();
    }
}
