package rqat.recipe;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import rqat.Failure;
import rqat.data.WordProblems;
import rqat.data.WordProblems.Split;
import rqat.engine.CacheFormat;
import rqat.engine.HeadFormat;
import rqat.eval.Benchmarks;
import rqat.eval.EmbeddedTasks;
import rqat.eval.Evaluation;
import rqat.eval.Protocol;
import rqat.eval.Task;
import rqat.eval.TaskResult;
import rqat.generate.Generator;
import rqat.generate.Sampling;
import rqat.generate.Scorer;
import rqat.generate.ServerGenerator;
import rqat.io.Checkpoint;
import rqat.model.ModelConfig;
import rqat.run.Adjustable;
import rqat.run.Configuration;
import rqat.run.Progress;
import rqat.text.ChatTemplate;
import rqat.text.Tokenizer;
import rqat.texts.Data;

/// Benchmarks of a model: every problem sampled once per seed, judged by the task's verifier; choices by log-likelihood.
public final class Evaluate {
    /// A server may serve the model in another precision or quantised; another model is further away.
    private static final double MOST_DIFFERENT = 1;
    private static final String COMPARED = "A train leaves at 9 o'clock and travels 60 kilometres in an hour. How far is it at noon? It has travelled 3 hours.";
    /// Bytes of weights: reading them takes seconds.
    private static final long MOST_COMPARED = 4L << 30;

    private Evaluate() {}

    /// @param tasks        names of embedded tasks, or of published benchmarks
    /// @param problems     per embedded task
    /// @param seeds        one run of the benchmark each
    /// @param temperature  paper: 0.6
    /// @param topP         paper: 0.95
    /// @param maxNewTokens longest completion of an embedded task
    /// @param batch        sequences that are sampled together
    /// @param published    what published benchmarks need besides
    public record Settings(
            List<String> tasks,
            int problems,
            List<Long> seeds,
            double temperature,
            double topP,
            int maxNewTokens,
            @Adjustable int batch,
            PublishedSettings published) {
        /// The paper's sampling on the embedded tasks.
        public static final Settings DEFAULT = new Settings(
                EmbeddedTasks.NAMES, 200, List.of(42L, 43L, 44L), 0.6, 0.95, 112, 128, new PublishedSettings("hub", Protocol.CLEAN, 0, 32_768));

        /// Checks the ranges.
        public Settings {
            tasks = List.copyOf(tasks);
            for (String task : tasks) {
                Configuration.require(
                        EmbeddedTasks.NAMES.contains(task) || Benchmarks.NAMES.contains(task),
                        "task",
                        task,
                        "one of %s, %s".formatted(EmbeddedTasks.NAMES, Benchmarks.NAMES));
            }
            Configuration.require(!tasks.isEmpty(), "tasks", tasks, "at least one");
            // They are sampled with different limits.
            Configuration.require(
                    tasks.stream().noneMatch(WordProblems.TASKS::contains) || tasks.stream().noneMatch(Benchmarks.REASONING::contains),
                    "tasks", tasks, "either embedded tasks or published benchmarks; evaluate them apart");
            seeds = List.copyOf(seeds);
            Configuration.require(problems >= 1, "problems", problems, "1 or more");
            Configuration.require(batch >= 1, "batch", batch, "1 or more");
            Configuration.require(
                    !seeds.isEmpty() && new HashSet<>(seeds).size() == seeds.size(), "seeds", seeds, "at least one, all different");
        }

        /// The same sampling of other questions.
        Settings of(List<String> otherTasks, int otherProblems, List<Long> otherSeeds) {
            return new Settings(otherTasks, otherProblems, otherSeeds, temperature, topP, maxNewTokens, batch, published);
        }
    }

    /// What an evaluation left.
    ///
    /// @param directory with samples and scores
    record Answer(Path directory, List<TaskResult> results) {}

    /// @param data     directory with a folder for each data set, or `hub` to download what is needed
    /// @param protocol how benchmarks are put and judged
    /// @param limit    examples of each at most, the first; 0 for all
    /// @param tokens   prompt and completion together at most; paper: 32,768
    public record PublishedSettings(String data, Protocol protocol, int limit, int tokens) {
        /// Checks the ranges.
        public PublishedSettings {
            Configuration.require(limit >= 0, "limit", limit, "0 or more");
            Configuration.require(tokens >= 2, "tokens", tokens, "2 or more");
        }
    }

    /// Whether a task takes reasoning: its scores make the average of a row.
    public static boolean reasons(String task) {
        return WordProblems.TASKS.contains(task) || Benchmarks.REASONING.contains(task);
    }

    /// Evaluates `model` on libtorch, writing samples and scores into `out`; what an interrupted evaluation completed is not sampled again.
    public static List<TaskResult> run(Session session, Settings settings, Path model, Path out) {
        return answer(session, settings, model, out).results();
    }

    /// As [#run] on a chosen engine.
    ///
    /// @param engine of this process
    /// @param opened hears of it
    public static List<TaskResult> run(Session session, Settings settings, Engines.Settings engine, Consumer<Engines.Engine> opened, Path model, Path out) {
        // Results of exact engines differ by no more than batches of other shapes do.
        Object identity = engine.isExact() ? settings : new Rounded(settings, engine.head(), engine.cache());
        return answer(session, settings, identity, model, out, new Local(session, settings, engine, opened, model)).results();
    }

    /// What the results of an engine that rounds depend on.
    private record Rounded(Settings settings, HeadFormat head, CacheFormat cache) {}

    /// As [#run] on libtorch, with the directory, which is `out` but in a content-addressed session.
    static Answer answer(Session session, Settings settings, Path model, Path out) {
        return answer(session, settings, settings, model, out, new Local(session, settings, Engines.Settings.TORCH, _ -> {}, model));
    }

    /// As [#run] of the model that a server serves, which is asked instead of the weights in `model`; tokenizer and chat template are taken
    /// from there.
    public static List<TaskResult> run(Session session, Settings settings, ServerGenerator.Settings server, Path model, Path out) {
        var identity = new Served(settings, server.address().toString(), server.model());
        Backend backend = work -> {
            Tokenizer tokenizer = Tokenizer.load(model);
            var client = new ServerGenerator(server, tokenizer, ChatTemplate.find(model).orElse(null), ModelConfig.load(model).maxPositions());
            compare(session, tokenizer, model, client, server.address().toString());
            return work.apply(client, client);
        };
        return answer(session, settings, identity, model, out, backend).results();
    }

    /// Whether the server's model is the one in the directory, told by the log-probabilities of one text, where the server gives them and the
    /// weights are there and small enough to be read for it.
    private static void compare(Session session, Tokenizer tokenizer, Path model, Scorer server, String address) {
        long weights = Checkpoint.bytesIn(model);
        if (weights == 0 || weights > MOST_COMPARED) return;
        int[] text = tokenizer.encode(COMPARED);
        float[] theirs;
        try {
            theirs = server.score(List.of(text)).getFirst();
        } catch (Failure e) {
            if (e.kind() == Failure.Kind.USAGE) return; // it gives no log-probabilities of prompts
            throw e;
        }
        float[] ours;
        try (var engine = Engines.open(model, session.compute())) {
            ours = engine.scorer().score(List.of(text)).getFirst();
        }
        double difference = 0;
        for (int i = 0; i < ours.length; i++) difference += Math.abs(ours[i] - theirs[i]) / ours.length;
        if (!(difference <= MOST_DIFFERENT)) {
            throw Failure.usage(("the server at %s does not serve %s: the log-probabilities of a test sentence differ by %.2f a token on average;"
                            + " expected at most %.1f. Name the model that it serves, or the one of its models with --backend-model")
                    .formatted(address, model, difference, MOST_DIFFERENT));
        }
    }

    /// What the results of a server depend on.
    private record Served(Settings settings, String address, String model) {}

    /// Who samples and scores.
    private interface Backend {
        List<TaskResult> with(BiFunction<Generator, Scorer, List<TaskResult>> work);
    }

    /// The weights of a directory, in this process.
    private record Local(Session session, Settings settings, Engines.Settings engineSettings, Consumer<Engines.Engine> opened, Path model) implements Backend {
        @Override
        public List<TaskResult> with(BiFunction<Generator, Scorer, List<TaskResult>> work) {
            try (var engine = Engines.open(model, session.compute(), engineSettings, session.threads())) {
                opened.accept(engine);
                return work.apply(engine.generator(settings.batch(), session.cacheGib()), engine.scorer());
            }
        }
    }

    private static Answer answer(Session session, Settings settings, Object identity, Path model, Path out, Backend backend) {
        var results = new ArrayList<TaskResult>();
        Path made = session.produce("evaluate", identity, Session.inputs("model", model), out, work ->
                results.addAll(evaluate(settings, model, backend, work.directory(), work.progress())));
        // Of a finished evaluation only the samples are read again.
        return new Answer(made, results.isEmpty() ? evaluate(settings, model, backend, made, Progress.silent()) : List.copyOf(results));
    }

    private static List<TaskResult> evaluate(Settings settings, Path model, Backend backend, Path directory, Progress progress) {
        Tokenizer tokenizer = Tokenizer.load(model);
        var tasks = new ArrayList<Task>();
        PublishedSettings published = settings.published();
        for (String name : settings.tasks()) {
            tasks.add(EmbeddedTasks.NAMES.contains(name)
                    ? EmbeddedTasks.of(name, Split.TEST, settings.problems())
                    : Benchmarks.of(name, Data.source(published.data(), progress), published.protocol(), published.limit()));
        }
        boolean limited = settings.tasks().stream().anyMatch(Benchmarks.REASONING::contains);
        // Embedded tasks spell their prompts out.
        ChatTemplate template = limited ? ChatTemplate.load(model) : null;
        int tokens = limited ? published.tokens() : Integer.MAX_VALUE;
        var sampling = new Sampling(settings.temperature(), settings.topP(), 0, limited ? tokens : settings.maxNewTokens(), tokenizer.stopIds());
        var evaluation = new Evaluation.Settings(
                settings.seeds(), sampling, tokens, ModelConfig.load(model).maxPositions(), published.protocol() == Protocol.PAPER);
        return backend.with((generator, scorer) -> new Evaluation(
                        generator,
                        scorer,
                        tokenizer,
                        conversation -> Objects.requireNonNull(template).render(conversation.messages(), true, Map.of()),
                        evaluation,
                        directory,
                        progress)
                .run(tasks));
    }
}
