package rqat.verify.mathematics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Agreement with Math-Verify's own test cases, false accepts and false rejects counted apart: a false accept teaches a model to cheat, a
/// false reject only wastes a rollout.
class MathVerifierFixtureTest {

    private static final Path CASES = Path.of(System.getProperty("rqat.fixtures", ""), "verify", "mathverify_cases.jsonl");

    /// Predictions that are one formula are boxed, because only a box is an answer here; predictions with several boxes are left out,
    /// because the reference joins them.
    @Test
    void noFalseAcceptsAndFewFalseRejects() throws IOException {
        assumeTrue(Files.isRegularFile(CASES), "fixtures are absent");
        var verifier = new MathVerifier();
        var mapper = new JsonMapper();
        int compared = 0;
        var accepts = new ArrayList<String>();
        var rejects = new ArrayList<String>();
        for (String line : Files.readAllLines(CASES)) {
            JsonNode record = mapper.readTree(line);
            if (!record.path("kind").asString().equals("verify") || !record.path("options").path("strict").asBoolean(true)) {
                continue;
            }
            String gold = record.path("gold").asString();
            String prediction = record.path("pred").asString();
            int boxes = prediction.split("boxed", -1).length - 1;
            boolean formula = prediction.strip().startsWith("$") && prediction.strip().endsWith("$") && !prediction.contains("\n");
            if (gold.split("boxed", -1).length > 2 || gold.length() > 200 || boxes > 1 || boxes == 0 && !formula) {
                continue;
            }
            compared++;
            boolean correct = verifier.verify(boxes == 1 ? prediction : "\\boxed{" + prediction + "}", false, gold).correct();
            if (correct != record.path("expected").asBoolean()) {
                List<String> wrong = correct ? accepts : rejects;
                wrong.add(gold + " | " + prediction);
            }
        }
        assertThat(compared).isPositive();
        assertThat(accepts).as("false accepts").isEmpty();
        assertThat(rejects).as("false rejects of %d", compared).hasSizeLessThan(compared / 4);
    }
}
