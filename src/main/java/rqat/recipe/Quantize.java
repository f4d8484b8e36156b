package rqat.recipe;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import rqat.model.Linear;
import rqat.quant.Method;
import rqat.quant.ModelDirectory;
import rqat.quant.QuantisedModel;
import rqat.quant.Quantisation;
import rqat.quant.Quantiser;
import rqat.run.Configuration;
import rqat.run.Progress;
import rqat.texts.DataSettings;
import rqat.texts.Texts;
import rqat.texts.WordProblemTexts;

/// Post-training quantisation: a full-precision model to a quantised one whose latents training can go on from.
public final class Quantize {
    private Quantize() {}

    /// @param method      with its options
    /// @param calibration how many worked problems of the calibration split a method with calibration sees
    /// @param tasks       of the calibration problems
    /// @param texts       which part of them is read
    /// @param data        which problems, and how long a window of them is; `tasks` are of the word problems
    public record Settings(Method method, int calibration, List<String> tasks, Texts texts, DataSettings data) implements StageSettings {
        /// Checks the count.
        public Settings {
            tasks = WordProblemTexts.checked(tasks);
            Configuration.require(calibration >= 1, "calibration", calibration, "1 or more");
        }

        @Override
        public boolean drawsData() {
            return method.readsText();
        }
    }

    /// Quantises `model` into `out`.
    ///
    /// @return the directory, which is `out` but in a content-addressed session
    public static Path run(Session session, Settings settings, Path model, Path out) {
        var inputs = settings.drawsData() ? StageInputs.with(session, settings.data(), Session.inputs("model", model)) : Session.inputs("model", model);
        return session.produce("quantize", settings, inputs, out, work -> {
            int[][] windows = settings.drawsData()
                    ? StageInputs.texts(session, settings.data(), settings.tasks(), settings.texts(), model, inputs).calibration(settings.calibration())
                    : new int[0][];
            try (QuantisedModel source = ModelDirectory.load(model);
                    var progress = work.progress().start(work.name(), (long) source.config().layers() * Linear.values().length, "maps");
                    QuantisedModel quantised = Quantiser.quantise(
                            source, settings.method(), windows, session.compute().type(), new Told(progress))) {
                ModelDirectory.save(quantised, work.directory(), session.compute().type(), model, work.of(model));
            }
        });
    }

    private record Told(Progress.Task progress) implements Quantisation.Listener {
        @Override
        public void quantised(Quantisation.Step step) {
            progress.note(String.format(Locale.ROOT, "error %.4f", step.relativeError()));
            progress.advance(1);
        }

        @Override
        public void passed(int layer, int done, int total) {
            progress.note("calibrating block %d, %d/%d".formatted(layer, done, total));
        }
    }
}
