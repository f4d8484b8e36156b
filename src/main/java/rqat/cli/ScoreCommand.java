package rqat.cli;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.io.JsonFiles;
import rqat.recipe.Engines;
import rqat.recipe.Score;
import rqat.text.Tokenizer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `rqat score`.
@Command(
        name = "score",
        description = "Log-probability of each token of given texts, in float32, and perplexity.",
        mixinStandardHelpOptions = true)
final class ScoreCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(index = "0", paramLabel = "MODEL", description = "Model directory, or `embedded`.")
    private String model;

    @Parameters(index = "1", arity = "0..1", paramLabel = "FILE", description = "A text file to score as one sequence.")
    private @Nullable Path text;

    @Mixin
    private EngineOptions engineOptions;

    @Option(names = "--ids", paramLabel = "FILE.json", description = "Token ids instead: a JSON list of lists of ids.")
    private @Nullable Path ids;

    @Option(names = "--json", description = "Print a JSON line per sequence.")
    private boolean json;

    @Override
    public Integer call() {
        Engines.Settings engine = engineOptions.settings();
        Path directory = Models.directory(model);
        Path source = ids == null ? text : ids;
        if (source == null || ids != null && text != null) throw Failure.usage("score: give either a text FILE or --ids FILE.json");
        List<int[]> sequences = source == ids
                ? readIds(source)
                : List.of(Tokenizer.load(directory).encodeWithSpecial(Score.readText(source)));
        for (Score.Result result : Interruption.stopping(() -> Score.run(directory, engine, engineOptions::tell, source, sequences))) Output.print(spec, json ? json(result) : line(result));
        return 0;
    }

    private static List<int[]> readIds(Path file) {
        JsonNode lists = JsonFiles.read(file);
        if (!lists.isArray()) throw Failure.badFile("%s: expected a JSON list of lists of token ids".formatted(file));
        return lists.valueStream().map(list -> {
            if (!list.isArray() || !list.valueStream().allMatch(id -> id.isIntegralNumber() && id.canConvertToInt())) {
                throw Failure.badFile("%s: expected a JSON list of lists of token ids, found the element %s".formatted(file, Failure.quote(list.toString())));
            }
            return list.valueStream().mapToInt(JsonNode::asInt).toArray();
        }).toList();
    }

    private static String json(Score.Result result) {
        var fields = new LinkedHashMap<String, Object>();
        fields.put("sequence", result.sequence());
        fields.put("log_probabilities", result.logProbabilities());
        fields.put("sum", result.sum());
        fields.put("perplexity", result.perplexity());
        return JsonMapper.shared().writeValueAsString(fields);
    }

    private static String line(Score.Result result) {
        return "sequence %d: %d tokens scored, log-probability %.4f, perplexity %.4f"
                .formatted(result.sequence(), result.logProbabilities().length, result.sum(), result.perplexity());
    }
}
