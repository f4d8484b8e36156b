package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import rqat.data.WordProblems.Split;
import rqat.generate.Generator;
import rqat.generate.Listener;
import rqat.generate.Sampling;
import rqat.io.JsonFiles;
import rqat.model.Decoder;
import rqat.quant.LoadedModel;
import rqat.rl.Advantages;
import rqat.rl.ColdStartGate;
import rqat.rl.GrpoLoss;
import rqat.rl.Mismatch;
import rqat.rl.MismatchGate;
import rqat.rl.OnPolicyObjective;
import rqat.rl.OnPolicySettings;
import rqat.rl.Rollout;
import rqat.rl.Signal;
import rqat.run.Adjustable;
import rqat.run.Configuration;
import rqat.run.Seeds;
import rqat.text.Tokenizer;
import rqat.texts.DataSettings;
import rqat.texts.StageTexts;
import rqat.texts.Texts;
import rqat.texts.WordProblemTexts;
import rqat.train.ChunkedHead;
import rqat.train.Student;
import rqat.train.Teacher;
import rqat.verify.mathematics.MathVerifier;
import tools.jackson.databind.node.JsonNodeFactory;

/// Training on what the fake-quantised model samples itself: GRPO with a reward for correct answers (paper, section 3.4), which starts only
/// from a model that already finds rewards unless forced; or on-policy distillation, which has a teacher for every token and needs none.
public final class Reinforce {
    private Reinforce() {}

    /// What sampled completions are trained towards.
    public enum Objective {
        /// More of those that were rewarded above their group.
        GRPO,
        /// The full-precision model's distribution at each of their tokens; rewards are only logged.
        DISTILLATION
    }

    /// @param data         which problems; `tasks` are of the word problems
    /// @param tasks        of the training problems, mixed in equal parts
    /// @param problems     size of the training set
    /// @param prompts      problems per step
    /// @param groupSize    samples per problem
    /// @param temperature  of the rollouts
    /// @param maxNewTokens longest completion
    /// @param batch        sequences that are sampled together
    /// @param objective    what the completions are trained towards
    /// @param divergence   from the teacher, both at `temperature`; read with [Objective#DISTILLATION], which does not read `scaling`,
    ///                     `loss` and `coldStart`
    /// @param scaling      of the advantages
    /// @param loss         how they become a loss
    /// @param truncation   what becomes of unfinished completions
    /// @param coldStart    smallest pass rate and share of mixed groups to start from
    /// @param coldStartPrompts held-out problems that the gate samples
    /// @param optimisation how the weights move
    public record Settings(
            DataSettings data,
            List<String> tasks,
            int problems,
            int prompts,
            int groupSize,
            double temperature,
            int maxNewTokens,
            @Adjustable int batch,
            Objective objective,
            Distill.Loss divergence,
            Advantages.Scaling scaling,
            GrpoLoss loss,
            OnPolicySettings.Truncation truncation,
            ColdStartGate coldStart,
            int coldStartPrompts,
            Optimisation optimisation) implements StageSettings {
        /// Checks the ranges that [OnPolicySettings] does not.
        public Settings {
            tasks = WordProblemTexts.checked(tasks);
            Configuration.require(problems >= 1, "problems", problems, "1 or more");
            Configuration.require(batch >= 1, "batch", batch, "1 or more");
            Configuration.require(coldStartPrompts >= 1, "cold_start_prompts", coldStartPrompts, "1 or more");
        }

        Signal rewards() {
            return new Signal.Rewards(scaling, loss, 0, null);
        }

        Signal distillation(Decoder teacher) {
            return new Signal.Distillation(new Teacher(teacher, divergence.divergence(), temperature));
        }
    }

    /// Reinforces `model` into `out`.
    ///
    /// @param teacher the full-precision model; read, and needed, only when the objective is [Objective#DISTILLATION]
    /// @param force   start whatever the cold-start gate says; its figures are recorded all the same
    /// @return the directory, which is `out` but in a content-addressed session
    public static Path run(Session session, Settings settings, Path model, @Nullable Path teacher, boolean force, Path out) {
        boolean distils = settings.objective() == Objective.DISTILLATION;
        var named = distils ? Session.inputs("model", model, "teacher", Objects.requireNonNull(teacher)) : Session.inputs("model", model);
        var inputs = StageInputs.with(session, settings.data(), named);
        return session.produce("grpo", settings, inputs, out, work -> {
            var stage = new Stage(
                    session,
                    work,
                    settings,
                    Tokenizer.load(model),
                    StageInputs.texts(session, settings.data(), settings.tasks(), Texts.WORKED, model, inputs));
            try (LoadedModel followed = distils ? LoadedModel.open(teacher, session.compute().place()) : null) {
                TrainingRun.run(work, settings.optimisation(), model, student -> {
                    // The gate asks for rewards to learn from; a teacher has something to say to a student without any.
                    if (!distils) stage.coldStart(student, force);
                    return stage.objective(student, followed == null ? settings.rewards() : settings.distillation(followed.decoder()));
                });
            }
        });
    }

    /// A stage at work and what it reads.
    private record Stage(Session session, Session.Work work, Settings settings, Tokenizer tokenizer, StageTexts texts) {

        Sampling sampling() {
            return new Sampling(settings.temperature(), 1, 0, settings.maxNewTokens(), tokenizer.stopIds());
        }

        Generator generator(Decoder decoder) {
            return Engines.generator(decoder, settings.batch(), session.cacheGib());
        }

        /// Judged until it is passed: a run that the gate stopped, or that was killed before it, meets it again.
        void coldStart(Student student, boolean force) {
            Path passed = work.directory().resolve("cold-start.json");
            if (Files.exists(passed)) return;
            var held = texts.problems(Split.VALIDATION, settings.coldStartPrompts());
            List<Rollout> trial;
            try (var progress = work.progress()
                    .start(work.name() + " cold-start gate", (long) held.size() * settings.groupSize(), "samples")) {
                trial = Rollout.sample(
                        generator(student.decoder()),
                        held,
                        settings.groupSize(),
                        sampling(),
                        (prompt, sample) -> Seeds.mix(session.seed(), Seeds.ofString("cold start"), prompt, sample),
                        tokens -> tokenizer.decode(tokens, true),
                        new MathVerifier(),
                        Listener.counting(progress));
            }
            var outcome = ColdStartGate.Outcome.of(trial.stream().mapToDouble(Rollout::reward).toArray(), settings.groupSize());
            work.note("cold start: %.1f %% of the samples right, %.1f %% of the prompts mixed%s"
                    .formatted(100 * outcome.passRate(), 100 * outcome.mixedShare(), force ? " (gate overridden)" : ""));
            settings.coldStart().check(outcome, force);
            JsonFiles.write(
                    passed,
                    JsonNodeFactory.instance.objectNode()
                            .put("pass_rate", outcome.passRate())
                            .put("mixed_share", outcome.mixedShare())
                            .put("forced", force));
        }

        OnPolicyObjective objective(Student student, Signal signal) {
            return new OnPolicyObjective(
                    new OnPolicySettings(
                            session.seed(),
                            settings.prompts(),
                            settings.groupSize(),
                            sampling(),
                            settings.truncation(),
                            settings.optimisation().microBatch(),
                            ChunkedHead.chunkFor(student.config().vocabularySize()),
                            MismatchGate.Limits.DEFAULT),
                    signal,
                    texts.problems(Split.TRAIN, settings.problems()),
                    this::generator,
                    tokens -> tokenizer.decode(tokens, true),
                    new MathVerifier(),
                    watcher());
        }

        private OnPolicyObjective.Watcher watcher() {
            return new OnPolicyObjective.Watcher() {
                @Override
                public void preflight(Mismatch mismatch) {
                    work.note("preflight: sampler and trainer differ by %.2e nats per token on average, K3 %.2e, over %d tokens"
                            .formatted(mismatch.absoluteMean(), mismatch.k3(), mismatch.tokens()));
                }

                @Override
                public void rollouts(long step, List<Rollout> rollouts, double @Nullable [] advantages) {
                    work.completions(step, rollouts, advantages);
                }
            };
        }
    }
}
