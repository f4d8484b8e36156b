package rqat.cli;

import java.nio.file.Path;
import picocli.CommandLine.Command;
import rqat.recipe.FineTune;
import rqat.recipe.RunSettings;
import rqat.recipe.Session;

/// `rqat sft`.
@Command(
        name = "sft",
        description = "Fine-tune a quantised model on worked problems. Settings: --set sft.optimisation.steps=150, ...",
        mixinStandardHelpOptions = true)
final class FineTuneCommand extends StageCommand {
    @Override
    void run(Session session, RunSettings settings, Path model, Path out) {
        FineTune.run(session, settings.sft(), model, out);
    }
}
