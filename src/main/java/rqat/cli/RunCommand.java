package rqat.cli;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import rqat.recipe.Run;
import rqat.recipe.RunSettings;
import rqat.recipe.Score;
import rqat.report.ExportsTable;
import rqat.report.Results;
import rqat.report.ResultsTable;
import rqat.run.Progress;

/// `rqat run`: the whole workflow of a recipe.
@Command(
        name = "run",
        description = "Run the whole workflow of a recipe: quantise, distil, reinforce, evaluate, report. Resumes what was interrupted.",
        mixinStandardHelpOptions = true)
final class RunCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Mixin
    private RecipeOptions options;

    @Override
    public Integer call() {
        var configuration = RunSettings.load(options.recipe(), options.sets());
        RunSettings settings = configuration.value();
        Path output = Path.of(settings.output());
        boolean finished = Run.isFinished(settings, output);
        var progress = Progress.Display.ofStandardError();
        Results results = Interruption.stopping(
                () -> Run.run(RecipeOptions.typed(spec), configuration, Models.directory(settings.model()), output, progress));
        if (finished) progress.print("rqat: %s is complete; nothing was left to do. Choose another --out to run again.".formatted(output));
        Output.print(spec, options.json() ? Score.readText(output.resolve("results.json")) : text(results));
        progress.print("rqat: report in " + output.resolve("report.html"));
        return 0;
    }

    private static String text(Results results) {
        return ResultsTable.of(results).text() + ExportsTable.of(results).map(table -> "\n" + table.text()).orElse("");
    }
}
