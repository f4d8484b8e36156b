package rqat.eval;

import java.util.stream.Collectors;
import java.util.stream.Stream;
import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.Row;

/// Perplexity of the test articles of WikiText-2 (Merity et al. 2016) as compression papers measure it: all lines joined by empty lines, one
/// token sequence, windows of 2,048 that do not overlap.
final class WikiText2 {
    private static final Publication PUBLICATION =
            Publication.of("wikitext-2", "Salesforce/wikitext", "wikitext-2-raw-v1/test-*", "test.*", "**test*");
    private static final int WINDOW = 2048;

    private WikiText2() {}

    static Task of(DataSource data) {
        try (Stream<Row> rows = data.rows(PUBLICATION)) {
            return new Task.Reading("wikitext2", rows.map(row -> line(row.text("text"))).collect(Collectors.joining("\n\n")), WINDOW);
        }
    }

    /// The published rows keep their line feed, except for empty ones; plain text files have lost it.
    private static String line(String text) {
        return text.isBlank() ? "" : text.endsWith("\n") ? text : text + "\n";
    }
}
