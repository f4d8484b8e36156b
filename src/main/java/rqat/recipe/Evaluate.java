package rqat.recipe;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import rqat.data.WordProblems;
import rqat.data.WordProblems.Split;
import rqat.eval.EmbeddedTasks;
import rqat.eval.Evaluation;
import rqat.eval.Task;
import rqat.eval.TaskResult;
import rqat.generate.LocalGenerator;
import rqat.generate.LocalScorer;
import rqat.generate.Sampling;
import rqat.quant.LoadedModel;
import rqat.run.Progress;
import rqat.text.Tokenizer;

/// Benchmarks of a model: every problem sampled once per seed, judged by the task's verifier; choices by log-likelihood.
public final class Evaluate {
    private static final int SCORED_TOKENS = 4096;

    private Evaluate() {}

    /// @param tasks        names of embedded tasks
    /// @param problems     per task
    /// @param seeds        one run of the benchmark each
    /// @param temperature  paper: 0.6
    /// @param topP         paper: 0.95
    /// @param maxNewTokens longest completion
    /// @param batch        sequences that are sampled together
    public record Settings(
            List<String> tasks, int problems, List<Long> seeds, double temperature, double topP, int maxNewTokens, int batch) {
        /// The paper's sampling on the embedded tasks.
        public static final Settings DEFAULT =
                new Settings(EmbeddedTasks.NAMES, 200, List.of(42L, 43L, 44L), 0.6, 0.95, 112, 128);

        /// Checks the ranges.
        public Settings {
            tasks = List.copyOf(tasks);
            Optimisation.require(
                    !tasks.isEmpty() && EmbeddedTasks.NAMES.containsAll(tasks), "tasks", tasks, "at least one of " + EmbeddedTasks.NAMES);
            seeds = List.copyOf(seeds);
            Optimisation.require(problems >= 1, "problems", problems, "1 or more");
            Optimisation.require(batch >= 1, "batch", batch, "1 or more");
            Optimisation.require(
                    !seeds.isEmpty() && new HashSet<>(seeds).size() == seeds.size(), "seeds", seeds, "at least one, all different");
        }

        /// The same sampling of other questions.
        Settings of(List<String> otherTasks, int otherProblems, List<Long> otherSeeds) {
            return new Settings(otherTasks, otherProblems, otherSeeds, temperature, topP, maxNewTokens, batch);
        }
    }

    /// What an evaluation left.
    ///
    /// @param directory with samples and scores
    record Answer(Path directory, List<TaskResult> results) {}

    /// Whether a task takes reasoning: its scores make the average of a row.
    public static boolean reasons(String task) {
        return WordProblems.TASKS.contains(task);
    }

    /// Evaluates `model`, writing samples and scores into `out`; what an interrupted evaluation completed is not sampled again.
    public static List<TaskResult> run(Session session, Settings settings, Path model, Path out) {
        return answer(session, settings, model, out).results();
    }

    /// As [#run], with the directory, which is `out` but in a content-addressed session.
    static Answer answer(Session session, Settings settings, Path model, Path out) {
        var results = new ArrayList<TaskResult>();
        Path made = session.produce("evaluate", settings, Session.inputs("model", model), out, work ->
                results.addAll(evaluate(session, settings, model, work.directory(), work.progress())));
        // Of a finished evaluation only the samples are read again.
        return new Answer(made, results.isEmpty() ? evaluate(session, settings, model, made, Progress.silent()) : List.copyOf(results));
    }

    private static List<TaskResult> evaluate(Session session, Settings settings, Path model, Path directory, Progress progress) {
        Tokenizer tokenizer = Tokenizer.load(model);
        var tasks = new ArrayList<Task>();
        for (String name : settings.tasks()) tasks.add(EmbeddedTasks.of(name, Split.TEST, settings.problems()));
        try (LoadedModel loaded = LoadedModel.open(model, session.compute().type())) {
            var sampling = new Sampling(settings.temperature(), settings.topP(), 0, settings.maxNewTokens(), tokenizer.stopIds());
            return new Evaluation(
                            LocalGenerator.within(loaded.decoder(), settings.batch(), session.cacheGib()),
                            new LocalScorer(loaded.decoder(), SCORED_TOKENS),
                            tokenizer,
                            new Evaluation.Settings(settings.seeds(), sampling),
                            directory,
                            progress)
                    .run(tasks);
        }
    }
}
