package rqat.cli;

import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import rqat.recipe.Distill;
import rqat.recipe.RunSettings;
import rqat.recipe.Session;

/// `rqat distill`.
@Command(
        name = "distill",
        description = "Distil a full-precision teacher into a quantised model. Settings: --set kd.optimisation.steps=150, ...",
        mixinStandardHelpOptions = true)
final class DistillCommand extends StageCommand {
    @Option(names = "--teacher", required = true, paramLabel = "DIR", description = "The full-precision model, or `embedded`.")
    private String teacher;

    @Override
    void run(Session session, RunSettings settings, Path model, Path out) {
        Distill.run(session, settings.kd(), model, Models.directory(teacher), out);
    }
}
