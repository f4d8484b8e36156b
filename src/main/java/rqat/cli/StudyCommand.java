package rqat.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.recipe.Score;
import rqat.recipe.Study;
import rqat.run.Progress;

/// `rqat study`: a table or a figure, with repetitions, noise and charts.
@Command(
        name = "study",
        description = "Make a table or a figure: rows with settings of their own, several seeds, which differences exceed their noise."
                + " Finished stages are kept in a cache that studies share. Resumes what was interrupted.",
        mixinStandardHelpOptions = true)
final class StudyCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Mixin
    private RecipeOptions options;

    @Override
    public Integer call() {
        var progress = Progress.Display.ofStandardError();
        long start = System.nanoTime();
        Study.Outcome outcome = Interruption.stopping(() -> Study.run(RecipeOptions.typed(spec), options.recipe(), options.sets(), Models::directory, progress));
        Output.print(spec, options.json() ? Score.readText(outcome.output().resolve("results.json")) : outcome.document().text());
        long seconds = Math.round((System.nanoTime() - start) * 1e-9);
        progress.print("rqat: this call took %d:%02d minutes; report in %s".formatted(seconds / 60, seconds % 60, outcome.output().resolve("report.html")));
        if (outcome.stopped().isEmpty()) return 0;
        progress.print("rqat: a gate stopped %s; the other rows are complete".formatted(String.join(", ", outcome.stopped())));
        return Failure.Kind.GATE.exitCode();
    }
}
