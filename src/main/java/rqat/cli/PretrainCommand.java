package rqat.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import rqat.recipe.Pretrain;
import rqat.recipe.Session;
import rqat.run.Configuration;
import rqat.run.Progress;

/// `rqat pretrain`.
@Command(name = "pretrain", description = "Make the embedded model from nothing.", mixinStandardHelpOptions = true)
final class PretrainCommand implements Callable<Integer> {
    @Parameters(paramLabel = "RECIPE.yaml", description = "The recipe.")
    private Path recipe;

    @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Override a value of the recipe.")
    private List<String> sets = new ArrayList<>();

    @Option(names = "--out", paramLabel = "DIR", description = "The model's directory, instead of the recipe's `output`.")
    private @Nullable Path out;

    @Override
    public Integer call() {
        var settings = Configuration.load(recipe, sets, Pretrain.Settings.DEFAULT, Pretrain.Settings.class).value();
        var session = new Session(settings.seed(), settings.compute(), 1, 0, Progress.Display.ofStandardError());
        return Interruption.stopping(() -> {
            Pretrain.run(session, settings, out != null ? out : Path.of(settings.output()));
            return 0;
        });
    }
}
