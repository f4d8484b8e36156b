package rqat.eval;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.Row;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.verify.AnswerScope;
import rqat.verify.ChoiceVerifier;

/// 198 questions of physics, chemistry and biology with four choices (Rein et al. 2023). A model that answers at random has 25 %.
final class GpqaDiamond {
    private static final Publication PUBLICATION =
            Publication.of("gpqa_diamond", "Idavidrein/gpqa", "gpqa_diamond.csv", "**gpqa_diamond*");
    private static final List<String> WRONG = List.of("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3");

    private GpqaDiamond() {}

    /// As in the paper's evaluation the right answer is put among the wrong ones, which keep their order. Where is a function of the record's
    /// id alone, and every sample shows it: the reference draws it from a generator whose state depends on the engine.
    static Task of(DataSource data, Protocol protocol) {
        try (Stream<Row> rows = data.rows(PUBLICATION)) {
            return new Task.Answering(
                    "gpqa_diamond",
                    rows.map(GpqaDiamond::problem).toList(),
                    protocol == Protocol.PAPER ? new ChoiceVerifier(AnswerScope.WHOLE, true) : new ChoiceVerifier(AnswerScope.AUTO, false));
        }
    }

    private static Task.Problem problem(Row row) {
        String id = row.text("Record ID").strip();
        int right = place(id);
        List<String> choices = new ArrayList<>(WRONG.stream().map(column -> row.text(column).strip()).toList());
        choices.add(right, row.text("Correct Answer").strip());
        String prompt = "Answer the following multiple choice question. The last line of your response should be of the following format: "
                + "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering.\n\n"
                + "%s\n\nA) %s\nB) %s\nC) %s\nD) %s"
                        .formatted(row.text("Question").strip(), choices.get(0), choices.get(1), choices.get(2), choices.get(3));
        return new Task.Problem(id, Prompt.Conversation.user(prompt), "ABCD".substring(right, right + 1));
    }

    /// Where the right answer stands, 0 to 3.
    static int place(String id) {
        return new RandomStream(Seeds.mix(Seeds.ofString("gpqa_diamond"), Seeds.ofString(id))).nextInt(4);
    }
}
