package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.eval.Comparison;
import rqat.eval.TaskResult;
import rqat.format.ModelFiles;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.recipe.Pipeline.Model;
import rqat.recipe.Pipeline.Question;
import rqat.report.Document;
import rqat.report.Document.Section;
import rqat.report.Results;
import rqat.run.Checksums;
import rqat.run.Configuration;
import rqat.run.Manifest;
import rqat.run.Metrics;
import rqat.run.Progress;
import rqat.tensor.Torch;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;
import tools.jackson.databind.node.StringNode;

/// A table or a figure of a paper: rows of chains that may differ in their settings too, everything that is drawn repeated with several
/// seeds, and an answer to which differences exceed their noise.
///
/// A *repetition* is one seed for all data and samples of training and calibration, and its share of the evaluation seeds. Stages and
/// evaluations live in a cache under a hash of all that they depend on, so rows share what they have in common, studies share what they
/// have in common, and an interrupted study goes on where it stopped.
public final class Study {
    private static final String REASONING = "average";

    private final RunSettings settings;
    private final List<Variant> rows;
    private final List<Long> seeds;
    private final Pipeline pipeline;

    /// A row with the settings that hold for it.
    record Variant(RecipeRow row, RunSettings settings, Path model) {

        Chain chain() {
            return row.steps();
        }

        Model made(long seed) {
            return Model.of(model, chain(), settings, seed);
        }

        /// The training that the chain ends with, if it does.
        @Nullable Optimisation training() {
            if (chain().steps().isEmpty()) return null;
            return switch (settings.stage(chain().last())) {
                case Quantize.Settings _ -> null;
                case FineTune.Settings stage -> stage.optimisation();
                case Distill.Settings stage -> stage.optimisation();
                case Reinforce.Settings stage -> stage.optimisation();
            };
        }
    }

    /// What was measured of a row.
    ///
    /// @param answers of each repetition; empty when a gate stopped the row
    /// @param stopped what the gate said; null otherwise
    record Measured(Variant variant, List<List<TaskResult>> answers, @Nullable String stopped, Results.Row result) {}

    /// A row's models after some steps of their last stage, over the by-step tasks and all repetitions.
    ///
    /// @param steps    how many steps were done, ascending
    /// @param accuracy percent right
    /// @param length   mean tokens
    record Track(double[] steps, double[] accuracy, double[] length) {}

    /// What a study leaves.
    ///
    /// @param output   where it was written
    /// @param document what is printed and written
    /// @param stopped  rows that a gate stopped
    public record Outcome(Path output, Document document, Results results, List<String> stopped) {}

    private Study(RunSettings settings, List<Variant> rows, Pipeline pipeline) {
        this.settings = settings;
        this.rows = rows;
        this.seeds = settings.study().seeds().isEmpty() ? List.of(settings.seed()) : settings.study().seeds();
        this.pipeline = pipeline;
    }

    /// Makes what is missing of a study and writes `manifest.json`, `results.json` and `report.html` into its `output`. A row that a gate stops
    /// (a cold start without rewards, say) is a result like another; any other failure ends the study.
    ///
    /// @param command   what the user typed, for the manifest
    /// @param recipe    the file
    /// @param sets      values laid over it
    /// @param directory of a model by its name in the recipe
    public static Outcome run(
            List<String> command, Path recipe, List<String> sets, Function<String, Path> directory, Progress progress) {
        Configuration.Resolved<RunSettings> configuration = RunSettings.load(recipe, sets);
        RunSettings settings = configuration.value();
        if (!settings.export().isEmpty()) {
            throw Failure.usage("%s: `export` is for `rqat run`, which has one last row; export a study's models with `rqat export`".formatted(recipe));
        }
        List<RunSettings> variants = RunSettings.variants(recipe, sets);
        // Rows that are the defaults' are not in the file, and have nothing of their own.
        List<Variant> rows = IntStream.range(0, settings.rows().size())
                .mapToObj(i -> {
                    RunSettings own = variants.isEmpty() ? settings : variants.get(i);
                    return new Variant(settings.rows().get(i), own, directory.apply(own.model()));
                })
                .toList();
        Torch.compute(settings.compute());
        Path output = Path.of(settings.output());
        var inputs = new TreeMap<String, String>();
        for (Variant row : rows) inputs.computeIfAbsent(row.settings().model(), _ -> ModelFiles.sha256(row.model()));
        AtomicFiles.delete(output.resolve(Checksums.FILE));
        Manifest.write(output.resolve("manifest.json"), command, configuration, inputs, Map.of("study", settings.seed()));
        var session = new Session(settings.seed(), settings.compute(), settings.threads(), settings.kvCacheGib(), progress, Session.Places.ADDRESSED, settings.log().server());
        try (var pipeline = new Pipeline(session, settings.jobs(), Path.of(settings.study().cache()))) {
            Outcome outcome = new Study(settings, rows, pipeline).run();
            outcome.results.write(output.resolve("results.json"));
            outcome.document.write(output.resolve("report.html"));
            Checksums.write(output, Run.CHECKED);
            return outcome;
        }
    }

    private Outcome run() {
        // The first of the queue is the chain with most still to come.
        List<Variant> longestFirst = new ArrayList<>(rows);
        longestFirst.sort(Comparator.comparingInt((Variant row) -> row.chain().steps().size()).reversed());
        for (long seed : seeds) {
            for (Variant row : longestFirst) pipeline.model(row.made(seed));
        }
        for (Variant row : rows) {
            for (int r = 0; r < seeds.size(); r++) {
                pipeline.answer(end(row, r));
                steps(row, r).values().forEach(pipeline::answer);
            }
        }
        pipeline.await(failure -> failure.kind() == Failure.Kind.GATE);
        List<Measured> plain = rows.stream().map(this::measured).toList();
        List<Measured> measured = plain.stream().map(row -> withDrop(row, reference(row, plain))).toList();
        List<Section> sections = new ArrayList<>();
        sections.add(new Section("Results", List.of(scores(measured), new Document.Words(protocol(measured)))));
        var differences = differences(measured);
        if (!differences.isEmpty()) sections.add(new Section("Which differences exceed their noise", Difference.table(differences)));
        var tracks = new LinkedHashMap<Variant, Track>();
        for (Measured row : measured) {
            Track track = row.stopped == null ? track(row.variant) : null;
            if (track != null) tracks.put(row.variant, track);
        }
        if (!tracks.isEmpty()) sections.add(new Section("Accuracy by training step", byStep(tracks)));
        sections.addAll(new StudyCharts(settings, measured, tracks, this::logged).sections());
        double[] time = time();
        sections.add(new Section("Time", List.of(new Document.Words(
                "%s of processor time in the %d stages and evaluations of this study (%s on the clock, added up)."
                        .formatted(minutes(time[1]), (int) time[2], minutes(time[0]))))));
        var extra = new LinkedHashMap<String, JsonNode>();
        extra.put("title", StringNode.valueOf(title()));
        extra.put("seconds", JsonNodeFactory.instance.numberNode(time[0]));
        extra.put("processor_seconds", JsonNodeFactory.instance.numberNode(time[1]));
        extra.put("comparisons", JsonNodeFactory.instance.arrayNode().addAll(differences.stream().map(Difference::json).toList()));
        var results = new Results(measured.stream().map(Measured::result).toList(), extra);
        String facts = "%s · %s of %s".formatted(
                settings.rows().size() == 1 ? "1 row" : settings.rows().size() + " rows",
                seeds.size() == 1 ? "1 repetition" : seeds.size() + " repetitions",
                String.join(", ", new LinkedHashSet<>(rows.stream().map(row -> row.settings().model()).toList())));
        return new Outcome(
                Path.of(settings.output()),
                new Document("Reasoning-QAT study", title(), facts, sections),
                results,
                measured.stream().filter(row -> row.stopped != null).map(row -> row.variant.row().name()).toList());
    }

    private String title() {
        return settings.study().title().isEmpty() ? settings.output() : settings.study().title();
    }

    // ---- questions

    /// The evaluation of a repetition: its share of the seeds, dealt out in turn.
    private Evaluate.Settings evaluation(List<String> tasks, int problems, int repetition) {
        Evaluate.Settings all = settings.evaluate();
        List<Long> dealt = IntStream.range(0, all.seeds().size())
                .filter(i -> i % seeds.size() == repetition)
                .mapToObj(all.seeds()::get)
                .toList();
        return all.of(tasks, problems, dealt);
    }

    private Question end(Variant row, int repetition) {
        Evaluate.Settings all = settings.evaluate();
        return new Question(row.made(seeds.get(repetition)), Question.END, row.chain(), evaluation(all.tasks(), all.problems(), repetition));
    }

    /// The questions by step of a row that ends with training, from the model that the training starts with to its result.
    private TreeMap<Integer, Question> steps(Variant row, int repetition) {
        var questions = new TreeMap<Integer, Question>();
        var byStep = settings.study().byStep();
        Optimisation training = row.training();
        if (byStep.tasks().isEmpty() || training == null || !(row.made(seeds.get(repetition)) instanceof Model.Made made)) return questions;
        Evaluate.Settings asked = evaluation(byStep.tasks(), byStep.problems(), repetition);
        questions.put(0, new Question(made.from(), Question.END, row.chain().parent().orElseThrow(), asked));
        training.snapshots().forEach(step -> questions.put(step, new Question(made, step, row.chain(), asked)));
        questions.put(training.steps(), new Question(made, Question.END, row.chain(), asked));
        return questions;
    }

    // ---- rows

    private Measured measured(Variant row) {
        var answers = new ArrayList<Evaluate.Answer>();
        try {
            for (int r = 0; r < seeds.size(); r++) answers.add(pipeline.answer(end(row, r)).join());
        } catch (CompletionException e) {
            String stopped = String.valueOf(Pipeline.cause(e).getMessage());
            var extra = new LinkedHashMap<String, JsonNode>();
            extra.put("label", label(row));
            extra.put("stopped", StringNode.valueOf(stopped));
            return new Measured(row, List.of(), stopped, new Results.Row(row.row().name(), Run.bits(row.row(), row.settings()), new LinkedHashMap<>(), Double.NaN, extra));
        }
        List<List<TaskResult>> results = answers.stream().map(Evaluate.Answer::results).toList();
        Results.Row plain = Run.row(row.row(), row.settings(), results);
        var extra = new LinkedHashMap<>(plain.extra());
        extra.put("label", label(row));
        double[] averages = averages(results);
        if (averages.length > 1) extra.put("deviation", JsonNodeFactory.instance.numberNode(deviation(averages)));
        var folders = JsonNodeFactory.instance.arrayNode();
        for (long seed : seeds) folders.add(pipeline.model(row.made(seed)).join().toString());
        extra.put("models", folders);
        extra.put("evaluations", JsonNodeFactory.instance.arrayNode()
                .addAll(answers.stream().map(answer -> (JsonNode) StringNode.valueOf(answer.directory().toString())).toList()));
        return new Measured(row, results, null, new Results.Row(plain.name(), plain.bits(), plain.scores(), plain.average(), extra));
    }

    private static ObjectNode label(Variant row) {
        ObjectNode label = JsonNodeFactory.instance.objectNode();
        row.row().label().forEach(label::put);
        return label;
    }

    /// The full-precision row of the same model.
    static @Nullable Measured reference(Measured row, List<Measured> all) {
        return all.stream()
                .filter(other -> other.variant.chain().steps().isEmpty() && other.variant.model().equals(row.variant.model()))
                .findFirst()
                .orElse(null);
    }

    private static Measured withDrop(Measured row, @Nullable Measured reference) {
        if (reference == null || row.stopped != null || row.variant.chain().steps().isEmpty()) return row;
        double drop = reference.result.average() - row.result.average();
        return new Measured(row.variant, row.answers, null, row.result.with("drop", drop));
    }

    /// The average over the reasoning tasks in percent, of each repetition, or of each evaluation seed where there is one repetition.
    private double[] averages(List<List<TaskResult>> answers) {
        List<double[][]> right = right(answers);
        if (right.isEmpty()) return new double[0];
        return IntStream.range(0, right.getFirst().length)
                .mapToDouble(r -> 100 * right.stream().mapToDouble(task -> mean(task[r])).average().orElseThrow())
                .toArray();
    }

    /// For each reasoning task `[repetition][problem]`, the share of right answers; the evaluation seeds count as repetitions where there is
    /// no other.
    private List<double[][]> right(List<List<TaskResult>> answers) {
        var tasks = new ArrayList<double[][]>();
        for (int t = 0; t < answers.getFirst().size(); t++) {
            if (!Evaluate.reasons(answers.getFirst().get(t).task())) continue;
            int task = t;
            List<List<List<Boolean>>> repetitions = answers.size() > 1
                    ? answers.stream().map(results -> results.get(task).right()).toList()
                    : answers.getFirst().get(task).right().stream().map(List::of).toList();
            tasks.add(repetitions.stream().map(Study::shares).toArray(double[][]::new));
        }
        return tasks;
    }

    private static double[] shares(List<List<Boolean>> bySeed) {
        return IntStream.range(0, bySeed.getFirst().size())
                .mapToDouble(i -> bySeed.stream().mapToDouble(seed -> seed.get(i) ? 1 : 0).average().orElseThrow())
                .toArray();
    }

    // ---- tables

    private Document.Table scores(List<Measured> measured) {
        List<String> labels = labels();
        var results = new Results(measured.stream().map(Measured::result).toList());
        boolean reference = measured.stream().anyMatch(row -> !Double.isNaN(row.result.number("drop")));
        boolean other = measured.stream().anyMatch(row -> !Double.isNaN(row.result.number("non_reasoning")));
        var header = new ArrayList<>(labels);
        header.addAll(results.tasks());
        header.add(REASONING);
        if (reference) header.add("drop");
        if (other) header.add("non-reasoning");
        var lines = new ArrayList<List<String>>();
        for (Measured row : measured) {
            var line = new ArrayList<>(cells(labels, row.variant));
            for (String task : results.tasks()) {
                Results.Score score = row.result.scores().get(task);
                line.add(score == null ? "-" : value(score.mean(), score.std()));
            }
            line.add(value(row.result.average(), row.result.number("deviation")));
            if (reference) line.add(number("%.2f", row.result.number("drop")));
            if (other) line.add(number("%.2f", row.result.number("non_reasoning")));
            lines.add(line);
        }
        return new Document.Table(header, lines, labels.size());
    }

    private List<String> labels() {
        var labels = new LinkedHashSet<String>();
        rows.forEach(row -> labels.addAll(row.row().label().keySet()));
        return labels.isEmpty() ? List.of("row") : List.copyOf(labels);
    }

    private static List<String> cells(List<String> labels, Variant row) {
        if (row.row().label().isEmpty()) return Stream.concat(Stream.of(row.row().name()), labels.stream().skip(1).map(_ -> "")).toList();
        return labels.stream().map(label -> row.row().label().getOrDefault(label, "")).toList();
    }

    private String protocol(List<Measured> measured) {
        var sizes = new TreeSet<Integer>();
        measured.forEach(row -> row.result.scores().values().forEach(score -> sizes.add(score.problems())));
        var words = new StringBuilder("Percent right, mean ± sample standard deviation over %d evaluation%s (%s) of %s problems a task. "
                .formatted(
                        settings.evaluate().seeds().size(),
                        settings.evaluate().seeds().size() == 1 ? "" : "s",
                        seeds.size() == 1
                                ? "one model, so nothing is known about other training seeds"
                                : seeds.size() + " repetitions of everything that draws data, from calibration on",
                        sizes.stream().map(String::valueOf).collect(Collectors.joining(", "))));
        if (measured.stream().anyMatch(row -> !Double.isNaN(row.result.number("drop")))) words.append("Drop: points of the average below full precision. ");
        for (Measured row : measured) {
            if (row.stopped != null) words.append("Row %s was stopped: %s ".formatted(row.variant.row().name(), row.stopped));
        }
        return words.toString().strip();
    }

    private List<Difference> differences(List<Measured> measured) {
        var byName = new LinkedHashMap<String, Measured>();
        measured.forEach(row -> byName.put(row.variant.row().name(), row));
        return settings.study().compare().stream()
                .map(asked -> {
                    Measured row = byName.get(asked.row());
                    Measured over = byName.get(asked.over());
                    boolean both = row.stopped == null && over.stopped == null;
                    return new Difference(asked, both ? Comparison.of(right(row.answers), right(over.answers)) : null);
                })
                .toList();
    }

    // ---- by step

    private @Nullable Track track(Variant row) {
        TreeMap<Integer, Question> first = steps(row, 0);
        if (first.isEmpty()) return null;
        var accuracy = new ArrayList<Double>();
        var length = new ArrayList<Double>();
        for (int step : first.keySet()) {
            List<TaskResult> results = IntStream.range(0, seeds.size())
                    .mapToObj(r -> pipeline.answer(steps(row, r).get(step)).join().results())
                    .flatMap(List::stream)
                    .toList();
            accuracy.add(100 * results.stream().mapToDouble(TaskResult::accuracy).average().orElseThrow());
            length.add(results.stream().mapToDouble(TaskResult::meanTokens).average().orElseThrow());
        }
        return new Track(first.keySet().stream().mapToDouble(step -> step).toArray(), array(accuracy), array(length));
    }

    private List<Document.Part> byStep(Map<Variant, Track> tracks) {
        var steps = new TreeSet<Double>();
        tracks.values().forEach(track -> Arrays.stream(track.steps).forEach(steps::add));
        List<String> labels = labels();
        var header = new ArrayList<>(labels);
        steps.forEach(step -> header.add("step " + step.intValue()));
        header.add("best");
        var lines = new ArrayList<List<String>>();
        tracks.forEach((row, track) -> {
            var line = new ArrayList<>(cells(labels, row));
            for (double step : steps) {
                int i = Arrays.binarySearch(track.steps, step);
                line.add(i < 0 ? "" : number("%.2f", track.accuracy[i]));
            }
            line.add(number("%.2f", Arrays.stream(track.accuracy).max().orElse(Double.NaN)));
            lines.add(line);
        });
        var byStep = settings.study().byStep();
        return List.of(
                new Document.Table(header, lines, labels.size()),
                new Document.Words("Percent right on %d problems of %s, mean over repetitions. Step 0 is the model that training starts from; best is of these steps."
                        .formatted(byStep.problems(), String.join(", ", byStep.tasks()))));
    }

    /// A metric of a row's last stage, for each step the values of the repetitions.
    private TreeMap<Long, List<Double>> logged(Variant row, String metric) {
        var values = new TreeMap<Long, List<Double>>();
        for (long seed : seeds) {
            Path file = pipeline.model(row.made(seed)).join().resolve("metrics.jsonl");
            if (!Files.isRegularFile(file)) continue;
            for (Metrics.Row step : Metrics.read(file)) {
                Double value = step.values().get(metric);
                if (value != null && Double.isFinite(value)) values.computeIfAbsent(step.step(), _ -> new ArrayList<>()).add(value);
            }
        }
        return values;
    }

    // ---- time and numbers

    /// Seconds on the clock and of processor time of all that this study needs, whoever made it, and how many stages and evaluations that is.
    private double[] time() {
        double[] time = new double[3];
        var directories = new LinkedHashSet<Path>();
        for (CompletableFuture<?> one : pipeline.all()) {
            if (one.isCompletedExceptionally()) continue;
            if (one.join() instanceof Path stage) directories.add(stage);
            if (one.join() instanceof Evaluate.Answer answer) directories.add(answer.directory());
        }
        for (Path directory : directories) {
            Path file = directory.resolve(Session.TIME);
            if (!Files.isRegularFile(file)) continue;
            JsonNode spent = JsonFiles.read(file);
            time[0] += spent.path("seconds").asDouble(0);
            time[1] += spent.path("processor_seconds").asDouble(0);
            time[2]++;
        }
        return time;
    }

    private static String minutes(double seconds) {
        long whole = Math.round(seconds);
        return "%d:%02d minutes".formatted(whole / 60, whole % 60);
    }

    private static String value(double mean, double deviation) {
        if (!Double.isFinite(mean)) return "-";
        return number("%.2f", mean) + (Double.isNaN(deviation) ? "" : String.format(Locale.ROOT, " ± %5.2f", deviation));
    }

    static String number(String format, double value) {
        return Double.isFinite(value) ? String.format(Locale.ROOT, format, value) : "";
    }

    private static double[] array(List<Double> values) {
        return values.stream().mapToDouble(Double::doubleValue).toArray();
    }

    static double mean(List<Double> values) {
        return mean(array(values));
    }

    private static double mean(double[] values) {
        return Arrays.stream(values).average().orElseThrow();
    }

    private static double deviation(double[] values) {
        double mean = mean(values);
        return Math.sqrt(Arrays.stream(values).map(value -> (value - mean) * (value - mean)).sum() / (values.length - 1));
    }
}
