package rqat.eval;

import java.util.stream.Stream;
import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.Row;

/// 1,267 sentences in which one of two names fits (Sakaguchi et al. 2019), as lm-evaluation-harness puts them: each name is set in, and the
/// rest of the sentence is scored after it.
final class Winogrande {
    private static final Publication PUBLICATION = Publication.of(
            "winogrande", "allenai/winogrande", "winogrande_xl/validation-*", "**validation*", "**dev*", "**valid*");

    private Winogrande() {}

    static Task of(DataSource data) {
        try (Stream<Row> rows = data.rows(PUBLICATION)) {
            return new Task.Choosing("winogrande", rows.map(Winogrande::question).toList());
        }
    }

    private static Task.Question question(Row row) {
        String sentence = row.text("sentence");
        int gap = sentence.indexOf('_');
        int answer = "12".indexOf(row.text("answer"));
        if (gap < 0) throw row.wrong("sentence", "a text with a gap `_`");
        if (row.text("answer").length() != 1 || answer < 0) throw row.wrong("answer", "`1` or `2`; the test split has none");
        String rest = " " + sentence.substring(gap + 1).strip();
        return new Task.Question(
                Long.toString(row.number()),
                Stream.of("option1", "option2").map(column -> new Task.Option(sentence.substring(0, gap) + row.text(column), rest)).toList(),
                answer);
    }
}
