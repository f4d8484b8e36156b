package rqat.run;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.IntStream;
import rqat.Failure;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `metrics.jsonl`: one JSON object a step, appended as the step ends. Numbers that depend on the clock are called `time/...` and come
/// last; two runs are the same when the rest of every line is.
///
/// JSON has no words for NaN and the infinities, so these are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.
public final class Metrics implements AutoCloseable {

    private static final String STEP = "step";
    private static final String TIME = "time/";

    private final JsonLines lines;

    private Metrics(JsonLines lines) {
        this.lines = lines;
    }

    /// One step. `values` leaves out the step itself and what is in `times` (without the prefix `time/`).
    public record Row(long step, SequencedMap<String, Double> values, SequencedMap<String, Double> times) {}

    /// Opens a file for appending, creates it if it is absent, and drops a torn last line.
    public static Metrics append(Path file) {
        return new Metrics(JsonLines.append(file));
    }

    /// Appends a step with its values in their order, those called `time/...` last, and `time/at`, the seconds since 1970.
    public void write(long step, SequencedMap<String, ? extends Number> values) {
        ObjectNode object = JsonNodeFactory.instance.objectNode().put(STEP, step);
        values.forEach((name, value) -> {
            if (name.equals(STEP)) {
                throw new IllegalArgumentException("a metric cannot be called step");
            }
            if (!name.startsWith(TIME)) {
                put(object, name, value);
            }
        });
        values.forEach((name, value) -> {
            if (name.startsWith(TIME)) {
                put(object, name, value);
            }
        });
        put(object, TIME + "at", System.currentTimeMillis() / 1000.0);
        lines.write(object);
    }

    private static void put(ObjectNode object, String name, Number value) {
        switch (value) {
            case Long integer -> object.put(name, integer.longValue());
            case Integer integer -> object.put(name, integer.intValue());
            default -> {
                double number = value.doubleValue();
                if (Double.isFinite(number)) {
                    object.put(name, number);
                } else {
                    object.put(name, String.valueOf(number));
                }
            }
        }
    }

    /// Forces all lines to disk; to be called before a checkpoint is written, which a resumed run continues from.
    public void force() {
        lines.force();
    }

    @Override
    public void close() {
        lines.close();
    }

    /// All whole lines of a file.
    ///
    /// @throws Failure of kind BAD_FILE with the line that is no step
    public static List<Row> read(Path file) {
        List<JsonNode> objects = JsonLines.read(file);
        return IntStream.range(0, objects.size()).mapToObj(i -> row(objects.get(i), file + ":" + (i + 1))).toList();
    }

    private static Row row(JsonNode object, String place) {
        SequencedMap<String, Double> values = new LinkedHashMap<>();
        SequencedMap<String, Double> times = new LinkedHashMap<>();
        long step = step(object, place);
        for (Map.Entry<String, JsonNode> entry : object.properties()) {
            String name = entry.getKey();
            if (name.startsWith(TIME)) {
                times.put(name.substring(TIME.length()), number(entry.getValue(), name, place));
            } else if (!name.equals(STEP)) {
                values.put(name, number(entry.getValue(), name, place));
            }
        }
        return new Row(step, values, times);
    }

    static long step(JsonNode object, String place) {
        JsonNode step = object.path(STEP);
        if (!step.isIntegralNumber() || !step.canConvertToLong()) {
            throw Failure.badFile("%s: `step` is %s; expected an integer"
                    .formatted(place, step.isMissingNode() ? "absent" : Failure.quote(step.toString())));
        }
        return step.longValue();
    }

    private static double number(JsonNode value, String name, String place) {
        if (value.isNumber()) {
            return value.doubleValue();
        }
        return switch (value.isString() ? value.stringValue() : "") {
            case "NaN" -> Double.NaN;
            case "Infinity" -> Double.POSITIVE_INFINITY;
            case "-Infinity" -> Double.NEGATIVE_INFINITY;
            default -> throw Failure.badFile("%s: %s is %s; expected a number"
                    .formatted(place, Failure.quote(name), Failure.quote(value.toString())));
        };
    }

    /// Forgets what a run did after the checkpoint that it resumes from: drops all steps above `step` and a torn last line. Nothing
    /// happens if the file is absent.
    public static void truncateAfter(Path file, long step) {
        if (Files.exists(file)) {
            JsonLines.keep(file, object -> step(object, file.toString()) <= step);
        }
    }
}
