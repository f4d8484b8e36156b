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
import rqat.io.AtomicFiles;
import rqat.report.Results.Row;
import rqat.report.Results.Score;
import rqat.report.RunFolder.Evaluation;
import rqat.report.RunFolder.Sample;
import rqat.report.RunFolder.Stage;
import rqat.verify.Reason;
import tools.jackson.databind.JsonNode;

/// One self-contained HTML page about a run: what was run, what came out, how training went, what the models write, how to repeat it.
///
/// The page loads nothing, runs nothing (a content security policy forbids both, whatever a completion contains) and follows the reader's
/// light or dark preference. It is a pure function of the run directory.
public final class HtmlReport {

    /// The curves, in the order of the page; each is drawn for the stages that logged it.
    private static final List<Curve> CURVES = List.of(
            new Curve("loss", "Loss", "nats per token", false),
            new Curve("reward/mean", "Reward", "share of right answers", true),
            new Curve("entropy", "Entropy of the policy", "nats per token", true),
            new Curve("length/mean", "Response length", "tokens", true),
            new Curve("truncation_rate", "Truncated responses", "share", true),
            new Curve("groups/zero_variance", "Groups of equal rewards", "share", true),
            new Curve("validation/accuracy", "Validation accuracy", "share", true),
            new Curve("validation/kl", "Validation KL to the teacher", "nats per token", true),
            new Curve("quant/code_flip_step", "Codes flipped in a step", "share", true),
            new Curve("quant/code_flip_total", "Codes flipped since the start", "share", true),
            new Curve("gradient_norm", "Gradient norm", "", true),
            new Curve("learning_rate", "Learning rate", "", true));

    private static final Map<Reason, Integer> REASON_COLOURS = Map.of(Reason.MATCH, 2, Reason.MISMATCH, 1, Reason.TRUNCATED, 4,
            Reason.NO_ANSWER, 3, Reason.UNPARSABLE, 6, Reason.TIMEOUT, 5, Reason.PROGRAM_ERROR, 0);
    private static final Set<String> EVENT_FIELDS = Set.of("step", "event", "type", "kind", "name", "message", "text", "time/at");
    private static final int MIN_POINTS_TO_SMOOTH = 40;
    private static final int SHOWN_HEAD = 3_000;
    private static final int SHOWN_TAIL = 2_000;
    private static final int MAX_SETTINGS = 1_000;

    private final RunFolder run;
    private final StringBuilder page = new StringBuilder();

    private HtmlReport(RunFolder run) {
        this.run = run;
    }

    /// A metric that is drawn.
    private record Curve(String metric, String title, String unit, boolean fromZero) {}

    /// What a stage does, judged by what it logs and by its name; stages of one kind share their charts.
    private enum Kind {
        PRETRAINING("Pre-training"),
        QUANTISATION("Quantisation"),
        FINE_TUNING("Supervised fine-tuning"),
        DISTILLATION("Distillation"),
        REINFORCEMENT("Reinforcement learning"),
        OTHER("Training");

        private final String title;

        Kind(String title) {
            this.title = title;
        }

        static Kind of(Stage stage) {
            String name = stage.name().toLowerCase(Locale.ROOT);
            if (stage.has("reward/mean") || name.contains("grpo") || name.contains("reinforce")) {
                return REINFORCEMENT;
            }
            if (name.contains("pretrain")) {
                return PRETRAINING;
            }
            if (name.contains("kd") || name.contains("distil")) {
                return DISTILLATION;
            }
            if (name.contains("sft") || name.contains("fine")) {
                return FINE_TUNING;
            }
            return name.contains("quanti") || name.contains("rtn") || name.contains("gptq") || name.contains("ptq") ? QUANTISATION : OTHER;
        }
    }

    /// Writes the report of a run. Parts that are missing or broken are left out with a note on the page.
    ///
    /// @throws rqat.Failure when the directory is absent or the page cannot be written
    public static void write(Path runDirectory, Path html) {
        AtomicFiles.write(html, new HtmlReport(RunFolder.read(runDirectory)).page());
    }

    private String page() {
        Settings settings = Settings.of(run.manifest());
        String title = title(settings);
        header(title, settings);
        notes();
        run.results().ifPresent(this::results);
        verdicts();
        training();
        samples();
        events();
        configuration(settings);
        repeat();
        return Html.page(title, page.toString());
    }

    private String title(Settings settings) {
        String model = settings.first("model").map(path -> path.replaceAll("/+$", "")).map(path -> path.substring(path.lastIndexOf('/') + 1))
                .filter(name -> !name.isBlank()).orElse(run.name());
        String bits = run.results().stream().flatMap(results -> results.rows().stream()).filter(row -> !(row.width() >= 16))
                .map(Row::bits).distinct().collect(Collectors.joining(", "));
        return bits.isEmpty() ? model : model + " at " + bits + (bits.chars().allMatch(c -> c >= '0' && c <= '9' || ",. ".indexOf(c) >= 0) ? " bits" : "");
    }

    private void header(String title, Settings settings) {
        add("<header>\n<p class=\"kicker\">Reasoning-QAT report</p>\n<h1>%s</h1>\n".formatted(Html.escape(title)));
        var facts = new ArrayList<String>();
        facts.add("Run <b>" + Html.escape(run.name()) + "</b>");
        settings.first("recipe").ifPresent(recipe -> facts.add("recipe <b>" + Html.escape(recipe) + "</b>"));
        settings.first("seed").ifPresent(seed -> facts.add("seed <b>" + Html.escape(seed) + "</b>"));
        if (!run.stages().isEmpty()) {
            facts.add(count(run.stages().size(), "stage"));
        }
        run.results().ifPresent(results -> facts.add(count(results.rows().size(), "model") + " evaluated on " + count(results.tasks().size(), "task")));
        add("<p class=\"facts\">").add(String.join(" · ", facts)).add("</p>\n</header>\n");
    }

    private void notes() {
        if (!run.notes().isEmpty()) {
            add("<aside class=\"notes\" role=\"note\"><h2>Not everything could be read</h2><ul>");
            run.notes().forEach(note -> add("<li>" + Html.escape(note) + "</li>"));
            add("</ul></aside>\n");
        }
    }

    // ---- results

    private void results(Results results) {
        if (results.rows().isEmpty()) {
            return;
        }
        add("<section>\n<h2>Results</h2>\n");
        tiles(results);
        List<Row> rows = results.rows();
        double[] averages = rows.stream().mapToDouble(row -> row.average()).toArray();
        double[] errors = rows.stream().mapToDouble(row -> row.standardError()).toArray();
        int[] colours = rows.stream().mapToInt(row -> row.width() >= 16 ? -1 : 0).toArray();
        List<String> names = rows.stream().map(Row::name).toList();
        double reference = results.fullPrecision().map(row -> row.average()).orElse(Double.NaN);
        figure(new BarChart("Average accuracy", "percent, with standard error" + (Double.isNaN(reference) ? "" : "; dashed: full precision"), names,
                List.of(new BarChart.Series("average", colours, averages, errors)), reference));
        resultsTable(results);
        List<String> tasks = List.copyOf(results.tasks());
        if (tasks.size() > 1 && tasks.size() <= 7) {
            var series = new ArrayList<BarChart.Series>();
            for (String task : tasks) {
                series.add(BarChart.Series.of(task, series.size(), scores(rows, task, Score::mean), scores(rows, task, Score::std)));
            }
            figure(new BarChart("Accuracy by task", "percent, with standard deviation over seeds", names, series, Double.NaN));
        }
        add("</section>\n");
    }

    private static double[] scores(List<Row> rows, String task, ToDoubleFunction<Score> part) {
        return rows.stream().mapToDouble(row -> row.scores().containsKey(task) ? part.applyAsDouble(row.scores().get(task)) : Double.NaN).toArray();
    }

    /// The story in four numbers. "Recovered" is the share of the accuracy that the weakest model of the best model's width has lost.
    private void tiles(Results results) {
        Optional<Row> full = results.fullPrecision();
        List<Row> low = results.rows().stream().filter(row -> !(row.width() >= 16) && !Double.isNaN(row.average())).toList();
        if (full.isEmpty() || low.isEmpty()) {
            return;
        }
        Row best = low.stream().max(Comparator.comparingDouble(Row::average)).orElseThrow();
        Row worst = low.stream().filter(row -> row.bits().equals(best.bits())).min(Comparator.comparingDouble(Row::average)).orElseThrow();
        add("<div class=\"tiles\">");
        tile("Full precision", decimal(full.get().average(), 1), full.get().name());
        if (worst != best) {
            tile("Weakest at " + bits(worst), decimal(worst.average(), 1), worst.name());
        }
        tile("Best at " + bits(best), decimal(best.average(), 1), best.name());
        double lost = full.get().average() - worst.average();
        if (worst != best && lost > 0) {
            tile("Of the loss recovered", decimal((best.average() - worst.average()) / lost * 100, 0) + "<small> %</small>",
                    signed((best.average() - full.get().average())) + " to full precision");
        }
        add("</div>\n");
    }

    private static String bits(Row row) {
        return row.bits() + (Double.isNaN(row.width()) ? "" : " bits");
    }

    private void tile(String label, String valueHtml, String detail) {
        add("<div class=\"tile\"><span class=\"label\">%s</span><span class=\"value\">%s</span><span class=\"detail\">%s</span></div>"
                .formatted(Html.escape(label), valueHtml, Html.escape(detail)));
    }

    private void resultsTable(Results results) {
        Optional<Row> full = results.fullPrecision();
        boolean nonReasoning = results.rows().stream().anyMatch(row -> !Double.isNaN(row.number("non_reasoning")));
        boolean seconds = results.rows().stream().anyMatch(row -> !Double.isNaN(row.number("seconds")));
        Row best = results.rows().stream().filter(row -> !(row.width() >= 16) && !Double.isNaN(row.average())).max(Comparator.comparingDouble(Row::average)).orElse(null);
        add("<div class=\"wide\"><table class=\"results\">\n<thead><tr><th>Model</th><th class=\"n\">Bits</th>");
        results.tasks().forEach(task -> add("<th class=\"n\">" + Html.escape(task) + "</th>"));
        add("<th class=\"n\">Average</th>").add(full.isPresent() ? "<th class=\"n\">Δ</th>" : "").add(nonReasoning ? "<th class=\"n\">Non-reasoning</th>" : "")
                .add(seconds ? "<th class=\"n\">Seconds</th>" : "").add("</tr></thead>\n<tbody>\n");
        for (Row row : results.rows()) {
            String cssClass = full.filter(reference -> reference == row).isPresent() ? " class=\"reference\"" : row == best ? " class=\"best\"" : "";
            add("<tr%s><th scope=\"row\">%s</th><td class=\"n\">%s</td>".formatted(cssClass, Html.escape(row.name()), Html.escape(row.bits())));
            for (String task : results.tasks()) {
                Score score = row.scores().get(task);
                add("<td class=\"n\">").add(score == null ? "–" : decimal(score.mean(), 2)
                        + (Double.isNaN(score.std()) ? "" : "<span class=\"std\"> ± " + decimal(score.std(), 2) + "</span>")).add("</td>");
            }
            add("<td class=\"n average\">" + decimal(row.average(), 2) + "</td>");
            full.ifPresent(reference -> add("<td class=\"n delta\">" + (reference == row ? "" : signed((row.average() - reference.average()))) + "</td>"));
            add(nonReasoning ? "<td class=\"n\">" + decimal(row.number("non_reasoning"), 2) + "</td>" : "");
            add(seconds ? "<td class=\"n\">" + decimal(row.number("seconds"), 1) + "</td>" : "").add("</tr>\n");
        }
        add("</tbody></table></div>\n<p class=\"caption\">%s</p>\n".formatted(Html.escape(protocol(results, full.isPresent()))));
    }

    private static String protocol(Results results, boolean hasReference) {
        var tasks = new ArrayList<String>();
        for (String task : results.tasks()) {
            results.rows().stream().map(row -> row.scores().get(task)).filter(score -> score != null && score.problems() > 0).findFirst()
                    .ifPresent(score -> tasks.add("%s: %s, %s".formatted(task, count(score.problems(), "problem"), count(score.seeds(), "seed"))));
        }
        return "Percent right, mean ± sample standard deviation over seeds." + (hasReference ? " Δ is the distance of the average to full precision, in points." : "")
                + (tasks.isEmpty() ? "" : " " + String.join("; ", tasks) + ".");
    }

    // ---- verdicts and completions

    private void verdicts() {
        List<Evaluation> evaluations = run.evaluations().stream().filter(evaluation -> evaluation.count() > 0).sorted(Comparator.comparingInt(this::order)).toList();
        if (evaluations.isEmpty()) {
            return;
        }
        List<Reason> seen = Stream.of(Reason.values()).filter(reason -> evaluations.stream().anyMatch(evaluation -> evaluation.reasons().containsKey(reason))).toList();
        add("<section>\n<h2>Why answers count or not</h2>\n<p>The verifier's reason for each recorded completion.</p>\n<ul class=\"legend\">");
        seen.forEach(reason -> add("<li><i class=\"b%d\"></i>%s</li>".formatted(REASON_COLOURS.get(reason), words(reason))));
        add("</ul>\n<div class=\"wide\"><table class=\"verdicts\">\n<thead><tr><th>Model</th><th class=\"stack\"></th>");
        seen.forEach(reason -> add("<th class=\"n\">" + words(reason) + "</th>"));
        add("<th class=\"n\">Samples</th><th class=\"n\">Mean tokens</th></tr></thead>\n<tbody>\n");
        for (Evaluation evaluation : evaluations) {
            add("<tr><th scope=\"row\">" + Html.escape(rowName(evaluation)) + "</th><td class=\"stack\"><div class=\"bar\">");
            evaluation.reasons().forEach((reason, number) -> add("<i class=\"b%d\" style=\"flex-grow:%d\" title=\"%s: %d\"></i>".formatted(
                    REASON_COLOURS.get(reason), number, words(reason), number)));
            add("</div></td>");
            for (Reason reason : seen) {
                int number = evaluation.reasons().getOrDefault(reason, 0);
                add("<td class=\"n\">" + (number == 0 ? "–" : decimal(100.0 * number / evaluation.count(), 1) + " %") + "</td>");
            }
            add("<td class=\"n\">%d</td><td class=\"n\">%s</td></tr>\n".formatted(evaluation.count(), decimal(evaluation.tokens(), 0)));
        }
        add("</tbody></table></div>\n</section>\n");
    }

    private void samples() {
        List<Evaluation> evaluations = run.evaluations().stream().filter(evaluation -> !evaluation.shown().isEmpty()).sorted(Comparator.comparingInt(this::order)).toList();
        if (evaluations.isEmpty()) {
            return;
        }
        add("<section>\n<h2>Completions</h2>\n<p>The first right, wrong and truncated answers of each model, with what the verifier made of them.</p>\n");
        for (Evaluation evaluation : evaluations) {
            add("<details><summary>%s <span class=\"muted\">%s</span></summary>\n".formatted(Html.escape(rowName(evaluation)), count(evaluation.shown().size(), "sample")));
            evaluation.shown().forEach(this::sample);
            add("</details>\n");
        }
        add("</section>\n");
    }

    private void sample(Sample sample) {
        add("<article class=\"sample\">\n<p class=\"meta\"><span class=\"badge b%d\">%s %s</span>".formatted(
                REASON_COLOURS.get(sample.reason()), sample.reason() == Reason.MATCH ? "✓" : "✗", words(sample.reason())));
        fact("task", sample.task());
        fact("problem", sample.id());
        fact("gold", sample.gold());
        fact("extracted", sample.extracted());
        fact("tokens", sample.tokens());
        fact("stop", sample.stop());
        add("</p>\n<h4>Prompt</h4>\n<pre class=\"prompt\">%s</pre>\n<h4>Completion</h4>\n<pre>%s</pre>\n</article>\n".formatted(
                shortened(sample.prompt()), shortened(sample.completion())));
    }

    private void fact(String name, String value) {
        if (!value.isEmpty()) {
            add("<span class=\"fact\">%s <bdi>%s</bdi></span>".formatted(name, Html.escape(value.length() > 120 ? value.substring(0, 120) + "…" : value)));
        }
    }

    /// The beginning and the end of a long text, where the problem and the answer are.
    private static String shortened(String text) {
        if (text.length() <= SHOWN_HEAD + SHOWN_TAIL) {
            return Html.escape(text);
        }
        return "%s\n<span class=\"cut\">%,d characters left out</span>\n%s".formatted(Html.escape(text.substring(0, SHOWN_HEAD)),
                text.length() - SHOWN_HEAD - SHOWN_TAIL, Html.escape(text.substring(text.length() - SHOWN_TAIL)));
    }

    /// The row of the results that an evaluation directory belongs to: the same name, or the same when reduced to letters and digits.
    private String rowName(Evaluation evaluation) {
        int order = order(evaluation);
        return order < Integer.MAX_VALUE ? run.results().orElseThrow().rows().get(order).name() : evaluation.directory();
    }

    private int order(Evaluation evaluation) {
        List<Row> rows = run.results().map(Results::rows).orElse(List.of());
        for (int i = 0; i < rows.size(); i++) {
            if (reduced(rows.get(i).name()).equals(reduced(evaluation.directory()))) {
                return i;
            }
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

    private void training() {
        var kinds = new TreeMap<Kind, List<Stage>>();
        for (Stage stage : run.stages()) {
            if (!stage.metrics().isEmpty()) {
                kinds.computeIfAbsent(Kind.of(stage), _ -> new ArrayList<>()).add(stage);
            }
        }
        if (kinds.isEmpty()) {
            return;
        }
        add("<section>\n<h2>Training</h2>\n");
        kinds.forEach((kind, stages) -> {
            add("<h3>%s</h3>\n<div class=\"charts\">\n".formatted(kind.title));
            for (Curve curve : CURVES) {
                List<LineChart.Series> series = stages.stream().filter(stage -> stage.has(curve.metric))
                        .map(stage -> series(stage, stages.indexOf(stage), stage.metrics().get(curve.metric))).toList();
                if (!series.isEmpty()) {
                    int points = series.stream().mapToInt(one -> one.x().length).max().orElse(0);
                    figure(new LineChart(curve.title, curve.unit, "step", series, curve.fromZero, points >= MIN_POINTS_TO_SMOOTH && !curve.metric.equals("learning_rate") ? points / 20 : 0));
                }
            }
            add("</div>\n");
        });
        add("<p class=\"caption\">Thin lines are the values of single steps, thick lines their moving average. Point at a line to read it.</p>\n</section>\n");
    }

    private static LineChart.Series series(Stage stage, int colour, TreeMap<Double, Double> values) {
        return new LineChart.Series(stage.name(), colour, values.keySet().stream().mapToDouble(Double::doubleValue).toArray(),
                values.values().stream().mapToDouble(Double::doubleValue).toArray());
    }

    private void figure(Chart chart) {
        add("<figure>").add(chart.svg()).add("</figure>\n");
    }

    // ---- events, configuration, repetition

    private void events() {
        List<Stage> stages = run.stages().stream().filter(stage -> !stage.events().isEmpty()).toList();
        if (stages.isEmpty()) {
            return;
        }
        add("<section>\n<h2>Events and gates</h2>\n<div class=\"wide\"><table class=\"events\">\n");
        add("<thead><tr><th>Stage</th><th class=\"n\">Step</th><th>Event</th><th>Detail</th></tr></thead>\n<tbody>\n");
        for (Stage stage : stages) {
            for (JsonNode event : stage.events()) {
                String name = text(event, "event", "type", "kind", "name");
                boolean gate = name.toLowerCase(Locale.ROOT).contains("gate") || name.toLowerCase(Locale.ROOT).contains("warn");
                add("<tr%s><th scope=\"row\">%s</th><td class=\"n\">%s</td><td>%s</td><td>%s</td></tr>\n".formatted(gate ? " class=\"gate\"" : "",
                        Html.escape(stage.name()), Html.escape(text(event, "step")), Html.escape(name), Html.escape(detail(event))));
            }
            if (stage.eventCount() > stage.events().size()) {
                add("<tr><th scope=\"row\">%s</th><td></td><td></td><td>and %d more in its events.jsonl</td></tr>\n".formatted(
                        Html.escape(stage.name()), stage.eventCount() - stage.events().size()));
            }
        }
        add("</tbody></table></div>\n</section>\n");
    }

    private static String text(JsonNode object, String... fields) {
        for (String field : fields) {
            if (object.path(field).isValueNode() && !object.path(field).isNull()) {
                return object.path(field).asString();
            }
        }
        return "";
    }

    private static String detail(JsonNode event) {
        String rest = event.properties().stream().filter(entry -> !EVENT_FIELDS.contains(entry.getKey()))
                .map(entry -> entry.getKey() + " " + (entry.getValue().isValueNode() ? entry.getValue().asString() : entry.getValue().toString()))
                .collect(Collectors.joining(", "));
        String message = text(event, event.has("text") ? "text" : "message");
        String detail = message.isEmpty() || rest.isEmpty() ? message + rest : message + " (" + rest + ")";
        return detail.length() > 500 ? detail.substring(0, 500) + "…" : detail;
    }

    private void configuration(Settings settings) {
        if (settings.values.isEmpty()) {
            return;
        }
        add("<section>\n<h2>Configuration</h2>\n<details><summary>%s <span class=\"muted\">from manifest.json, with their origin</span></summary>\n".formatted(count(settings.values.size(), "value")));
        add("<div class=\"wide\"><table class=\"settings\">\n<thead><tr><th>Key</th><th>Value</th><th>Origin</th></tr></thead>\n<tbody>\n");
        settings.values.forEach((key, value) -> add("<tr><th scope=\"row\">%s</th><td>%s</td><td class=\"muted\">%s</td></tr>\n".formatted(
                Html.escape(key), Html.escape(value), Html.escape(settings.origins.getOrDefault(key, "")))));
        add("</tbody></table></div>\n</details>\n</section>\n");
    }

    private void repeat() {
        String command = run.manifest().map(manifest -> {
            JsonNode given = manifest.path("command");
            if (given.isArray()) {
                return given.valueStream().map(argument -> quoted(argument.asString(""))).collect(Collectors.joining(" "));
            }
            return given.asString("");
        }).filter(given -> !given.isBlank()).orElse("rqat run RECIPE.yaml --out " + quoted(run.name()));
        add("<section>\n<h2>How to repeat this run</h2>\n<pre class=\"command\">%s</pre>\n<p class=\"caption\">Seeds, versions and the hashes of all inputs are in manifest.json; "
                .formatted(Html.escape(command)) + "on one machine the same command gives the same numbers.</p>\n</section>\n");
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
            if (values.size() >= MAX_SETTINGS || node.isMissingNode()) {
                return;
            }
            if (node.isObject()) {
                node.properties().forEach(entry -> flatten(entry.getValue(), key.isEmpty() ? entry.getKey() : key + "." + entry.getKey(), values));
            } else {
                values.put(key, node.isValueNode() ? node.asString() : node.toString());
            }
        }

        /// The value of a key at any depth, the shallowest first.
        Optional<String> first(String name) {
            return values.entrySet().stream().filter(entry -> entry.getKey().equals(name) || entry.getKey().endsWith("." + name))
                    .min(Comparator.comparingLong(entry -> entry.getKey().chars().filter(c -> c == '.').count())).map(Map.Entry::getValue);
        }
    }

    // ---- text

    private static String count(int number, String noun) {
        return String.format(Locale.ROOT, "%,d %s%s", number, noun, number == 1 ? "" : "s");
    }

    private static String decimal(double value, int places) {
        return Double.isFinite(value) ? String.format(Locale.ROOT, "%." + places + "f", value) : "–";
    }

    private static String signed(double value) {
        return Double.isFinite(value) ? String.format(Locale.ROOT, "%+.2f", value).replace('-', '−') : "–";
    }

    private HtmlReport add(String markup) {
        page.append(markup);
        return this;
    }
}
