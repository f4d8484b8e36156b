package rqat.eval;

import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.verify.mathematics.Gold;
import rqat.verify.mathematics.ReferenceVerifier;

/// 1,319 word problems of school mathematics (Cobbe et al. 2021).
final class Gsm8k {
    private static final Publication PUBLICATION = Publication.of("gsm8k", "openai/gsm8k", "main/test-*", "test.jsonl", "**test*");

    private Gsm8k() {}

    /// The reference is the number in the last line of the published answer. (The paper's evaluation searches the whole answer and finds another
    /// number in 4 of the problems, whose text speaks of an answer earlier.)
    static Task of(DataSource data, Protocol protocol) {
        return new Task.Answering(
                "gsm8k",
                MathTasks.problems(data, PUBLICATION, "", exercise -> Gold.of(exercise.answer()).text()),
                MathTasks.verifier(protocol, new ReferenceVerifier.Plain(true)));
    }
}
