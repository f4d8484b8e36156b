package rqat.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import tools.jackson.databind.json.JsonMapper;

/// The recipe of a command, what is laid over it, and how its result is printed.
final class RecipeOptions {
    @Parameters(paramLabel = "RECIPE.yaml", description = "The recipe.")
    private Path recipe;

    @Option(names = "--set", paramLabel = "KEY=VALUE", description = "Override a value of the recipe, for example --set quantise.bits=3.")
    private List<String> sets = new ArrayList<>();

    @Option(names = "--out", paramLabel = "DIR", description = "The output directory, instead of the recipe's `output`.")
    private @Nullable Path out;

    @Option(names = "--resume", description = "Accepted for clarity: what was interrupted is always resumed.")
    private boolean resume;

    @Option(names = "--json", description = "Print results.json instead of tables.")
    private boolean json;

    Path recipe() {
        return recipe;
    }

    /// Values laid over the recipe, the output directory among them: `key.path=value`, the value in YAML.
    List<String> sets() {
        var all = new ArrayList<>(sets);
        // A text in JSON is one in YAML, whatever is in it.
        if (out != null) all.add("output=" + JsonMapper.shared().writeValueAsString(out.toString()));
        return all;
    }

    boolean json() {
        return json;
    }

    /// What the user typed, word by word.
    static List<String> typed(CommandSpec spec) {
        var words = new ArrayList<>(List.of("rqat"));
        words.addAll(spec.root().commandLine().getParseResult().originalArgs());
        return words;
    }
}
