package rqat.eval;

import java.util.List;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.data.DataSource;

/// The published benchmarks of the paper, each a class of its own.
public final class Benchmarks {
    /// Those that take reasoning: an answer is sampled and judged.
    public static final List<String> REASONING =
            List.of("aime_120", "aime_2024", "aime_2025", "math_500", "gsm8k", "gpqa_diamond", "livecodebench_v4_v5");

    /// All of them.
    public static final List<String> NAMES =
            Stream.concat(REASONING.stream(), Stream.of("wikitext2", "winogrande", "hellaswag")).toList();

    private Benchmarks() {}

    /// One of the benchmarks.
    ///
    /// @param data  where its files are
    /// @param limit how many examples at most, the first ones; 0 for all
    /// @throws Failure USAGE when there is no such benchmark; BAD_FILE when its files are missing or not as published
    public static Task of(String name, DataSource data, Protocol protocol, int limit) {
        return limited(limit, switch (name) {
            case "aime_120" -> Aime.of120(data, protocol);
            case "aime_2024" -> Aime.of2024(data, protocol);
            case "aime_2025" -> Aime.of2025(data, protocol);
            case "math_500" -> Math500.of(data, protocol);
            case "gsm8k" -> Gsm8k.of(data, protocol);
            case "gpqa_diamond" -> GpqaDiamond.of(data, protocol);
            case "livecodebench_v4_v5" -> LiveCodeBench.of(data, protocol);
            case "wikitext2" -> WikiText2.of(data);
            case "winogrande" -> Winogrande.of(data);
            case "hellaswag" -> HellaSwag.of(data);
            default -> throw Failure.usage("there is no benchmark `%s`; there are %s".formatted(name, NAMES));
        });
    }

    private static Task limited(int limit, Task task) {
        if (limit == 0 || limit >= task.size()) return task;
        return switch (task) {
            case Task.Answering(var name, var problems, var verifier) -> new Task.Answering(name, problems.subList(0, limit), verifier);
            case Task.Choosing(var name, var questions, var perCharacter) ->
                new Task.Choosing(name, questions.subList(0, limit), perCharacter);
            case Task.Reading reading -> reading;
        };
    }
}
