package rqat.eval;

import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.Exercise;
import rqat.data.Row;
import rqat.verify.Verifier;
import rqat.verify.mathematics.Gold;
import rqat.verify.mathematics.MathVerifier;
import rqat.verify.mathematics.ReferenceVerifier;

/// What the benchmarks of mathematics have in common: the prompt and the verifier.
final class MathTasks {
    /// How many unreadable reference answers an error names.
    private static final int MOST_LISTED = 10;

    private MathTasks() {}

    /// @param gold what the paper's evaluation looks for in the reference answers of a benchmark
    static Verifier verifier(Protocol protocol, ReferenceVerifier.Target gold) {
        return switch (protocol) {
            case CLEAN -> new MathVerifier();
            case PAPER -> new ReferenceVerifier(
                    List.of(gold), List.of(new ReferenceVerifier.Plain(true), new ReferenceVerifier.Latex(0, true, true)), 5, true, false);
        };
    }

    private static List<Exercise> exercises(DataSource data, Publication publication) {
        try (Stream<Row> rows = data.rows(publication)) {
            return rows.map(Exercise::of).flatMap(Optional::stream).toList();
        }
    }

    /// The problems of a publication.
    ///
    /// @param prefix of their ids
    /// @param gold   the reference answer of an exercise
    /// @throws Failure BAD_FILE that names the problems whose reference answer no answer could match: they would count as wrong for ever
    static List<Task.Problem> problems(DataSource data, Publication publication, String prefix, Function<Exercise, String> gold) {
        List<Task.Problem> problems = exercises(data, publication).stream()
                .map(exercise -> new Task.Problem(prefix + exercise.id(), Prompt.Conversation.user(exercise.prompt()), gold.apply(exercise)))
                .toList();
        List<Task.Problem> unreadable = problems.stream().filter(problem -> !Gold.of(problem.gold()).usable()).toList();
        if (unreadable.isEmpty()) return problems;
        String listed = unreadable.stream()
                .limit(MOST_LISTED)
                .map(problem -> "problem %s: %s".formatted(problem.id(), Failure.quote(problem.gold())))
                .collect(Collectors.joining("; "));
        throw Failure.badFile("%s: %,d of %,d reference answers cannot be read, so that no answer could be right: %s%s. Correct these rows or remove them"
                .formatted(publication.name(), unreadable.size(), problems.size(), listed, unreadable.size() > MOST_LISTED ? "; and so on" : ""));
    }
}
