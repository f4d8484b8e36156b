package rqat.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.recipe.Run;
import rqat.recipe.RunSettings;
import rqat.recipe.Score;
import rqat.report.Results;
import rqat.report.TextTable;
import rqat.run.Progress;

/// `rqat run`: the whole workflow of a recipe.
@Command(
        name = "run",
        description = "Run the whole workflow of a recipe: quantise, distil, reinforce, evaluate, report. Resumes what was interrupted.",
        mixinStandardHelpOptions = true)
final class RunCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "RECIPE.yaml", description = "The recipe.")
    private Path recipe;

    @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Override a value of the recipe, for example --set quantise.bits=3.")
    private List<String> sets = new ArrayList<>();

    @Option(names = "--out", paramLabel = "DIR", description = "The run's directory, instead of the recipe's `output`.")
    private @Nullable Path out;

    @Option(names = "--resume", description = "Accepted for clarity: an interrupted run is always resumed.")
    private boolean resume;

    @Option(names = "--json", description = "Print results.json instead of the table.")
    private boolean json;

    @Override
    public Integer call() {
        if (out != null) sets.add("output=\"" + out + "\"");
        var configuration = RunSettings.load(recipe, sets);
        RunSettings settings = configuration.value();
        Path output = Path.of(settings.output());
        boolean finished = Run.isFinished(settings, output);
        var progress = Progress.Display.ofStandardError();
        Results results = Interruption.stopping(
                () -> Run.run(Rqat.typed(spec), configuration, Models.directory(settings.model()), output, progress));
        if (finished) progress.print("rqat: %s is complete; nothing was left to do. Choose another --out to run again.".formatted(output));
        Output.print(spec, json ? Score.readText(output.resolve("results.json")) : TextTable.of(results));
        progress.print("rqat: report in " + output.resolve("report.html"));
        return 0;
    }
}
