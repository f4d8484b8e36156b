package rqat.recipe;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.run.Configuration;

/// Makes models and evaluates them, each once however often it is asked for, and what does not depend on each other side by side, `jobs` at
/// a time. The result of a stage does not depend on what runs beside it.
final class Pipeline implements AutoCloseable {

    /// A model by how it is made; equal when it is made in the same way.
    sealed interface Model {
        /// A model that is there.
        record Given(Path directory) implements Model {}

        /// Another model after one more stage.
        ///
        /// @param chain   all that was done to the full-precision model, this stage last; the name of the directory
        /// @param teacher the full-precision model
        record Made(Model from, Chain chain, StageSettings settings, long seed, Path teacher) implements Model {
            /// What decides the result; rows that differ in what a stage may take of the machine share it.
            private List<Object> identity() {
                return List.of(from, chain, Configuration.identity(settings), seed, teacher);
            }

            @Override
            public boolean equals(@Nullable Object other) {
                return other instanceof Made made && identity().equals(made.identity());
            }

            @Override
            public int hashCode() {
                return identity().hashCode();
            }
        }

        /// What `chain` makes of the full-precision model in `directory`.
        ///
        /// @param seed of all stages that draw anything; the others have the recipe's, so that they are made once
        static Model of(Path directory, Chain chain, RunSettings settings, long seed) {
            return chain.parent()
                    .map(parent -> {
                        StageSettings last = settings.stage(chain.last());
                        Model from = of(directory, parent, settings, seed);
                        return (Model) new Made(from, chain, last, last.drawsData() ? seed : settings.seed(), directory);
                    })
                    .orElseGet(() -> new Given(directory));
        }
    }

    /// An evaluation; equal when the same is asked of the same model.
    ///
    /// @param steps of the model's last stage after which it is evaluated; [#END] for its result
    record Question(Model model, int steps, Chain chain, Evaluate.Settings settings) {
        static final int END = -1;
    }

    private final Session session;
    private final Path stages;
    private final Path evaluations;
    private final ExecutorService workers;
    private final Map<Model, CompletableFuture<Path>> models = new LinkedHashMap<>();
    private final Map<Question, CompletableFuture<Evaluate.Answer>> answers = new LinkedHashMap<>();

    /// A pipeline that keeps models and evaluations in `stages` and `evaluations` under `folder`.
    Pipeline(Session session, int jobs, Path folder) {
        this.session = session;
        this.stages = folder.resolve("stages");
        this.evaluations = folder.resolve("evaluations");
        this.workers = Executors.newFixedThreadPool(jobs, Thread.ofPlatform().name("stage-", 1).daemon().factory());
    }

    /// The directory of a model, made when what it is made from is. What is asked for first is begun first.
    CompletableFuture<Path> model(Model model) {
        CompletableFuture<Path> known = models.get(model);
        if (known != null) return known;
        CompletableFuture<Path> made = switch (model) {
            case Model.Given(Path directory) -> CompletableFuture.completedFuture(directory);
            case Model.Made stage -> model(stage.from()).thenApplyAsync(from -> make(stage, from), workers);
        };
        models.put(model, made);
        return made;
    }

    /// The results of an evaluation, done when the model is there.
    CompletableFuture<Evaluate.Answer> answer(Question question) {
        CompletableFuture<Evaluate.Answer> known = answers.get(question);
        if (known != null) return known;
        CompletableFuture<Evaluate.Answer> answer = model(question.model()).thenApplyAsync(made -> {
            boolean end = question.steps() == Question.END;
            Path model = end ? made : TrainingRun.snapshot(made, question.steps());
            Path out = evaluations.resolve(question.chain().name() + (end ? "" : "@" + question.steps()));
            return Evaluate.answer(session, question.settings(), model, out);
        }, workers);
        answers.put(question, answer);
        return answer;
    }

    /// Everything that was asked for.
    Collection<CompletableFuture<?>> all() {
        var all = new ArrayList<CompletableFuture<?>>(models.values());
        all.addAll(answers.values());
        return all;
    }

    private Path make(Model.Made stage, Path from) {
        Session seeded = session.withSeed(stage.seed());
        Path out = stages.resolve(stage.chain().name());
        return switch (stage.settings()) {
            case Quantize.Settings settings -> Quantize.run(seeded, settings, from, out);
            case FineTune.Settings settings -> FineTune.run(seeded, settings, from, out);
            case Distill.Settings settings -> Distill.run(seeded, settings, from, stage.teacher(), out);
            // A row without training before its reinforcement is there to show that this fails.
            case Reinforce.Settings settings -> Reinforce.run(seeded, settings, from, stage.teacher(), stage.chain().lacksColdStart(), out);
        };
    }

    /// Waits until all that was asked for is done or something has failed, and throws that failure.
    ///
    /// @param tolerated failures that do not stop the rest
    void await(Predicate<Failure> tolerated) {
        var failed = new CompletableFuture<Void>();
        var ended = new ArrayList<CompletableFuture<?>>();
        for (CompletableFuture<?> one : all()) {
            ended.add(one.handle((_, failure) -> {
                if (failure != null && !(cause(failure) instanceof Failure known && tolerated.test(known))) failed.completeExceptionally(cause(failure));
                return null;
            }));
        }
        try {
            CompletableFuture.anyOf(failed, CompletableFuture.allOf(ended.toArray(CompletableFuture[]::new))).get();
            if (failed.isCompletedExceptionally()) failed.get();
        } catch (InterruptedException e) {
            throw Failure.interrupted("interrupted; the same command resumes");
        } catch (ExecutionException e) {
            Throwable cause = cause(e.getCause());
            if (cause instanceof RuntimeException failure) throw failure;
            if (cause instanceof Error error) throw error;
            throw new CancellationException(String.valueOf(cause));
        }
    }

    /// What went wrong, without the wrapping of futures that waited for it.
    static Throwable cause(Throwable failure) {
        return failure instanceof CompletionException && failure.getCause() != null ? cause(failure.getCause()) : failure;
    }

    /// Stops what is still at work at its next checkpoint.
    @Override
    public void close() {
        workers.shutdownNow();
        workers.close();
    }
}
