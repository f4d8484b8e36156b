package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import rqat.data.WordProblems.Split;
import rqat.generate.Listener;
import rqat.generate.LocalGenerator;
import rqat.generate.Sampling;
import rqat.io.JsonFiles;
import rqat.rl.Advantages;
import rqat.rl.ColdStartGate;
import rqat.rl.GrpoLoss;
import rqat.rl.GrpoObjective;
import rqat.rl.Mismatch;
import rqat.rl.MismatchGate;
import rqat.rl.Rollout;
import rqat.run.Seeds;
import rqat.text.Tokenizer;
import rqat.train.ChunkedHead;
import rqat.verify.MathVerifier;
import tools.jackson.databind.node.JsonNodeFactory;

/// GRPO with a reward for correct answers, rollouts sampled from the fake-quantised weights that are trained (paper, section 3.4). Starts
/// only from a model that already finds rewards, unless forced.
public final class Reinforce {
    private Reinforce() {}

    /// @param data         which problems; `tasks` are of the word problems
    /// @param tasks        of the training problems, mixed in equal parts
    /// @param problems     size of the training set
    /// @param prompts      problems per step
    /// @param groupSize    samples per problem
    /// @param temperature  of the rollouts
    /// @param maxNewTokens longest completion
    /// @param batch        sequences that are sampled together
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
            int batch,
            Advantages.Scaling scaling,
            GrpoLoss loss,
            GrpoObjective.Truncation truncation,
            ColdStartGate coldStart,
            int coldStartPrompts,
            Optimisation optimisation) implements StageSettings {
        /// Checks the ranges that [GrpoObjective.Settings] does not.
        public Settings {
            tasks = WordProblemTexts.checked(tasks);
            Optimisation.require(problems >= 1, "problems", problems, "1 or more");
            Optimisation.require(batch >= 1, "batch", batch, "1 or more");
            Optimisation.require(coldStartPrompts >= 1, "cold_start_prompts", coldStartPrompts, "1 or more");
        }
    }

    /// Reinforces `model` into `out`.
    ///
    /// @param force start whatever the cold-start gate says; its figures are recorded all the same
    /// @return the directory, which is `out` but in a content-addressed session
    public static Path run(Session session, Settings settings, Path model, boolean force, Path out) {
        var inputs = StageTexts.inputs(session, settings.data(), Session.inputs("model", model));
        return session.produce("grpo", settings, inputs, out, work -> {
            Tokenizer tokenizer = Tokenizer.load(model);
            var texts = StageTexts.of(session, settings.data(), settings.tasks(), Texts.WORKED, model, inputs);
            var sampling = new Sampling(settings.temperature(), 1, 0, settings.maxNewTokens(), tokenizer.stopIds());
            var verifier = new MathVerifier();
            var watcher = new GrpoObjective.Watcher() {
                @Override
                public void preflight(Mismatch mismatch) {
                    work.note("preflight: sampler and trainer differ by %.2e nats per token on average, K3 %.2e, over %d tokens"
                            .formatted(mismatch.absoluteMean(), mismatch.k3(), mismatch.tokens()));
                }

                @Override
                public void rollouts(long step, List<Rollout> rollouts, double[] advantages) {
                    work.completions(step, rollouts, advantages);
                }
            };
            TrainingRun.run(work, settings.optimisation(), model, student -> {
                // Judged until it is passed: a run that the gate stopped, or that was killed before it, meets it again.
                Path passed = work.directory().resolve("cold-start.json");
                if (!Files.exists(passed)) {
                    var held = texts.problems(Split.VALIDATION, settings.coldStartPrompts());
                    List<Rollout> trial;
                    try (var progress = work.progress()
                            .start(work.name() + " cold-start gate", (long) held.size() * settings.groupSize(), "samples")) {
                        trial = Rollout.sample(
                                LocalGenerator.within(student.decoder(), settings.batch(), session.cacheGib()),
                                held,
                                settings.groupSize(),
                                sampling,
                                (prompt, sample) -> Seeds.mix(session.seed(), Seeds.ofString("cold start"), prompt, sample),
                                tokens -> tokenizer.decode(tokens, true),
                                verifier,
                                Listener.counting(progress));
                    }
                    var outcome = ColdStartGate.Outcome.of(
                            trial.stream().mapToDouble(Rollout::reward).toArray(), settings.groupSize());
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
                return new GrpoObjective(
                        new GrpoObjective.Settings(
                                session.seed(),
                                settings.prompts(),
                                settings.groupSize(),
                                sampling,
                                settings.scaling(),
                                settings.loss(),
                                0,
                                settings.truncation(),
                                settings.optimisation().microBatch(),
                                ChunkedHead.chunkFor(student.config().vocabularySize()),
                                MismatchGate.Limits.DEFAULT),
                        texts.problems(Split.TRAIN, settings.problems()),
                        decoder -> LocalGenerator.within(decoder, settings.batch(), session.cacheGib()),
                        tokens -> tokenizer.decode(tokens, true),
                        verifier,
                        null,
                        watcher);
            });
        });
    }
}
