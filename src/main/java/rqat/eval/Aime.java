package rqat.eval;

import java.util.ArrayList;
import java.util.List;
import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.Exercise;
import rqat.verify.mathematics.ReferenceVerifier;

/// Problems of the American Invitational Mathematics Examination; answers are the integers 0 to 999.
final class Aime {
    private static final Publication YEARS_2022_TO_2024 = Publication.of("aime90", "xiaoyuanliu/AIME90", "**train*", "**");
    private static final Publication YEAR_2024 = Publication.of("aime24", "HuggingFaceH4/aime_2024", "**train*", "**");
    private static final Publication YEAR_2025 = Publication.of("aime25", "yentinglin/aime_2025", "data/train-*", "**");

    private Aime() {}

    /// The paper's: 90 problems of 2022 to 2024 and 30 of 2025, each counting the same.
    static Task of120(DataSource data, Protocol protocol) {
        var problems = new ArrayList<>(problems(data, YEARS_2022_TO_2024, "2022-2024/"));
        problems.addAll(problems(data, YEAR_2025, "2025/"));
        return new Task.Answering("aime_120", problems, MathTasks.verifier(protocol, new ReferenceVerifier.Plain(true)));
    }

    static Task of2024(DataSource data, Protocol protocol) {
        return new Task.Answering("aime_2024", problems(data, YEAR_2024, ""), MathTasks.verifier(protocol, new ReferenceVerifier.Plain(true)));
    }

    static Task of2025(DataSource data, Protocol protocol) {
        return new Task.Answering("aime_2025", problems(data, YEAR_2025, ""), MathTasks.verifier(protocol, new ReferenceVerifier.Plain(true)));
    }

    private static List<Task.Problem> problems(DataSource data, Publication publication, String prefix) {
        return MathTasks.problems(data, publication, prefix, Exercise::answer);
    }
}
