package rqat.eval;

import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.Exercise;
import rqat.verify.mathematics.ReferenceVerifier;

/// 500 problems of the MATH test set (Lightman et al. 2023).
final class Math500 {
    private static final Publication PUBLICATION = Publication.of("math_500", "HuggingFaceH4/MATH-500", "test.jsonl", "**test*");

    private Math500() {}

    /// The paper's evaluation takes the box of the published solution for the reference, ours the published answer.
    static Task of(DataSource data, Protocol protocol) {
        return new Task.Answering(
                "math_500",
                MathTasks.problems(data, PUBLICATION, "", exercise -> gold(exercise, protocol)),
                MathTasks.verifier(protocol, new ReferenceVerifier.Latex(55, true, true)));
    }

    private static String gold(Exercise exercise, Protocol protocol) {
        String solution = exercise.solution();
        return protocol == Protocol.PAPER && solution != null ? solution : exercise.answer();
    }
}
