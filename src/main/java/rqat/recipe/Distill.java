package rqat.recipe;

import java.nio.file.Path;
import java.util.List;
import rqat.quant.LoadedModel;
import rqat.run.Configuration;
import rqat.texts.DataSettings;
import rqat.texts.Texts;
import rqat.texts.WordProblemTexts;
import rqat.train.ChunkedHead;
import rqat.train.DistillationObjective;
import rqat.train.Divergence;
import rqat.train.ShuffledBatches;
import rqat.train.Teacher;

/// Knowledge distillation: the quantised student follows the full-precision teacher's distribution on worked problems (paper, section 3.2).
public final class Distill {
    private Distill() {}

    /// What is minimised.
    public enum Loss {
        /// KL(teacher || student).
        FORWARD_KL,
        /// KL(student || teacher).
        REVERSE_KL,
        /// Jensen-Shannon with equal weights.
        JENSEN_SHANNON;

        Divergence divergence() {
            return switch (this) {
                case FORWARD_KL -> new Divergence.ForwardKl();
                case REVERSE_KL -> new Divergence.ReverseKl();
                case JENSEN_SHANNON -> new Divergence.JensenShannon(0.5);
            };
        }
    }

    /// @param data         which problems; `tasks` are of the word problems
    /// @param tasks        of the training problems, mixed in equal parts
    /// @param texts        which part of them is read
    /// @param problems     size of the training set
    /// @param batch        sequences per optimiser step
    /// @param loss         what is minimised
    /// @param temperature  of both distributions
    /// @param optimisation how the weights move
    public record Settings(
            DataSettings data, List<String> tasks, Texts texts, int problems, int batch, Loss loss, double temperature, Optimisation optimisation) implements StageSettings {
        /// Checks the ranges.
        public Settings {
            tasks = WordProblemTexts.checked(tasks);
            Configuration.require(problems >= 1, "problems", problems, "1 or more");
            Configuration.require(batch >= 1, "batch", batch, "1 or more");
            Configuration.require(temperature > 0, "temperature", temperature, "more than 0");
        }
    }

    /// Distils `teacher` into a continuation of `model`, written to `out`.
    ///
    /// @return the directory, which is `out` but in a content-addressed session
    public static Path run(Session session, Settings settings, Path model, Path teacher, Path out) {
        var inputs = StageInputs.with(session, settings.data(), Session.inputs("model", model, "teacher", teacher));
        return session.produce("distill", settings, inputs, out, work -> {
            var texts = StageInputs.texts(session, settings.data(), settings.tasks(), settings.texts(), model, inputs);
            try (LoadedModel loaded = LoadedModel.open(teacher, session.compute().place())) {
                TrainingRun.run(work, settings.optimisation(), model, student -> new DistillationObjective(
                        new ShuffledBatches(texts.training(settings.problems()), settings.batch(), session.seed()),
                        settings.optimisation().microBatch(),
                        ChunkedHead.chunkFor(student.config().vocabularySize()),
                        new Teacher(loaded.decoder(), settings.loss().divergence(), settings.temperature())));
            }
        });
    }
}
