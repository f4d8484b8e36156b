package rqat.recipe;

import java.nio.file.Path;
import java.util.List;
import rqat.run.Configuration;
import rqat.texts.DataSettings;
import rqat.texts.Texts;
import rqat.texts.WordProblemTexts;
import rqat.train.ChunkedHead;
import rqat.train.SftObjective;
import rqat.train.ShuffledBatches;

/// Supervised fine-tuning of a quantised model on worked problems: the comparison that distillation is measured against (paper, section
/// 3.2).
public final class FineTune {
    private FineTune() {}

    /// @param data         which problems; `tasks` are of the word problems
    /// @param tasks        of the training problems, mixed in equal parts
    /// @param texts        which part of them is read
    /// @param problems     size of the training set
    /// @param batch        sequences per optimiser step
    /// @param optimisation how the weights move
    public record Settings(DataSettings data, List<String> tasks, Texts texts, int problems, int batch, Optimisation optimisation) implements StageSettings {
        /// Checks the ranges.
        public Settings {
            tasks = WordProblemTexts.checked(tasks);
            Configuration.require(problems >= 1, "problems", problems, "1 or more");
            Configuration.require(batch >= 1, "batch", batch, "1 or more");
        }
    }

    /// Fine-tunes `model` into `out`.
    ///
    /// @return the directory, which is `out` but in a content-addressed session
    public static Path run(Session session, Settings settings, Path model, Path out) {
        var inputs = StageInputs.with(session, settings.data(), Session.inputs("model", model));
        return session.produce("sft", settings, inputs, out, work -> {
            var texts = StageInputs.texts(session, settings.data(), settings.tasks(), settings.texts(), model, inputs);
            TrainingRun.run(work, settings.optimisation(), model, student -> new SftObjective(
                    new ShuffledBatches(texts.training(settings.problems()), settings.batch(), session.seed()),
                    settings.optimisation().microBatch(),
                    ChunkedHead.chunkFor(student.config().vocabularySize())));
        });
    }
}
