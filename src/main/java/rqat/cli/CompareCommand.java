package rqat.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.report.Results;
import rqat.report.RunComparison;
import tools.jackson.databind.json.JsonMapper;

/// `rqat compare`.
@Command(
        name = "compare",
        description = "The results of two runs side by side, with their differences and the noise of those.",
        mixinStandardHelpOptions = true)
final class CompareCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(arity = "2", paramLabel = "DIR", description = "Two run directories with a results.json each.")
    private List<Path> runs;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Override
    public Integer call() {
        Results first = results(runs.get(0));
        Results second = results(runs.get(1));
        Output.print(spec, json ? JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(RunComparison.of(first, second))
                : RunComparison.text(first, second));
        return 0;
    }

    private static Results results(Path run) {
        Path file = run.resolve("results.json");
        if (!Files.isRegularFile(file)) {
            throw Failure.badFile("%s: no results.json there; expected the directory of a finished `rqat run`".formatted(run));
        }
        return Results.read(file);
    }
}
