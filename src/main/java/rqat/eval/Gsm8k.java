package rqat.eval;

import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.verify.ReferenceVerifier;

/// 1,319 word problems of school mathematics (Cobbe et al. 2021).
final class Gsm8k {
    private static final Publication PUBLICATION = Publication.of("gsm8k", "openai/gsm8k", "main/test-*", "test.jsonl", "**test*");

    private Gsm8k() {}

    static Task of(DataSource data, Protocol protocol) {
        return new Task.Answering(
                "gsm8k",
                MathTasks.exercises(data, PUBLICATION).stream()
                        .map(exercise -> MathTasks.problem(exercise.id(), exercise, exercise.answer()))
                        .toList(),
                MathTasks.verifier(protocol, new ReferenceVerifier.Plain(true)));
    }
}
