package rqat.eval;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.Exercise;
import rqat.data.Row;
import rqat.verify.Gold;
import rqat.verify.MathVerifier;
import rqat.verify.ReferenceVerifier;
import rqat.verify.Verifier;

/// What the benchmarks of mathematics have in common: the prompt and the verifier.
final class MathTasks {
    private MathTasks() {}

    /// @param gold what the paper's evaluation looks for in the reference answers of a benchmark
    static Verifier verifier(Protocol protocol, ReferenceVerifier.Target gold) {
        return switch (protocol) {
            case CLEAN -> new MathVerifier();
            case PAPER -> new ReferenceVerifier(
                    List.of(gold), List.of(new ReferenceVerifier.Plain(true), new ReferenceVerifier.Latex(0, true, true)), 5, true, false);
        };
    }

    static List<Exercise> exercises(DataSource data, Publication publication) {
        try (Stream<Row> rows = data.rows(publication)) {
            return rows.map(Exercise::of).flatMap(Optional::stream).toList();
        }
    }

    static Task.Problem problem(String id, Exercise exercise, String gold) {
        if (!Gold.of(gold).usable()) {
            throw Failure.badFile("problem %s: the reference answer %s cannot be read; no answer could be right".formatted(id, Failure.quote(gold)));
        }
        return new Task.Problem(id, Prompt.Conversation.user(exercise.prompt()), gold);
    }
}
