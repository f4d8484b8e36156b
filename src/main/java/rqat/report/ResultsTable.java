package rqat.report;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import rqat.report.Results.Row;
import rqat.report.Results.Score;
import tools.jackson.databind.JsonNode;

/// The results of a run as one table, on the terminal and on the page: mean ± standard deviation for each task, the average, its distance to
/// full precision, and what an average hides: answers lost and won, length, answers cut or reached but not given.
public final class ResultsTable {
    private static final String UNKNOWN = "-";

    private ResultsTable() {}

    private record Column(String name, Function<Row, String> cell) {}

    /// One line for each row; columns that no row has are left out. The full-precision row is marked, and the best of the others.
    public static Document.Table of(Results results) {
        Optional<Row> reference = results.fullPrecision();
        var columns = new ArrayList<Column>();
        columns.add(new Column("model", Row::name));
        columns.add(new Column("bits", Row::bits));
        for (String task : results.tasks()) columns.add(new Column(task, row -> score(row.scores().get(task))));
        columns.add(new Column("average", row -> number("%.2f", row.average())));
        reference.ifPresent(full -> columns.add(new Column("delta", row -> row == full ? "" : number("%+.2f", row.average() - full.average()))));
        optional(results, columns, "lost", row -> number("%.1f", percent(row, "lost")));
        optional(results, columns, "won", row -> number("%.1f", percent(row, "won")));
        optional(results, columns, "length", row -> number("%.2fx", flips(row, "token_inflation")));
        optional(results, columns, "truncated", row -> number("%.1f", row.number("truncated")));
        optional(results, columns, "reached", row -> number("%.1f", row.number("reached_not_given")));
        optional(results, columns, "non-reasoning", row -> number("%.2f", row.number("non_reasoning")));
        var lines = results.rows().stream().map(row -> columns.stream().map(column -> column.cell.apply(row)).toList()).toList();
        var marks = new HashMap<Integer, String>();
        best(results).ifPresent(row -> marks.put(results.rows().indexOf(row), "best"));
        reference.ifPresent(row -> marks.put(results.rows().indexOf(row), "reference"));
        return new Document.Table(columns.stream().map(Column::name).toList(), lines, 1, marks);
    }

    /// What the columns mean, for the line below the table.
    static String legend(Results results) {
        var tasks = new ArrayList<String>();
        for (String task : results.tasks()) {
            results.rows().stream().map(row -> row.scores().get(task)).filter(score -> score != null && score.problems() > 0).findFirst()
                    .ifPresent(score -> tasks.add("%s: %,d problems, %d seeds".formatted(task, score.problems(), score.seeds())));
        }
        var legend = new StringBuilder("Percent right, mean ± sample standard deviation over seeds.");
        if (results.fullPrecision().isPresent()) legend.append(" Delta: the average's distance to full precision, in points.");
        if (results.rows().stream().anyMatch(row -> !Double.isNaN(flips(row, "pairs")))) {
            legend.append(" Lost and won: percent of all answers that were right in full precision and are wrong now, and the reverse; length: tokens"
                    + " over those of full precision on the same problems.");
        }
        if (results.rows().stream().anyMatch(row -> !Double.isNaN(row.number("reached_not_given")))) {
            legend.append(" Truncated: percent cut at the length limit; reached: percent whose text holds the right answer although another or none was given.");
        }
        return legend + (tasks.isEmpty() ? "" : " " + String.join("; ", tasks) + ".");
    }

    /// The best of the rows below full precision.
    static Optional<Row> best(Results results) {
        return results.rows().stream()
                .filter(row -> !(row.width() >= Results.FULL_PRECISION_BITS) && !Double.isNaN(row.average()))
                .max(java.util.Comparator.comparingDouble(Row::average));
    }

    private static void optional(Results results, List<Column> columns, String name, Function<Row, String> cell) {
        if (results.rows().stream().anyMatch(row -> !cell.apply(row).equals(UNKNOWN))) columns.add(new Column(name, cell));
    }

    private static double flips(Row row, String field) {
        JsonNode flips = row.extra().get(Results.AGAINST_FULL_PRECISION);
        return flips == null || !flips.path(field).isNumber() ? Double.NaN : flips.path(field).asDouble();
    }

    private static double percent(Row row, String field) {
        return 100 * flips(row, field) / flips(row, "pairs");
    }

    private static String score(@Nullable Score score) {
        if (score == null) return UNKNOWN;
        String spread = Double.isNaN(score.std()) ? "" : String.format(Locale.ROOT, " ± %5.2f", score.std());
        return number("%.2f", score.mean()) + spread;
    }

    private static String number(String format, double value) {
        return Double.isFinite(value) ? String.format(Locale.ROOT, format, value) : UNKNOWN;
    }
}
