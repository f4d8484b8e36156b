package rqat.verify.mathematics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import rqat.verify.mathematics.ReferenceVerifier.Target;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The `math-verify` mode beside what Math-Verify itself answered, false accepts and false rejects counted apart.
class ReferenceVerifierFixtureTest {

    private static final Path CASES = Path.of(System.getProperty("rqat.fixtures", ""), "verify", "mathverify_cases.jsonl");

    private final JsonMapper mapper = new JsonMapper();

    @Test
    void agreesWithTheReference() throws IOException {
        assumeTrue(Files.isRegularFile(CASES), "fixtures are absent");
        int pairs = 0;
        var accepts = new ArrayList<String>();
        var rejects = new ArrayList<String>();
        for (String line : Files.readAllLines(CASES)) {
            JsonNode record = mapper.readTree(line);
            if (!record.path("kind").asString().equals("verify")) {
                continue;
            }
            pairs++;
            JsonNode options = record.path("options");
            var verifier = new ReferenceVerifier(
                    targets(record.path("gold_config")),
                    targets(record.path("pred_config")),
                    options.path("float_rounding").asInt(6),
                    options.path("strict").asBoolean(true),
                    options.path("allow_set_relation_comp").asBoolean(false));
            String gold = record.path("gold").asString();
            String prediction = record.path("pred").asString();
            boolean correct = verifier.verify(prediction, false, gold).correct();
            if (correct != record.path("expected").asBoolean()) {
                (correct ? accepts : rejects).add(gold + " | " + prediction);
            }
        }
        System.out.printf("math-verify mode: %d pairs, %d false accepts, %d false rejects%n", pairs, accepts.size(), rejects.size());
        assertThat(pairs).isPositive();
        assertThat((double) (accepts.size() + rejects.size()) / pairs)
                .as("disagreements; false accepts %s, false rejects %s", accepts, rejects)
                .isLessThanOrEqualTo(0.01);
    }

    /// Whether anything is found at all. The cases in which the reference was made to time out are left out.
    @Test
    void findsWhatTheReferenceFinds() throws IOException {
        assumeTrue(Files.isRegularFile(CASES), "fixtures are absent");
        for (String line : Files.readAllLines(CASES)) {
            JsonNode record = mapper.readTree(line);
            if (!record.path("kind").asString().equals("parse") || record.path("options").has("parsing_timeout")) {
                continue;
            }
            String text = record.path("text").asString();
            ReferenceVerifier.Parsed found = ReferenceVerifier.parse(text, targets(record.path("config")));
            JsonNode result = record.path("result");
            boolean present = found.value() != null || found.string() != null;
            assertThat(present).as(text).isEqualTo(!result.isEmpty());
            if (found.string() != null) {
                assertThat(found.string()).as(text).isEqualTo(result.path(0).asString());
            }
        }
    }

    private static List<Target> targets(JsonNode configuration) {
        if (!configuration.isArray()) {
            return ReferenceVerifier.withDefaults().answer();
        }
        var targets = new ArrayList<Target>();
        for (JsonNode target : configuration) {
            boolean unannounced = target.path("try_extract_without_anchor").asBoolean();
            targets.add(switch (target.path("type").asString()) {
                case "LatexExtractionConfig" -> new ReferenceVerifier.Latex(
                        target.path("boxed_match_priority").asInt(),
                        unannounced,
                        target.path("normalization_config").path("malformed_operators").asBoolean());
                case "ExprExtractionConfig" -> new ReferenceVerifier.Plain(unannounced);
                case "StringExtractionConfig" -> {
                    var strings = new ArrayList<String>();
                    target.path("strings").forEach(string -> strings.add(string.asString()));
                    yield new ReferenceVerifier.Strings(strings, unannounced, target.path("lowercase").asBoolean());
                }
                default -> throw new IllegalArgumentException(target.toString());
            });
        }
        return targets;
    }
}
