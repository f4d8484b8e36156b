package rqat.report;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.SequencedSet;
import java.util.Set;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.DoubleNode;
import tools.jackson.databind.node.ObjectNode;

/// What a run measured: `results.json`, one row for each model that was evaluated, in the order of the story.
///
///     {"rows": [{"name": "RTN + KD", "bits": 3,
///                "scores": {"gsm8k": {"mean": 81.2, "std": 1.2, "problems": 1319, "seeds": 3}},
///                "average": 81.2, "standard_error": 0.7, "non_reasoning": 62.0}]}
///
/// Scores are in percent. Fields that are not listed here, of rows and
/// beside `rows`, are kept on reading and writing.
///
/// @param extra fields beside `rows`, such as a study's comparisons
public record Results(List<Row> rows, SequencedMap<String, JsonNode> extra) {

    /// From this width on a row is full precision.
    static final double FULL_PRECISION_BITS = 16;
    private static final Set<String> ROW_FIELDS = Set.of("name", "bits", "scores", "average");
    private static final JsonMapper MAPPER = new JsonMapper();

    public Results {
        rows = List.copyOf(rows);
        extra = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(extra));
    }

    /// Rows alone.
    public Results(List<Row> rows) {
        this(rows, new LinkedHashMap<>());
    }

    /// The same with one more field beside `rows`.
    public Results with(String field, JsonNode value) {
        var more = new LinkedHashMap<>(extra);
        more.put(field, value);
        return new Results(rows, more);
    }

    /// One evaluated model.
    ///
    /// @param bits    width of the weights, as a number (`3`, `4.25`) or as words (`W4A4KV4`)
    /// @param scores  by task, in the order of the benchmarks
    /// @param average unweighted mean over tasks; NaN when unknown
    /// @param extra   further fields of the row, such as `non_reasoning`, `standard_error` (of the average)
    public record Row(String name, String bits, SequencedMap<String, Score> scores, double average, SequencedMap<String, JsonNode> extra) {

        public Row {
            scores = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(scores));
            extra = Collections.unmodifiableSequencedMap(new LinkedHashMap<>(extra));
        }

        /// A row whose average is the unweighted mean of its tasks.
        public static Row of(String name, String bits, SequencedMap<String, Score> scores) {
            return new Row(name, bits, scores, mean(scores), new LinkedHashMap<>());
        }

        /// The same row with one more field.
        public Row with(String field, double value) {
            var more = new LinkedHashMap<>(extra);
            more.put(field, DoubleNode.valueOf(value));
            return new Row(name, bits, scores, average, more);
        }

        /// A numeric extra field, NaN when absent.
        public double number(String field) {
            JsonNode value = extra.get(field);
            return value != null && value.isNumber() ? value.asDouble() : Double.NaN;
        }

        /// The standard error of the average: the field `standard_error`, else from the spread of the seeds, as if tasks were
        /// independent: `sqrt(sum std^2 / seeds) / tasks`. NaN when neither is known.
        public double standardError() {
            double given = number("standard_error");
            if (!Double.isNaN(given) || scores.isEmpty()) {
                return given;
            }
            double variance = 0;
            for (Score score : scores.values()) {
                variance += score.std() * score.std() / Math.max(1, score.seeds());
            }
            return Math.sqrt(variance) / scores.size();
        }

        /// The width in bits, NaN when it is given in words.
        public double width() {
            try {
                return Double.parseDouble(bits);
            } catch (NumberFormatException e) {
                return Double.NaN;
            }
        }

        private static double mean(Map<String, Score> scores) {
            return scores.values().stream().mapToDouble(Score::mean).average().orElse(Double.NaN);
        }
    }

    /// The score on one task, in percent.
    ///
    /// @param mean     over seeds
    /// @param std      sample standard deviation over seeds, NaN when there was one seed
    /// @param problems problems for each seed
    /// @param seeds    independent evaluations
    public record Score(double mean, double std, int problems, int seeds) {}

    /// All tasks, in the order of their first appearance.
    public SequencedSet<String> tasks() {
        var tasks = new LinkedHashSet<String>();
        rows.forEach(row -> tasks.addAll(row.scores().keySet()));
        return tasks;
    }

    /// The row that the others are compared with: the first of at least 16 bits.
    public Optional<Row> fullPrecision() {
        return rows.stream().filter(row -> row.width() >= FULL_PRECISION_BITS && !Double.isNaN(row.average())).findFirst();
    }

    /// Reads `results.json`.
    ///
    /// @throws Failure of kind BAD_FILE naming the field that is not as expected
    public static Results read(Path file) {
        var field = new Field(file, "results", JsonFiles.read(file));
        var rows = new ArrayList<Row>();
        for (Field row : field.child("rows").elements()) {
            var scores = new LinkedHashMap<String, Score>();
            row.child("scores").properties().forEach((task, score) -> scores.put(task, new Score(
                    score.child("mean").number(), score.child("std").numberOrNaN(), score.child("problems").count(), score.child("seeds").count())));
            var extra = new LinkedHashMap<String, JsonNode>();
            row.node().properties().forEach(entry -> {
                if (!ROW_FIELDS.contains(entry.getKey())) {
                    extra.put(entry.getKey(), entry.getValue());
                }
            });
            double average = row.child("average").numberOrNaN();
            rows.add(new Row(row.child("name").text(), row.child("bits").text(), scores, Double.isNaN(average) ? Row.mean(scores) : average, extra));
        }
        var more = new LinkedHashMap<String, JsonNode>();
        field.node().properties().forEach(entry -> {
            if (!entry.getKey().equals("rows")) {
                more.put(entry.getKey(), entry.getValue());
            }
        });
        return new Results(rows, more);
    }

    /// Writes `results.json`, whole or not at all. Unknown numbers become null.
    public void write(Path file) {
        ObjectNode tree = MAPPER.createObjectNode();
        var array = tree.putArray("rows");
        for (Row row : rows) {
            ObjectNode object = array.addObject().put("name", row.name());
            if (Double.isNaN(row.width())) {
                object.put("bits", row.bits());
            } else {
                put(object, "bits", row.width());
            }
            ObjectNode scores = object.putObject("scores");
            row.scores().forEach((task, score) -> {
                ObjectNode cell = scores.putObject(task);
                put(cell, "mean", score.mean());
                put(cell, "std", score.std());
                cell.put("problems", score.problems()).put("seeds", score.seeds());
            });
            put(object, "average", row.average());
            row.extra().forEach(object::set);
        }
        extra.forEach(tree::set);
        AtomicFiles.write(file, MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(tree) + "\n");
    }

    private static void put(ObjectNode object, String field, double value) {
        if (value == Math.rint(value) && Math.abs(value) < 1e9) {
            object.put(field, (long) value);
        } else if (Double.isFinite(value)) {
            object.put(field, value);
        } else {
            object.putNull(field);
        }
    }

    /// A node that knows where it is, for messages.
    private record Field(Path file, String path, JsonNode node) {

        Field child(String name) {
            return new Field(file, path + "." + name, node.path(name));
        }

        List<Field> elements() {
            require(node.isArray(), "a list");
            var elements = new ArrayList<Field>();
            for (JsonNode element : node) {
                elements.add(new Field(file, path + "[" + elements.size() + "]", element));
            }
            return elements;
        }

        SequencedMap<String, Field> properties() {
            require(node.isObject(), "an object");
            var properties = new LinkedHashMap<String, Field>();
            node.properties().forEach(entry -> properties.put(entry.getKey(), child(entry.getKey())));
            return properties;
        }

        double number() {
            require(node.isNumber(), "a number");
            return node.asDouble();
        }

        double numberOrNaN() {
            return node.isMissingNode() || node.isNull() ? Double.NaN : number();
        }

        /// A count, or the length of a list of what was counted; 0 when absent.
        int count() {
            if (node.isMissingNode() || node.isNull()) {
                return 0;
            }
            require(node.isArray() || node.isNumber() && node.canConvertToInt(), "a count");
            return node.isArray() ? node.size() : node.asInt();
        }

        String text() {
            require(node.isString() || node.isNumber(), "a text or a number");
            return node.asString();
        }

        private void require(boolean condition, String expected) {
            if (!condition) {
                String found = node.isMissingNode() ? "nothing" : node.toString();
                throw Failure.badFile("%s: %s: expected %s, found %s; evaluate again to rewrite it"
                        .formatted(file, path, expected, found.length() > 80 ? found.substring(0, 80) + "..." : found));
            }
        }
    }
}
