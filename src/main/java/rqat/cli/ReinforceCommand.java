package rqat.cli;

import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import rqat.recipe.Reinforce;
import rqat.recipe.RunSettings;
import rqat.recipe.Session;

/// `rqat grpo`.
@Command(
        name = "grpo",
        description = "Reinforce a quantised model with rewards for correct answers. Settings: --set grpo.optimisation.steps=60, ...",
        mixinStandardHelpOptions = true)
final class ReinforceCommand extends StageCommand {
    @Option(names = "--force", description = "Start even if the cold-start gate says that the model finds no rewards.")
    private boolean force;

    @Override
    void run(Session session, RunSettings settings, Path model, Path out) {
        Reinforce.run(session, settings.grpo(), model, force, out);
    }
}
