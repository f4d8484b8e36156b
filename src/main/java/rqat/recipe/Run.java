package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import rqat.Failure;
import rqat.eval.TaskResult;
import rqat.report.HtmlReport;
import rqat.report.Results;
import rqat.run.Configuration;
import rqat.run.Manifest;
import rqat.run.Progress;
import rqat.run.StageDirectory;
import rqat.tensor.Torch;
import tools.jackson.databind.node.DoubleNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// The whole workflow: every row of the results table is a [Chain] of stages, stages that rows have in common are made once, and every row
/// is evaluated. Only chains stages: each reads and writes model directories that can be looked at, resumed and reused alone.
///
/// Stages that do not depend on each other run side by side, `jobs` at a time. The result of a stage does not depend on what runs beside
/// it.
public final class Run {
    private final RunSettings settings;
    private final Session session;
    private final Path model;
    private final Path output;
    private final Map<Chain, CompletableFuture<Path>> stages = new LinkedHashMap<>();

    private Run(RunSettings settings, Progress progress, Path model, Path output) {
        this.settings = settings;
        this.session = new Session(settings.seed(), settings.compute(), settings.threads(), settings.kvCacheGib(), progress);
        this.model = model;
        this.output = output;
    }

    /// Runs what is missing of a run and writes `manifest.json`, `results.json` and `report.html` into `output`.
    ///
    /// @param model the full-precision model's directory
    /// @throws Failure of the first stage that failed, after the others were stopped at their next checkpoint
    public static Results run(Configuration.Resolved<RunSettings> configuration, Path model, Path output, Progress progress) {
        Torch.compute(configuration.value().compute());
        var run = new Run(configuration.value(), progress, model, output);
        Path manifest = output.resolve("manifest.json");
        if (!Files.exists(manifest)) {
            Manifest.write(manifest, configuration, Map.of("model", Manifest.sha256(model)), Map.of("run", configuration.value().seed()));
        }
        Results results = run.rows();
        results.write(output.resolve("results.json"));
        HtmlReport.write(output, output.resolve("report.html"));
        return results;
    }

    /// Whether every row of this run is there already.
    public static boolean isFinished(RunSettings settings, Path output) {
        return settings.chains().stream().allMatch(chain -> Files.exists(evaluation(output, chain).resolve(StageDirectory.FINISHED)))
                && Files.exists(output.resolve("results.json"))
                && Files.exists(output.resolve("report.html"));
    }

    private Results rows() {
        // Threads that wait for nothing but a stage: the first of the queue is the chain with most still to come.
        ExecutorService workers = Executors.newFixedThreadPool(
                settings.jobs(), Thread.ofPlatform().name("stage-", 1).daemon().factory());
        try {
            var rows = new LinkedHashMap<Chain, CompletableFuture<List<TaskResult>>>();
            List<Chain> longestFirst = new ArrayList<>(settings.chains());
            longestFirst.sort((a, b) -> b.steps().size() - a.steps().size());
            for (Chain chain : longestFirst) stage(chain, workers);
            for (Chain chain : settings.chains()) {
                rows.put(chain, stage(chain, workers).thenApplyAsync(made -> evaluate(chain, made), workers));
            }
            var all = new LinkedHashSet<CompletableFuture<?>>(stages.values());
            all.addAll(rows.values());
            awaitFirstFailure(all);
            return new Results(rows.entrySet().stream().map(row -> row(row.getKey(), row.getValue().join())).toList());
        } finally {
            workers.shutdownNow();
            workers.close();
        }
    }

    /// Waits until all are done or one has failed, and throws that failure.
    private static void awaitFirstFailure(Iterable<CompletableFuture<?>> all) {
        var failed = new CompletableFuture<Void>();
        var done = new ArrayList<CompletableFuture<?>>();
        for (CompletableFuture<?> one : all) {
            done.add(one);
            one.whenComplete((_, failure) -> {
                if (failure != null) failed.completeExceptionally(failure);
            });
        }
        try {
            CompletableFuture.anyOf(failed, CompletableFuture.allOf(done.toArray(CompletableFuture[]::new))).get();
        } catch (InterruptedException e) {
            throw Failure.interrupted("interrupted; the same command resumes");
        } catch (java.util.concurrent.ExecutionException e) {
            Throwable cause = e.getCause() instanceof CompletionException completion ? completion.getCause() : e.getCause();
            if (cause instanceof RuntimeException failure) throw failure;
            if (cause instanceof Error error) throw error;
            throw new CancellationException(String.valueOf(cause));
        }
    }

    /// The directory that a chain ends with, made when its parent is.
    private CompletableFuture<Path> stage(Chain chain, ExecutorService workers) {
        CompletableFuture<Path> known = stages.get(chain);
        if (known != null) return known;
        CompletableFuture<Path> made = chain.parent()
                .map(parent -> stage(parent, workers).thenApplyAsync(from -> make(chain, from), workers))
                .orElseGet(() -> CompletableFuture.completedFuture(model));
        stages.put(chain, made);
        return made;
    }

    private Path make(Chain chain, Path from) {
        Path out = output.resolve("stages").resolve(chain.name());
        switch (chain.last()) {
            case RTN, GPTQ -> Quantize.run(session, settings.quantise().of(chain.last()), from, out);
            case SFT -> FineTune.run(session, settings.sft(), from, out);
            case KD -> Distill.run(session, settings.kd(), from, model, out);
            // A row without training before its reinforcement is there to show that this fails.
            case GRPO -> Reinforce.run(session, settings.grpo(), from, chain.lacksColdStart(), out);
        }
        return out;
    }

    private List<TaskResult> evaluate(Chain chain, Path made) {
        return Evaluate.run(session, settings.evaluate(), made, evaluation(output, chain));
    }

    private static Path evaluation(Path output, Chain chain) {
        return output.resolve("evaluations").resolve(chain.name());
    }

    /// One row: reasoning tasks as scores and their average; tasks that need no reasoning apart, since they survive quantisation.
    private Results.Row row(Chain chain, List<TaskResult> results) {
        var scores = new LinkedHashMap<String, Results.Score>();
        var unreasoned = JsonNodeFactory.instance.objectNode();
        double variance = 0;
        for (TaskResult result : results) {
            double deviation = result.deviation() == null ? Double.NaN : 100 * result.deviation();
            int seeds = result.accuracies().size();
            if (Evaluate.reasons(result.task())) {
                scores.put(result.task(), new Results.Score(100 * result.accuracy(), deviation, result.examples(), seeds));
                if (result.standardError() != null) variance += Math.pow(100 * result.standardError(), 2);
            } else {
                unreasoned.putObject(result.task())
                        .put("mean", 100 * result.accuracy())
                        .put("problems", result.examples())
                        .put("seeds", seeds);
            }
        }
        String bits = chain.steps().isEmpty() ? "16" : String.valueOf(settings.quantise().bits());
        var row = Results.Row.of(chain.name(), bits, scores).with("standard_error", Math.sqrt(variance) / Math.max(1, scores.size()));
        var extra = new LinkedHashMap<>(row.extra());
        if (!unreasoned.isEmpty()) {
            double mean = unreasoned.valueStream().mapToDouble(score -> score.path("mean").asDouble()).average().orElseThrow();
            extra.put("non_reasoning", DoubleNode.valueOf(mean));
            extra.put("non_reasoning_scores", unreasoned);
        }
        return new Results.Row(row.name(), row.bits(), row.scores(), row.average(), extra);
    }
}
