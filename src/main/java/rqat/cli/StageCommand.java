package rqat.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.recipe.RunSettings;
import rqat.recipe.Session;
import rqat.run.Configuration;
import rqat.run.Progress;
import rqat.tensor.Torch;

/// What the commands of single stages have in common: `rqat STAGE MODEL OUT`, with the settings that `rqat run` has for the stage.
abstract sealed class StageCommand implements Callable<Integer>
        permits QuantizeCommand, FineTuneCommand, DistillCommand, ReinforceCommand {
    @Spec
    private CommandSpec spec;

    @Parameters(index = "0", paramLabel = "MODEL", description = "Model directory, or `embedded`.")
    private String model;

    @Parameters(index = "1", paramLabel = "OUT", description = "Directory to make; resumed when unfinished, left alone when finished.")
    private Path out;

    @Option(names = "--recipe", paramLabel = "FILE", description = "Take the stage's settings from this recipe of `rqat run`.")
    private @Nullable Path recipe;

    @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Override a setting, named as in a recipe.")
    private List<String> sets = new ArrayList<>();

    @Override
    public final Integer call() {
        Configuration.Resolved<RunSettings> configuration = recipe == null
                ? Configuration.resolve(sets, RunSettings.DEFAULT, RunSettings.class)
                : RunSettings.load(recipe, sets);
        RunSettings settings = configuration.value();
        Torch.compute(settings.compute());
        var session = new Session(settings.seed(), settings.compute(), settings.threads(), settings.kvCacheGib(), Progress.Display.ofStandardError())
                .telling(settings.log().server());
        Interruption.stopping(() -> {
            run(session, settings, Models.directory(model), out);
            return null;
        });
        Output.print(spec, out.toString());
        return 0;
    }

    abstract void run(Session session, RunSettings settings, Path model, Path out);
}
