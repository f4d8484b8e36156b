package rqat.report;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.verify.Reason;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What is in a run directory, as far as it can be read:
///
///     manifest.json                      what was run
///     results.json                       what was measured
///     stages/STAGE/metrics.jsonl         one object per optimiser step
///     stages/STAGE/events.jsonl          warnings, gates, checkpoints
///     evaluations/ROW/samples.jsonl      completions with the verifier's verdict
///
/// @param name        the last part of the directory's path
/// @param manifest    empty when missing or broken
/// @param results     empty when missing or broken
/// @param notes       what is missing or broken, one sentence each
record RunFolder(String name, Optional<JsonNode> manifest, Optional<Results> results, List<Stage> stages, List<Evaluation> evaluations, List<String> notes) {

    private static final int MAX_EVENTS = 200;
    private static final int KEPT_PER_KIND = 2;

    /// One stage of the run.
    ///
    /// @param kind    what it did, as its own files say (`quantize`, `sft`, `distill`, `grpo`, `pretrain`); empty when they do not
    /// @param metrics name to step to value, steps ascending; a step that was logged twice (after a resume) counts with its last value
    /// @param events  the first [#MAX_EVENTS]
    record Stage(String name, String kind, SequencedMap<String, TreeMap<Double, Double>> metrics, List<JsonNode> events, int eventCount) {

        boolean has(String metric) {
            return metrics.containsKey(metric);
        }
    }

    /// The sampled completions of one evaluated model.
    ///
    /// @param reasons how many of the recorded samples ended how
    /// @param tokens  their mean length, NaN when it was not recorded
    /// @param shown   a handful: right, wrong, truncated
    record Evaluation(String directory, Map<Reason, Integer> reasons, double tokens, List<Sample> shown) {

        int count() {
            return reasons.values().stream().mapToInt(Integer::intValue).sum();
        }
    }

    /// One line of `samples.jsonl`.
    record Sample(Reason reason, String task, String id, String prompt, String completion, String gold, String extracted, String stop, String tokens) {

        static @Nullable Sample of(JsonNode line) {
            Reason reason = reason(line.path("reason").asString(""));
            return reason == null ? null : new Sample(reason, text(line, "task"), text(line, "id"), text(line, "prompt"), text(line, "completion"),
                    text(line, "gold"), text(line, "extracted"), text(line, "stop"), text(line, "tokens"));
        }

        private static @Nullable Reason reason(String written) {
            String name = written.strip().toUpperCase(Locale.ROOT).replace(' ', '_').replace('-', '_');
            return Stream.of(Reason.values()).filter(reason -> reason.name().equals(name)).findFirst().orElse(null);
        }

        private static String text(JsonNode line, String field) {
            JsonNode value = line.path(field);
            return value.isMissingNode() || value.isNull() ? "" : value.isValueNode() ? value.asString() : value.toString();
        }
    }

    /// Reads what is there.
    ///
    /// @throws Failure of kind BAD_FILE when the directory itself is absent
    static RunFolder read(Path directory) {
        if (!Files.isDirectory(directory)) {
            throw Failure.badFile("%s is not a directory; give the folder that a run wrote (it holds manifest.json and results.json)".formatted(directory));
        }
        var notes = new ArrayList<String>();
        Path name = directory.toAbsolutePath().normalize().getFileName();
        var stages = new ArrayList<Stage>();
        for (Path stage : subdirectories(directory.resolve("stages"))) {
            stages.add(stage(stage, notes));
        }
        var evaluations = new ArrayList<Evaluation>();
        for (Path evaluation : subdirectories(directory.resolve("evaluations"))) {
            evaluations.add(evaluation(evaluation, notes));
        }
        return new RunFolder(name == null ? "run" : name.toString(), manifest(directory.resolve("manifest.json"), notes),
                results(directory.resolve("results.json"), notes), stages, evaluations, notes);
    }

    private static Optional<JsonNode> manifest(Path file, List<String> notes) {
        if (!Files.isRegularFile(file)) {
            notes.add("There is no manifest.json, so the configuration is not shown.");
            return Optional.empty();
        }
        try {
            JsonNode manifest = new JsonMapper().readTree(Files.readAllBytes(file));
            if (manifest.isObject()) {
                return Optional.of(manifest);
            }
        } catch (IOException | JacksonException e) {
            // said below
        }
        notes.add("manifest.json cannot be read, so the configuration is not shown.");
        return Optional.empty();
    }

    private static Optional<Results> results(Path file, List<String> notes) {
        if (!Files.isRegularFile(file)) {
            notes.add("There is no results.json: nothing has been evaluated yet.");
            return Optional.empty();
        }
        try {
            return Optional.of(Results.read(file));
        } catch (Failure e) {
            notes.add("The results cannot be shown. " + e.getMessage().replace(file.toString(), "results.json"));
            return Optional.empty();
        }
    }

    private static Stage stage(Path directory, List<String> notes) {
        String name = directory.getFileName().toString();
        var metrics = new LinkedHashMap<String, TreeMap<Double, Double>>();
        read(directory.resolve("metrics.jsonl"), "stages/" + name, notes, line -> {
            JsonNode step = line.path("step");
            if (step.isNumber()) {
                line.properties().forEach(entry -> {
                    if (entry.getValue().isNumber() && !entry.getKey().equals("step")) {
                        metrics.computeIfAbsent(entry.getKey(), _ -> new TreeMap<>()).put(step.asDouble(), entry.getValue().asDouble());
                    }
                });
            }
        });
        var events = new ArrayList<JsonNode>();
        int[] count = {0};
        read(directory.resolve("events.jsonl"), "stages/" + name, notes, line -> {
            if (count[0]++ < MAX_EVENTS) {
                events.add(line);
            }
        });
        return new Stage(name, kind(directory), metrics, events, count[0]);
    }

    /// Of a finished or a begun stage.
    private static String kind(Path directory) {
        for (String file : List.of("stage.json", "begun.json")) {
            try {
                if (!Files.isRegularFile(directory.resolve(file))) continue;
                return new JsonMapper().readTree(Files.readAllBytes(directory.resolve(file))).path("stage").asString("");
            } catch (IOException | JacksonException e) {
                // The stage is shown without its kind.
            }
        }
        return "";
    }

    private static Evaluation evaluation(Path directory, List<String> notes) {
        String name = directory.getFileName().toString();
        var reasons = new TreeMap<Reason, Integer>();
        var shown = new TreeMap<Integer, List<Sample>>();
        double[] tokens = {0, 0};
        read(directory.resolve("samples.jsonl"), "evaluations/" + name, notes, line -> {
            Sample sample = Sample.of(line);
            if (sample != null) {
                reasons.merge(sample.reason, 1, Integer::sum);
                int kind = sample.reason == Reason.MATCH ? 0 : sample.reason == Reason.TRUNCATED ? 2 : 1;
                List<Sample> kept = shown.computeIfAbsent(kind, _ -> new ArrayList<>());
                if (kept.size() < KEPT_PER_KIND) {
                    kept.add(sample);
                }
                if (line.path("tokens").isNumber()) {
                    tokens[0] += line.path("tokens").asDouble();
                    tokens[1]++;
                }
            }
        });
        return new Evaluation(name, reasons, tokens[0] / tokens[1], shown.values().stream().flatMap(List::stream).toList());
    }

    private static void read(Path file, String place, List<String> notes, Consumer<JsonNode> lines) {
        if (Files.isRegularFile(file)) {
            String note = TolerantJsonLines.read(file, lines);
            if (note != null) {
                notes.add("%s/%s: %s.".formatted(place, file.getFileName(), note));
            }
        }
    }

    private static List<Path> subdirectories(Path directory) {
        if (!Files.isDirectory(directory)) {
            return List.of();
        }
        try (Stream<Path> paths = Files.list(directory)) {
            return paths.filter(Files::isDirectory).filter(path -> !path.getFileName().toString().startsWith(".")).sorted().toList();
        } catch (IOException e) {
            return List.of();
        }
    }
}
