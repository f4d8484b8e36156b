package rqat.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import rqat.report.Results.Row;
import rqat.report.Results.Score;

/// The results as a table for the terminal: mean ± standard deviation for each task, the average, and its distance to full precision, all
/// in percent.
public final class TextTable {

    private static final String UNKNOWN = "-";

    private TextTable() {}

    /// The table, one line for each row, each ended by a line feed. The first column is aligned to the left, numbers to the right.
    public static String of(Results results) {
        Optional<Row> reference = results.fullPrecision();
        boolean other = results.rows().stream().anyMatch(row -> !Double.isNaN(row.number("non_reasoning")));
        var header = new ArrayList<>(List.of("model", "bits"));
        header.addAll(results.tasks());
        header.add("average");
        reference.ifPresent(_ -> header.add("delta"));
        if (other) {
            header.add("non-reasoning");
        }
        var cells = new ArrayList<List<String>>();
        cells.add(header);
        for (Row row : results.rows()) {
            var line = new ArrayList<>(List.of(printable(row.name()), printable(row.bits())));
            for (String task : results.tasks()) {
                line.add(score(row.scores().get(task)));
            }
            line.add(number("%.2f", row.average()));
            reference.ifPresent(full -> line.add(full == row ? "" : number("%+.2f", (row.average() - full.average()))));
            if (other) {
                line.add(number("%.2f", row.number("non_reasoning")));
            }
            cells.add(line);
        }
        return format(cells, 1);
    }

    private static String score(@Nullable Score score) {
        if (score == null) {
            return UNKNOWN;
        }
        String spread = Double.isNaN(score.std()) ? "" : String.format(Locale.ROOT, " ± %5.2f", score.std());
        return number("%.2f", score.mean()) + spread;
    }

    private static String number(String format, double value) {
        return Double.isFinite(value) ? String.format(Locale.ROOT, format, value) : UNKNOWN;
    }

    /// Names come from configuration files; a control character would reach the terminal.
    static String printable(String text) {
        return text.codePoints().map(c -> Character.isISOControl(c) ? ' ' : c)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append).toString();
    }

    /// Lays out lines of cells, the first of them the header, which gets a rule below; the first `labels` columns are aligned to the left.
    static String format(List<List<String>> lines, int labels) {
        int columns = lines.getFirst().size();
        int[] widths = new int[columns];
        for (List<String> line : lines) {
            for (int column = 0; column < columns; column++) {
                widths[column] = Math.max(widths[column], length(line.get(column)));
            }
        }
        var text = new StringBuilder();
        for (int i = 0; i < lines.size(); i++) {
            var line = new StringBuilder();
            for (int column = 0; column < columns; column++) {
                String cell = lines.get(i).get(column);
                String padding = " ".repeat(widths[column] - length(cell));
                line.append(column == 0 ? "" : "  ").append(column < labels ? cell + padding : padding + cell);
            }
            text.append(line.toString().stripTrailing()).append('\n');
            if (i == 0) {
                text.append("-".repeat(IntStream.of(widths).sum() + 2 * (columns - 1))).append('\n');
            }
        }
        return text.toString();
    }

    private static int length(String cell) {
        return cell.codePointCount(0, cell.length());
    }
}
