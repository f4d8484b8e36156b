package rqat.report;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import rqat.report.Document.Charts;
import rqat.report.Document.Folded;
import rqat.report.Document.Part;
import rqat.report.Document.Section;
import rqat.report.Document.Table;
import rqat.report.Document.Words;
import rqat.report.Results.Row;
import rqat.report.Results.Score;
import rqat.report.RunFolder.Evaluation;
import rqat.report.RunFolder.Sample;
import rqat.report.RunFolder.Stage;
import rqat.verify.Reason;
import tools.jackson.databind.JsonNode;

/// The report of a run directory: what was measured, how training went, what the models answered and why it counts or not, and how to
/// repeat it. Made from the files alone, finished or not; what is missing or broken is left out and said.
public final class RunReport {

    /// The curves, in the order of the page; each is drawn for the stages that logged it.
    private static final List<Curve> CURVES = List.of(
            new Curve("loss", "Loss", "nats per token", false),
            new Curve("reward/mean", "Reward", "share of right answers", true),
            new Curve("entropy", "Entropy of the policy", "nats per token", true),
            new Curve("length/mean", "Response length", "tokens", true),
            new Curve("truncation_rate", "Truncated responses", "share", true),
            new Curve("groups/zero_variance", "Groups of equal rewards", "share", true),
            new Curve("quant/code_flip_step", "Codes flipped in a step", "share", true),
            new Curve("quant/code_flip_total", "Codes flipped since the start", "share", true),
            new Curve("gradient_norm", "Gradient norm", "", true),
            new Curve("learning_rate", "Learning rate", "", true));

    /// What stages are called on the page, in its order; stages of one kind share their charts.
    private static final SequencedMap<String, String> KINDS = kinds();

    private static final Map<Reason, Integer> REASON_COLOURS = Map.of(Reason.MATCH, 2, Reason.MISMATCH, 1, Reason.TRUNCATED, 4,
            Reason.NO_ANSWER, 3, Reason.UNPARSABLE, 6, Reason.TIMEOUT, 5, Reason.PROGRAM_ERROR, 0);
    private static final Set<String> EVENT_FIELDS = Set.of("step", "event", "type", "kind", "name", "message", "text", "time/at");
    private static final int MIN_POINTS_TO_SMOOTH = 40;
    private static final int SHOWN_HEAD = 3_000;
    private static final int SHOWN_TAIL = 2_000;
    private static final int MAX_SETTINGS = 1_000;
    private static final int MAX_DETAIL = 500;

    private final RunFolder run;

    private RunReport(RunFolder run) {
        this.run = run;
    }

    /// A metric that is drawn.
    private record Curve(String metric, String title, String unit, boolean fromZero) {}

    private static SequencedMap<String, String> kinds() {
        var kinds = new LinkedHashMap<String, String>();
        kinds.put("pretrain", "Pre-training");
        kinds.put("quantize", "Quantisation");
        kinds.put("sft", "Supervised fine-tuning");
        kinds.put("distill", "Distillation");
        kinds.put("grpo", "Reinforcement learning");
        kinds.put("", "Training");
        return kinds;
    }

    /// Writes the report of a run. Parts that are missing or broken are left out with a note on the page.
    ///
    /// @throws rqat.Failure when the directory is absent or the page cannot be written
    public static void write(Path runDirectory, Path html) {
        new RunReport(RunFolder.read(runDirectory)).document().write(html);
    }

    private Document document() {
        Settings settings = Settings.of(run.manifest());
        var sections = new ArrayList<Section>();
        add(sections, "Results", run.results().map(RunReport::results).orElse(List.of()));
        add(sections, "Why answers count or not", verdicts());
        add(sections, "Training", training());
        add(sections, "Completions", samples());
        add(sections, "Events and gates", events());
        add(sections, "Configuration", settings.parts());
        add(sections, "How to repeat this run", repeat());
        return new Document("Reasoning-QAT report", title(settings), facts(settings), run.notes(), sections);
    }

    private static void add(List<Section> sections, String heading, List<Part> parts) {
        if (!parts.isEmpty()) sections.add(new Section(heading, parts));
    }

    private String title(Settings settings) {
        String model = settings.first("model").map(path -> path.replaceAll("/+$", "")).map(path -> path.substring(path.lastIndexOf('/') + 1))
                .filter(name -> !name.isBlank()).orElse(run.name());
        String bits = run.results().stream().flatMap(results -> results.rows().stream()).filter(row -> !isFull(row))
                .map(Row::bits).distinct().collect(Collectors.joining(", "));
        return bits.isEmpty() ? model : model + " at " + bits + (bits.chars().allMatch(c -> c >= '0' && c <= '9' || ",. ".indexOf(c) >= 0) ? " bits" : "");
    }

    private String facts(Settings settings) {
        var facts = new ArrayList<String>();
        facts.add("run " + run.name());
        settings.first("recipe").ifPresent(recipe -> facts.add("recipe " + recipe));
        settings.first("seed").ifPresent(seed -> facts.add("seed " + seed));
        if (!run.stages().isEmpty()) facts.add(count(run.stages().size(), "stage"));
        run.results().ifPresent(results -> facts.add(count(results.rows().size(), "model") + " evaluated on " + count(results.tasks().size(), "task")));
        return String.join(" · ", facts);
    }

    // ---- results

    private static List<Part> results(Results results) {
        if (results.rows().isEmpty()) return List.of();
        var parts = new ArrayList<Part>();
        tiles(results).ifPresent(parts::add);
        List<Row> rows = results.rows();
        double[] averages = rows.stream().mapToDouble(Row::average).toArray();
        double[] errors = rows.stream().mapToDouble(Row::standardError).toArray();
        int[] colours = rows.stream().mapToInt(row -> isFull(row) ? -1 : 0).toArray();
        List<String> names = rows.stream().map(Row::name).toList();
        double reference = results.fullPrecision().map(Row::average).orElse(Double.NaN);
        parts.add(new Charts(List.of(new BarChart("Average accuracy", "percent, with standard error" + (Double.isNaN(reference) ? "" : "; dashed: full precision"), names,
                List.of(new BarChart.Series("average", colours, averages, errors)), reference))));
        parts.add(ResultsTable.of(results));
        parts.add(new Words(ResultsTable.legend(results)));
        ExportsTable.of(results).ifPresent(parts::add);
        List<String> tasks = List.copyOf(results.tasks());
        if (tasks.size() > 1 && tasks.size() <= 7) {
            var series = new ArrayList<BarChart.Series>();
            for (String task : tasks) {
                series.add(BarChart.Series.of(task, series.size(), scores(rows, task, Score::mean), scores(rows, task, Score::std)));
            }
            parts.add(new Charts(List.of(new BarChart("Accuracy by task", "percent, with standard deviation over seeds", names, series, Double.NaN))));
        }
        return parts;
    }

    private static boolean isFull(Row row) {
        return row.width() >= Results.FULL_PRECISION_BITS;
    }

    private static double[] scores(List<Row> rows, String task, ToDoubleFunction<Score> part) {
        return rows.stream().mapToDouble(row -> row.scores().containsKey(task) ? part.applyAsDouble(row.scores().get(task)) : Double.NaN).toArray();
    }

    /// The story in four numbers. "Recovered" is the share of the accuracy that the weakest model of the best model's width has lost.
    private static Optional<Part> tiles(Results results) {
        Optional<Row> full = results.fullPrecision();
        Optional<Row> found = ResultsTable.best(results);
        if (full.isEmpty() || found.isEmpty()) return Optional.empty();
        Row best = found.get();
        Row worst = results.rows().stream()
                .filter(row -> row.bits().equals(best.bits()) && !Double.isNaN(row.average()))
                .min(Comparator.comparingDouble(Row::average))
                .orElseThrow();
        var tiles = new ArrayList<Tile>();
        tiles.add(new Tile("Full precision", decimal(full.get().average(), 1), "", full.get().name()));
        if (worst != best) tiles.add(new Tile("Weakest at " + bits(worst), decimal(worst.average(), 1), "", worst.name()));
        tiles.add(new Tile("Best at " + bits(best), decimal(best.average(), 1), "", best.name()));
        double lost = full.get().average() - worst.average();
        if (worst != best && lost > 0) {
            tiles.add(new Tile("Of the loss recovered", decimal((best.average() - worst.average()) / lost * 100, 0), "%",
                    String.format(Locale.ROOT, "%+.2f to full precision", best.average() - full.get().average())));
        }
        return Optional.of(new Tiles(tiles));
    }

    private static String bits(Row row) {
        return row.bits() + (Double.isNaN(row.width()) ? "" : " bits");
    }

    private record Tile(String label, String value, String unit, String detail) {}

    /// Numbers to remember, for the page.
    private record Tiles(List<Tile> tiles) implements Part {
        @Override
        public String text() {
            return "";
        }

        @Override
        public String html() {
            return tiles.stream()
                    .map(tile -> "<div class=\"tile\"><span class=\"label\">%s</span><span class=\"value\">%s%s</span><span class=\"detail\">%s</span></div>"
                            .formatted(Html.escape(tile.label), tile.value, tile.unit.isEmpty() ? "" : "<small> " + tile.unit + "</small>", Html.escape(tile.detail)))
                    .collect(Collectors.joining("", "<div class=\"tiles\">", "</div>\n"));
        }
    }

    // ---- verdicts and completions

    private List<Part> verdicts() {
        List<Evaluation> evaluations = evaluations(evaluation -> evaluation.count() > 0);
        if (evaluations.isEmpty()) return List.of();
        List<Reason> seen = Stream.of(Reason.values()).filter(reason -> evaluations.stream().anyMatch(evaluation -> evaluation.reasons().containsKey(reason))).toList();
        var named = new LinkedHashMap<String, Evaluation>();
        evaluations.forEach(evaluation -> named.put(rowName(evaluation), evaluation));
        return List.of(new Words("The verifier's reason for each recorded completion."), new Verdicts(seen, named));
    }

    private List<Evaluation> evaluations(java.util.function.Predicate<Evaluation> shown) {
        return run.evaluations().stream().filter(shown).sorted(Comparator.comparingInt(this::order)).toList();
    }

    /// Stacked shares with their numbers, for the page.
    private record Verdicts(List<Reason> seen, SequencedMap<String, Evaluation> evaluations) implements Part {
        @Override
        public String text() {
            return "";
        }

        @Override
        public String html() {
            var html = new StringBuilder("<ul class=\"legend\">");
            seen.forEach(reason -> html.append("<li><i class=\"b%d\"></i>%s</li>".formatted(REASON_COLOURS.get(reason), words(reason))));
            html.append("</ul>\n<div class=\"wide\"><table class=\"verdicts\">\n<thead><tr><th>model</th><th class=\"stack\"></th>");
            seen.forEach(reason -> html.append("<th class=\"n\">").append(words(reason)).append("</th>"));
            html.append("<th class=\"n\">samples</th><th class=\"n\">mean tokens</th></tr></thead>\n<tbody>\n");
            evaluations.forEach((name, evaluation) -> {
                html.append("<tr><th scope=\"row\">").append(Html.escape(name)).append("</th><td class=\"stack\"><div class=\"bar\">");
                evaluation.reasons().forEach((reason, number) -> html.append("<i class=\"b%d\" style=\"flex-grow:%d\" title=\"%s: %d\"></i>".formatted(
                        REASON_COLOURS.get(reason), number, words(reason), number)));
                html.append("</div></td>");
                for (Reason reason : seen) {
                    int number = evaluation.reasons().getOrDefault(reason, 0);
                    html.append("<td class=\"n\">").append(number == 0 ? "-" : decimal(100.0 * number / evaluation.count(), 1) + " %").append("</td>");
                }
                html.append("<td class=\"n\">%d</td><td class=\"n\">%s</td></tr>\n".formatted(evaluation.count(), decimal(evaluation.tokens(), 0)));
            });
            return html.append("</tbody></table></div>\n").toString();
        }
    }

    private List<Part> samples() {
        List<Evaluation> evaluations = evaluations(evaluation -> !evaluation.shown().isEmpty());
        if (evaluations.isEmpty()) return List.of();
        var parts = new ArrayList<Part>();
        parts.add(new Words("The first right, wrong and truncated answers of each model, with what the verifier made of them."));
        for (Evaluation evaluation : evaluations) {
            parts.add(new Folded(rowName(evaluation), count(evaluation.shown().size(), "sample"), evaluation.shown().stream().map(Answer::new).toList()));
        }
        return parts;
    }

    /// A completion with its verdict, for the page.
    private record Answer(Sample sample) implements Part {
        @Override
        public String text() {
            return "";
        }

        @Override
        public String html() {
            return "<article class=\"sample\">\n<p class=\"meta\"><span class=\"badge b%d\">%s %s</span>%s%s%s%s%s%s</p>\n<h4>Prompt</h4>\n<pre class=\"prompt\">%s</pre>\n<h4>Completion</h4>\n<pre>%s</pre>\n</article>\n"
                    .formatted(
                            REASON_COLOURS.get(sample.reason()),
                            sample.reason() == Reason.MATCH ? "✓" : "✗",
                            words(sample.reason()),
                            fact("task", sample.task()),
                            fact("problem", sample.id()),
                            fact("gold", sample.gold()),
                            fact("extracted", sample.extracted()),
                            fact("tokens", sample.tokens()),
                            fact("stop", sample.stop()),
                            shortened(sample.prompt()),
                            shortened(sample.completion()));
        }

        private static String fact(String name, String value) {
            return value.isEmpty() ? "" : "<span class=\"fact\">%s <bdi>%s</bdi></span>".formatted(name, Html.escape(value.length() > 120 ? value.substring(0, 120) + "…" : value));
        }

        /// The beginning and the end of a long text, where the problem and the answer are.
        private static String shortened(String text) {
            if (text.length() <= SHOWN_HEAD + SHOWN_TAIL) return Html.escape(text);
            return "%s\n<span class=\"cut\">%,d characters left out</span>\n%s".formatted(Html.escape(text.substring(0, SHOWN_HEAD)),
                    text.length() - SHOWN_HEAD - SHOWN_TAIL, Html.escape(text.substring(text.length() - SHOWN_TAIL)));
        }
    }

    /// The row of the results that an evaluation directory belongs to: the same name, or the same when reduced to letters and digits.
    private String rowName(Evaluation evaluation) {
        int order = order(evaluation);
        return order < Integer.MAX_VALUE ? run.results().orElseThrow().rows().get(order).name() : evaluation.directory();
    }

    private int order(Evaluation evaluation) {
        List<Row> rows = run.results().map(Results::rows).orElse(List.of());
        for (int i = 0; i < rows.size(); i++) {
            if (reduced(rows.get(i).name()).equals(reduced(evaluation.directory()))) return i;
        }
        return Integer.MAX_VALUE;
    }

    private static String reduced(String name) {
        return name.toLowerCase(Locale.ROOT).codePoints().filter(Character::isLetterOrDigit)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append).toString();
    }

    private static String words(Reason reason) {
        return reason.name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }

    // ---- training

    private List<Part> training() {
        var parts = new ArrayList<Part>();
        KINDS.forEach((kind, title) -> {
            List<Stage> stages = run.stages().stream()
                    .filter(stage -> !stage.metrics().isEmpty() && kind.equals(KINDS.containsKey(stage.kind()) ? stage.kind() : ""))
                    .toList();
            var charts = new ArrayList<Chart>();
            for (Curve curve : CURVES) {
                List<LineChart.Series> series = stages.stream().filter(stage -> stage.has(curve.metric))
                        .map(stage -> series(stage, stages.indexOf(stage), stage.metrics().get(curve.metric))).toList();
                if (series.isEmpty()) continue;
                int points = series.stream().mapToInt(one -> one.x().length).max().orElse(0);
                charts.add(new LineChart(curve.title, curve.unit, "step", series, curve.fromZero, points >= MIN_POINTS_TO_SMOOTH && !curve.metric.equals("learning_rate") ? points / 20 : 0));
            }
            if (charts.isEmpty()) return;
            parts.add(new Heading(title));
            parts.add(new Charts(charts));
        });
        if (!parts.isEmpty()) parts.add(new Words("Thin lines are the values of single steps, thick lines their moving average. Point at a line to read it."));
        return parts;
    }

    private record Heading(String words) implements Part {
        @Override
        public String text() {
            return words + "\n";
        }

        @Override
        public String html() {
            return "<h3>" + Html.escape(words) + "</h3>\n";
        }
    }

    private static LineChart.Series series(Stage stage, int colour, TreeMap<Double, Double> values) {
        return new LineChart.Series(stage.name(), colour, values.keySet().stream().mapToDouble(Double::doubleValue).toArray(),
                values.values().stream().mapToDouble(Double::doubleValue).toArray());
    }

    // ---- events, configuration, repetition

    private List<Part> events() {
        var lines = new ArrayList<List<String>>();
        var marks = new TreeMap<Integer, String>();
        for (Stage stage : run.stages()) {
            for (JsonNode event : stage.events()) {
                String name = text(event, "event", "type", "kind", "name");
                String lower = name.toLowerCase(Locale.ROOT);
                if (lower.contains("gate") || lower.contains("warn")) marks.put(lines.size(), "gate");
                lines.add(List.of(stage.name(), text(event, "step"), name, detail(event)));
            }
            if (stage.eventCount() > stage.events().size()) {
                lines.add(List.of(stage.name(), "", "", "and %d more in its events.jsonl".formatted(stage.eventCount() - stage.events().size())));
            }
        }
        return lines.isEmpty() ? List.of() : List.of(new Table(List.of("stage", "step", "event", "detail"), lines, 4, marks));
    }

    private static String text(JsonNode object, String... fields) {
        for (String field : fields) {
            if (object.path(field).isValueNode() && !object.path(field).isNull()) return object.path(field).asString();
        }
        return "";
    }

    private static String detail(JsonNode event) {
        String rest = event.properties().stream().filter(entry -> !EVENT_FIELDS.contains(entry.getKey()))
                .map(entry -> entry.getKey() + " " + (entry.getValue().isValueNode() ? entry.getValue().asString() : entry.getValue().toString()))
                .collect(Collectors.joining(", "));
        String message = text(event, event.has("text") ? "text" : "message");
        String detail = message.isEmpty() || rest.isEmpty() ? message + rest : message + " (" + rest + ")";
        return detail.length() > MAX_DETAIL ? detail.substring(0, MAX_DETAIL) + "…" : detail;
    }

    private List<Part> repeat() {
        String command = run.manifest().map(manifest -> {
            JsonNode given = manifest.path("command");
            if (given.isArray()) return given.valueStream().map(argument -> quoted(argument.asString(""))).collect(Collectors.joining(" "));
            return given.asString("");
        }).filter(given -> !given.isBlank()).orElse("rqat run RECIPE.yaml --out " + quoted(run.name()));
        return List.of(
                new Command(command),
                new Words("Seeds, versions and the hashes of all inputs are in manifest.json; on one machine the same command gives the same numbers."));
    }

    private record Command(String line) implements Part {
        @Override
        public String text() {
            return line + "\n";
        }

        @Override
        public String html() {
            return "<pre class=\"command\">" + Html.escape(line) + "</pre>\n";
        }
    }

    private static String quoted(String argument) {
        return argument.matches("[A-Za-z0-9_./:=,@+-]+") ? argument : "'" + argument.replace("'", "'\\''") + "'";
    }

    /// The manifest as dotted keys: the resolved configuration with the origin of each value, then what else is in it.
    private record Settings(SequencedMap<String, String> values, Map<String, String> origins) {

        static Settings of(Optional<JsonNode> manifest) {
            var values = new LinkedHashMap<String, String>();
            var origins = new LinkedHashMap<String, String>();
            manifest.ifPresent(tree -> {
                flatten(tree.path("configuration"), "", values);
                tree.path("origins").properties().forEach(entry -> origins.put(entry.getKey(), entry.getValue().asString("")));
                tree.properties().stream().filter(entry -> !Set.of("configuration", "origins", "command").contains(entry.getKey()))
                        .forEach(entry -> flatten(entry.getValue(), entry.getKey(), values));
            });
            return new Settings(values, origins);
        }

        private static void flatten(JsonNode node, String key, Map<String, String> values) {
            if (values.size() >= MAX_SETTINGS || node.isMissingNode()) return;
            if (node.isObject()) {
                node.properties().forEach(entry -> flatten(entry.getValue(), key.isEmpty() ? entry.getKey() : key + "." + entry.getKey(), values));
            } else {
                values.put(key, node.isValueNode() ? node.asString() : node.toString());
            }
        }

        List<Part> parts() {
            if (values.isEmpty()) return List.of();
            var lines = values.entrySet().stream().map(entry -> List.of(entry.getKey(), entry.getValue(), origins.getOrDefault(entry.getKey(), ""))).toList();
            return List.of(new Folded(count(values.size(), "value"), "from manifest.json, with their origin", List.of(new Table(List.of("key", "value", "origin"), lines, 3))));
        }

        /// The value of a key at any depth, the shallowest first.
        Optional<String> first(String name) {
            return values.entrySet().stream().filter(entry -> entry.getKey().equals(name) || entry.getKey().endsWith("." + name))
                    .min(Comparator.comparingLong(entry -> entry.getKey().chars().filter(c -> c == '.').count())).map(Map.Entry::getValue);
        }
    }

    private static String count(int number, String noun) {
        return String.format(Locale.ROOT, "%,d %s%s", number, noun, number == 1 ? "" : "s");
    }

    private static String decimal(double value, int places) {
        return Double.isFinite(value) ? String.format(Locale.ROOT, "%." + places + "f", value) : "-";
    }
}
