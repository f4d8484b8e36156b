package rqat.eval;

import java.util.Locale;
import java.util.stream.Stream;
import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.Row;

/// 10,042 beginnings of stories with four continuations (Zellers et al. 2019), as lm-evaluation-harness puts them; the score is its
/// `acc_norm`, by log-likelihood per character.
final class HellaSwag {
    private static final Publication PUBLICATION =
            Publication.of("hellaswag", "Rowan/hellaswag", "data/validation-*", "**validation*", "**val*");

    private HellaSwag() {}

    static Task of(DataSource data) {
        try (Stream<Row> rows = data.rows(PUBLICATION)) {
            return new Task.Choosing("hellaswag", rows.map(HellaSwag::question).toList(), true);
        }
    }

    private static Task.Question question(Row row) {
        String label = row.text("label");
        if (!label.matches("[0-3]")) throw row.wrong("label", "0 to 3; the test split has none");
        String context = row.text("activity_label") + ": " + row.text("ctx_a") + " " + capitalised(row.text("ctx_b"));
        return new Task.Question(
                Long.toString(row.number()),
                cleaned(context),
                row.texts("endings").stream().map(ending -> " " + cleaned(ending)).toList(),
                Integer.parseInt(label));
    }

    /// First letter upper case, all others lower, as Python's `capitalize`.
    private static String capitalised(String text) {
        if (text.isEmpty()) return text;
        int first = text.offsetByCodePoints(0, 1);
        return text.substring(0, first).toUpperCase(Locale.ROOT) + text.substring(first).toLowerCase(Locale.ROOT);
    }

    /// Without the marks that the texts from WikiHow still carry.
    static String cleaned(String text) {
        return text.strip().replace(" [title]", ". ").replaceAll("\\[.*?\\]", "").replace("  ", " ");
    }
}
