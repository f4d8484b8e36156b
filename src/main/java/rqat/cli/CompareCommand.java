package rqat.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.recipe.Flips;
import rqat.report.Results;
import rqat.report.RunComparison;
import tools.jackson.databind.json.JsonMapper;

/// `rqat compare`.
@Command(
        name = "compare",
        description = {
            "Two runs or studies side by side, with their differences and the noise of those, and the answers that flipped;",
            "or two evaluations (directories with a samples.jsonl) of the same problems."
        },
        mixinStandardHelpOptions = true)
final class CompareCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(arity = "2", paramLabel = "DIR", description = "Two runs, or two evaluations.")
    private List<Path> runs;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Override
    public Integer call() {
        Path first = runs.get(0), second = runs.get(1);
        if (Flips.isEvaluation(first) && Flips.isEvaluation(second)) {
            List<Flips> flips = Flips.ofEvaluations(first, second);
            Output.print(spec, json ? json(List.of(), flips) : Flips.text(flips));
            return 0;
        }
        Results before = results(first), after = results(second);
        List<Flips> flips = Flips.ofRuns(first, before, second, after);
        Output.print(spec, json ? json(RunComparison.of(before, after), flips) : RunComparison.text(before, after) + "\n" + Flips.text(flips));
        return 0;
    }

    private static String json(List<RunComparison.Difference> differences, List<Flips> flips) {
        var lines = flips.stream()
                .map(flip -> {
                    var fields = new LinkedHashMap<String, @Nullable Object>();
                    fields.put("row", flip.row());
                    fields.put("task", flip.answers().task());
                    fields.putAll(flip.answers().fields());
                    return fields;
                })
                .toList();
        return JsonMapper.shared().writerWithDefaultPrettyPrinter().writeValueAsString(Map.of("differences", differences, "flips", lines));
    }

    private static Results results(Path run) {
        Path file = run.resolve("results.json");
        if (!Files.isRegularFile(file)) {
            throw Failure.badFile("%s: no results.json there; expected the directory of a finished `rqat run` or `rqat study`, or two evaluations".formatted(run));
        }
        return Results.read(file);
    }
}
