package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import rqat.Failure;
import rqat.eval.TaskResult;
import rqat.format.ModelFiles;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.quant.LoadedModel;
import rqat.recipe.Pipeline.Model;
import rqat.recipe.Pipeline.Question;
import rqat.report.RunReport;
import rqat.report.Results;
import rqat.run.Checksums;
import rqat.run.Configuration;
import rqat.run.Manifest;
import rqat.run.Progress;
import rqat.run.StageDirectory;
import rqat.tensor.Torch;
import rqat.text.Tokenizer;
import tools.jackson.databind.node.DoubleNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// The whole workflow: every row of the results table is a [Chain] of stages, stages that rows have in common are made once, and every row
/// is evaluated ([Pipeline]). Only chains stages: each reads and writes model directories that can be looked at, resumed and reused alone.
/// The plain case of a [Study]: one repetition, the same settings for all rows, and directories named by their chain.
public final class Run {
    /// What a finished run or study has beside its stages and evaluations.
    static final List<String> CHECKED = List.of("manifest.json", "results.json", "report.html");

    private Run() {}

    /// Runs what is missing of a run and writes `manifest.json`, `results.json` and `report.html` into `output`.
    ///
    /// @param command what the user typed, for the manifest
    /// @param model   the full-precision model's directory
    /// @throws Failure of the first stage that failed, after the others were stopped at their next checkpoint; USAGE when a row has settings
    ///                 of its own, which take a study
    public static Results run(
            List<String> command, Configuration.Resolved<RunSettings> configuration, Path model, Path output, Progress progress) {
        RunSettings settings = configuration.value();
        for (RecipeRow row : settings.rows()) {
            if (!row.set().isEmpty()) {
                throw Failure.usage("row `%s` has settings of its own; run this recipe with `rqat study`".formatted(row.name()));
            }
        }
        Torch.compute(settings.compute());
        // A model that cannot be used is refused before anything is written.
        LoadedModel.open(model).close();
        Tokenizer.load(model);
        Path manifest = output.resolve("manifest.json");
        Runnable write = () -> Manifest.write(
                manifest, command, configuration, Map.of("model", ModelFiles.sha256(model)), Map.of("run", settings.seed()));
        if (!Files.exists(manifest)) write.run();
        boolean finished = isFinished(settings, output) && Files.exists(output.resolve(Checksums.FILE));
        // What is about to change has no checksum.
        if (!finished) AtomicFiles.delete(output.resolve(Checksums.FILE));
        var session = new Session(settings.seed(), settings.compute(), settings.threads(), settings.kvCacheGib(), progress).telling(settings.log().server());
        try (var pipeline = new Pipeline(session, settings.jobs(), output)) {
            Results results = rows(pipeline, settings, model);
            // Rows may have been added, or an unfinished run repeated with other settings.
            boolean changed = !JsonFiles.read(manifest).path("configuration").equals(JsonFiles.normalised(configuration.tree()));
            if (changed) write.run();
            results.write(output.resolve("results.json"));
            if (!settings.export().isEmpty()) {
                // What was measured is on disk before anything else can go wrong.
                RunReport.write(output, output.resolve("report.html"));
                Path last = pipeline.model(Model.of(model, settings.rows().getLast().steps(), settings, settings.seed())).join();
                results = results.with("exports", Export.run(session, settings, results, last, model, output));
                results.write(output.resolve("results.json"));
            }
            RunReport.write(output, output.resolve("report.html"));
            if (!finished) Checksums.write(output, CHECKED);
            else CHECKED.stream().filter(name -> changed || !name.equals("manifest.json")).forEach(name -> Checksums.renew(output, name));
            return results;
        }
    }

    /// Whether every row of this run is there already.
    public static boolean isFinished(RunSettings settings, Path output) {
        return Export.isFinished(settings, output)
                && settings.rows().stream().allMatch(row -> Files.exists(evaluation(output, row).resolve(StageDirectory.FINISHED)))
                && Files.exists(output.resolve("results.json"))
                && Files.exists(output.resolve("report.html"));
    }

    private static Path evaluation(Path output, RecipeRow row) {
        return output.resolve("evaluations").resolve(row.steps().name());
    }

    private static Results rows(Pipeline pipeline, RunSettings settings, Path model) {
        // The first of the queue is the chain with most still to come.
        List<RecipeRow> longestFirst = new ArrayList<>(settings.rows());
        longestFirst.sort((a, b) -> b.steps().steps().size() - a.steps().steps().size());
        for (RecipeRow row : longestFirst) pipeline.model(Model.of(model, row.steps(), settings, settings.seed()));
        var answers = new LinkedHashMap<RecipeRow, CompletableFuture<Evaluate.Answer>>();
        for (RecipeRow row : settings.rows()) {
            Model made = Model.of(model, row.steps(), settings, settings.seed());
            answers.put(row, pipeline.answer(new Question(made, Question.END, row.steps(), settings.evaluate())));
        }
        pipeline.await(_ -> false);
        return new Results(answers.entrySet().stream()
                .map(entry -> row(entry.getKey(), settings, List.of(entry.getValue().join().results())))
                .toList());
    }

    /// One row: reasoning tasks as scores and their average; tasks that need no reasoning apart, since they survive quantisation.
    ///
    /// @param repetitions the results of each, tasks in the same order
    static Results.Row row(RecipeRow row, RunSettings settings, List<List<TaskResult>> repetitions) {
        var scores = new LinkedHashMap<String, Results.Score>();
        var unreasoned = JsonNodeFactory.instance.objectNode();
        double variance = 0;
        var perplexities = JsonNodeFactory.instance.objectNode();
        for (int t = 0; t < repetitions.getFirst().size(); t++) {
            TaskResult result = pooled(repetitions, t);
            if (result.perplexity() != null) perplexities.put(result.task(), result.perplexity());
            double deviation = result.deviation() == null ? Double.NaN : 100 * result.deviation();
            int seeds = result.accuracies().size();
            if (Evaluate.reasons(result.task())) {
                scores.put(result.task(), new Results.Score(100 * result.accuracy(), deviation, result.examples(), seeds));
                if (result.standardError() != null) variance += Math.pow(100 * result.standardError(), 2);
            } else if (result.perplexity() == null) {
                unreasoned.putObject(result.task())
                        .put("mean", 100 * result.accuracy())
                        .put("problems", result.examples())
                        .put("seeds", seeds);
            }
        }
        var made = Results.Row.of(row.name(), bits(row, settings), scores).with("standard_error", Math.sqrt(variance) / Math.max(1, scores.size()));
        var extra = new LinkedHashMap<>(made.extra());
        if (!unreasoned.isEmpty()) {
            double mean = unreasoned.valueStream().mapToDouble(score -> score.path("mean").asDouble()).average().orElseThrow();
            extra.put("non_reasoning", DoubleNode.valueOf(mean));
            extra.put("non_reasoning_scores", unreasoned);
        }
        if (!perplexities.isEmpty()) extra.put("perplexity", perplexities);
        return new Results.Row(made.name(), made.bits(), made.scores(), made.average(), extra);
    }

    /// The width of the weights.
    static String bits(RecipeRow row, RunSettings settings) {
        if (row.steps().steps().isEmpty()) return "16";
        return String.valueOf(((Quantize.Settings) settings.stage(row.steps().steps().getFirst())).method().grid().bits());
    }

    private static TaskResult pooled(List<List<TaskResult>> repetitions, int task) {
        return TaskResult.pooled(repetitions.stream().map(results -> results.get(task)).toList());
    }
}
