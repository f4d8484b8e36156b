package rqat.cli;

import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import rqat.Failure;
import rqat.recipe.Reinforce;
import rqat.recipe.RunSettings;
import rqat.recipe.Session;

/// `rqat grpo`.
@Command(
        name = "grpo",
        description = "Reinforce a quantised model with rewards for correct answers, or let it follow a teacher on its own samples"
                + " (--set grpo.objective=distillation). Settings: --set grpo.optimisation.steps=60, ...",
        mixinStandardHelpOptions = true)
final class ReinforceCommand extends StageCommand {
    @Option(names = "--force", description = "Start even if the cold-start gate says that the model finds no rewards.")
    private boolean force;

    @Option(names = "--teacher", paramLabel = "DIR", description = "The full-precision model, or `embedded`, for grpo.objective=distillation.")
    private @Nullable String teacher;

    @Override
    void run(Session session, RunSettings settings, Path model, Path out) {
        boolean distils = settings.grpo().objective() == Reinforce.Objective.DISTILLATION;
        if (distils && teacher == null) throw Failure.usage("grpo.objective is distillation: name the full-precision model with --teacher");
        if (!distils && teacher != null) throw Failure.usage("--teacher is for grpo.objective=distillation; the objective is grpo");
        Reinforce.run(session, settings.grpo(), model, teacher == null ? null : Models.directory(teacher), force, out);
    }
}
