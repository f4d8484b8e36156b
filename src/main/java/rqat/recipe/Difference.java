package rqat.recipe;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.eval.Comparison;
import rqat.report.Document;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// A comparison that a study's recipe asks for.
///
/// @param found null when one of the rows was stopped
record Difference(StudySettings.Compare asked, @Nullable Comparison found) {

    String verdict() {
        if (found == null) return "not measured";
        if (!found.beyondNoise()) return "within noise";
        return found.difference() > 0 ? "higher, beyond noise" : "LOWER, beyond noise";
    }

    JsonNode json() {
        ObjectNode json = JsonNodeFactory.instance.objectNode().put("row", asked.row()).put("over", asked.over()).put("verdict", verdict());
        if (found != null) {
            json.put("difference", 100 * found.difference())
                    .put("standard_error", 100 * found.standardError())
                    .put("probability", found.probability());
            if (!Double.isNaN(found.degreesOfFreedom())) json.put("degrees_of_freedom", found.degreesOfFreedom());
        }
        if (asked.paper() != null) json.put("paper", asked.paper());
        return json;
    }

    /// All of them, with the rule.
    static List<Document.Part> table(List<Difference> differences) {
        boolean paper = differences.stream().anyMatch(one -> one.asked.paper() != null);
        var header = new ArrayList<>(List.of("row", "over", "difference", "standard error", "p"));
        if (paper) header.add("paper");
        header.add("verdict");
        var lines = new ArrayList<List<String>>();
        for (Difference one : differences) {
            Comparison found = one.found;
            var line = new ArrayList<>(List.of(one.asked.row(), one.asked.over()));
            line.add(found == null ? "-" : Study.number("%+.2f", 100 * found.difference()));
            line.add(found == null ? "-" : Study.number("%.2f", 100 * found.standardError()));
            line.add(found == null ? "-" : found.probability() < 0.001 ? "<0.001" : Study.number("%.3f", found.probability()));
            if (paper) line.add(one.asked.paper() == null ? "" : Study.number("%+.2f", one.asked.paper()));
            line.add(one.verdict());
            lines.add(line);
        }
        return List.of(
                new Document.Table(header, lines, 2),
                new Document.Words(("Points of the average, paired by problem and repetition. The standard error is the root of two variances added:"
                                + " of the mean difference over problems (for each task), and over repetitions. Beyond noise: Student's t with the"
                                + " Welch-Satterthwaite degrees of freedom, two-sided, p below %.2f, not corrected for the number of comparisons.")
                        .formatted(Comparison.LEVEL)));
    }
}
