package rqat.cli;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.eval.TaskResult;
import rqat.generate.ServerGenerator;
import rqat.io.Patience;
import rqat.recipe.Engines;
import rqat.recipe.Evaluate;
import rqat.recipe.RunSettings;
import rqat.recipe.Session;
import rqat.run.Configuration;
import rqat.run.Progress;
import rqat.tensor.Torch;
import tools.jackson.databind.json.JsonMapper;

/// `rqat eval`.
@Command(name = "eval", description = "Evaluate a model on benchmarks; resumes at the first missing unit.", mixinStandardHelpOptions = true)
final class EvalCommand implements Callable<Integer> {
    private static final long FIRST_SEED = 42;

    /// The longest that a server may take for one completion.
    private static final Duration COMPLETION = Duration.ofHours(1);

    private static final int MAX_SEEDS = 1_000;

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "MODEL", description = "Model directory, or `embedded`.")
    private String model;

    @Mixin
    private EngineOptions engineOptions;

    @Option(names = "--tasks", split = ",", paramLabel = "TASK", description = {
        "Embedded tasks: easy, medium, hard, choice.",
        "Published benchmarks: aime_120, aime_2024, aime_2025, math_500, gsm8k, gpqa_diamond, livecodebench_v4_v5, wikitext2, winogrande, hellaswag."
    })
    private List<String> tasks = new ArrayList<>();

    @Option(names = "--seeds", paramLabel = "N", description = "Independent runs of every benchmark, with seeds 42, 43, ...")
    private @Nullable Integer seeds;

    @Option(names = "--data", paramLabel = "DIR", description = "Folder of published data sets; else they are downloaded from the Hub.")
    private @Nullable String data;

    @Option(names = "--protocol", paramLabel = "NAME", description = "Published benchmarks: clean (default), or paper for figures that are compared with published ones.")
    private @Nullable String protocol;

    @Option(names = "--limit", paramLabel = "N", description = "Published benchmarks: the first N examples only.")
    private @Nullable Integer limit;

    @Option(names = "--backend", paramLabel = "URL", description = {
        "Ask an OpenAI-compatible server that serves MODEL (http://127.0.0.1:8000/v1) instead of sampling here; OPENAI_API_KEY is sent if set."
    })
    private @Nullable URI backend;

    @Option(names = "--backend-model", paramLabel = "NAME", defaultValue = "", description = "The model as the server calls it, if it has several.")
    private String backendModel;

    @Option(names = "--concurrency", paramLabel = "N", defaultValue = "32", description = "Requests to the server at a time (default: 32).")
    private int concurrency;

    @Option(names = "--out", paramLabel = "DIR", description = "Where samples and scores go (default: runs/eval/NAME).")
    private @Nullable Path out;

    @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Override a setting, for example evaluate.problems=100.")
    private List<String> sets = new ArrayList<>();

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Override
    public Integer call() {
        if (backend != null && spec.commandLine().getParseResult().hasMatchedOption("--engine")) throw Failure.usage("--engine and --backend do not go together: the server chooses its engine");
        if (!tasks.isEmpty()) sets.add("evaluate.tasks=" + tasks);
        if (seeds != null) {
            if (seeds < 1 || seeds > MAX_SEEDS) throw Failure.usage("--seeds is %d; expected 1 to %,d".formatted(seeds, MAX_SEEDS));
            sets.add("evaluate.seeds=" + LongStream.range(FIRST_SEED, FIRST_SEED + seeds).boxed().toList());
        }
        if (data != null) sets.add("evaluate.published.data=" + JsonMapper.shared().writeValueAsString(data));
        if (protocol != null) sets.add("evaluate.published.protocol=" + protocol);
        if (limit != null) sets.add("evaluate.published.limit=" + limit);
        Engines.Settings engine = engineOptions.settings();
        RunSettings settings = Configuration.resolve(sets, RunSettings.DEFAULT, RunSettings.class).value();
        Torch.compute(settings.compute());
        Path directory = Models.directory(model);
        Path samples = out != null ? out : Path.of("runs", "eval", Path.of(model).toAbsolutePath().normalize().getFileName().toString());
        var session = new Session(settings.seed(), settings.compute(), settings.threads(), settings.kvCacheGib(), Progress.Display.ofStandardError());
        List<TaskResult> results =
                Interruption.stopping(() -> backend == null
                        ? Evaluate.run(session, settings.evaluate(), engine, engineOptions::tell, directory, samples)
                        : Evaluate.run(session, settings.evaluate(), server(backend), directory, samples));
        Output.print(spec, json ? json(results) : table(results));
        return 0;
    }

    private ServerGenerator.Settings server(URI address) {
        return new ServerGenerator.Settings(address, backendModel, concurrency, COMPLETION, new Patience(Duration.ofSeconds(1)).told(System.err::println));
    }

    private static String json(List<TaskResult> results) {
        var fields = new LinkedHashMap<String, Object>();
        results.forEach(result -> fields.put(result.task(), result.fields()));
        return JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(fields);
    }

    private static String table(List<TaskResult> results) {
        var text = new StringBuilder();
        for (TaskResult result : results) {
            if (result.perplexity() != null) {
                text.append(String.format(
                        Locale.ROOT, "%-10s perplexity %.3f   %d windows, %.0f tokens each%n", result.task(), result.perplexity(), result.examples(), result.meanTokens()));
                continue;
            }
            double[] confidence = result.confidence();
            text.append(String.format(
                    Locale.ROOT,
                    "%-10s %5.1f %%%s  [%.1f, %.1f]   %d problems x %d seed%s, %.1f %% truncated, %s%.1f %% without an answer, %.1f %% reached but not given, %.0f tokens%n",
                    result.task(),
                    100 * result.accuracy(),
                    // One seed says nothing about the spread.
                    result.deviation() == null ? "" : String.format(Locale.ROOT, "  ± %.1f", 100 * result.deviation()),
                    100 * confidence[0],
                    100 * confidence[1],
                    result.examples(),
                    result.accuracies().size(),
                    result.accuracies().size() == 1 ? "" : "s",
                    100 * result.truncated(),
                    result.aborted() == 0 ? "" : String.format(Locale.ROOT, "%.1f %% broken off by the server, ", 100 * result.aborted()),
                    100 * result.unextracted(),
                    100 * result.reached(),
                    result.meanTokens()));
        }
        return text.toString();
    }
}
