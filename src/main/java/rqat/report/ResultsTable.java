package rqat.report;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import rqat.report.Results.Row;
import rqat.report.Results.Score;

/// The results of a run as one table, on the terminal and on the page: mean ± standard deviation for each task, the average and its
/// distance to full precision.
public final class ResultsTable {
    private static final String UNKNOWN = "-";

    private ResultsTable() {}

    private record Column(String name, Function<Row, String> cell) {}

    /// One line for each row; what no row has is left out. The full-precision row is marked, and the best of the others.
    public static Document.Table of(Results results) {
        Optional<Row> reference = results.fullPrecision();
        var columns = new ArrayList<Column>();
        columns.add(new Column("model", Row::name));
        columns.add(new Column("bits", Row::bits));
        for (String task : results.tasks()) columns.add(new Column(task, row -> score(row.scores().get(task))));
        columns.add(new Column("average", row -> number("%.2f", row.average())));
        reference.ifPresent(full -> columns.add(new Column("delta", row -> row == full ? "" : number("%+.2f", row.average() - full.average()))));
        if (results.rows().stream().anyMatch(row -> Double.isFinite(row.number("non_reasoning")))) {
            columns.add(new Column("non-reasoning", row -> number("%.2f", row.number("non_reasoning"))));
        }
        var lines = results.rows().stream().map(row -> columns.stream().map(column -> column.cell.apply(row)).toList()).toList();
        var marks = new HashMap<Integer, String>();
        best(results).ifPresent(row -> marks.put(results.rows().indexOf(row), "best"));
        reference.ifPresent(row -> marks.put(results.rows().indexOf(row), "reference"));
        return new Document.Table(columns.stream().map(Column::name).toList(), lines, 1, marks);
    }

    /// What the columns mean, for the line below the table.
    public static String legend(Results results) {
        var tasks = new ArrayList<String>();
        for (String task : results.tasks()) {
            results.rows().stream().map(row -> row.scores().get(task)).filter(score -> score != null && score.problems() > 0).findFirst()
                    .ifPresent(score -> tasks.add("%s: %,d problems, %d seeds".formatted(task, score.problems(), score.seeds())));
        }
        var legend = new StringBuilder("Percent right, mean ± sample standard deviation over seeds.");
        if (results.fullPrecision().isPresent()) legend.append(" Delta: the average's distance to full precision, in points.");
        return legend + (tasks.isEmpty() ? "" : " " + String.join("; ", tasks) + ".");
    }

    /// The best of the rows below full precision.
    static Optional<Row> best(Results results) {
        return results.rows().stream()
                .filter(row -> !(row.width() >= Results.FULL_PRECISION_BITS) && !Double.isNaN(row.average()))
                .max(Comparator.comparingDouble(Row::average));
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
