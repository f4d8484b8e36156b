package rqat.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import rqat.report.Results.Row;
import rqat.report.Results.Score;

/// The results of two runs side by side: scores of rows and tasks that both have, their difference, and how large a difference chance alone
/// would make.
public final class RunComparison {
    private RunComparison() {}

    /// One score of two runs, all in percent or points.
    ///
    /// @param row        name of the row
    /// @param task       name of the task
    /// @param first      mean of the first run
    /// @param second     mean of the second
    /// @param noise      twice the standard error of the difference, from the spread of the seeds or, with one seed, from the number of
    ///                   problems as if they were drawn anew; NaN when neither is known
    public record Difference(String row, String task, double first, double second, double noise) {
        /// Second minus first.
        public double points() {
            return second - first;
        }

        /// Whether chance alone would rarely make it.
        public boolean real() {
            return Math.abs(points()) > noise;
        }
    }

    /// What both runs have, in the order of the first.
    public static List<Difference> of(Results first, Results second) {
        var differences = new ArrayList<Difference>();
        for (Row row : first.rows()) {
            Optional<Row> other = second.rows().stream().filter(candidate -> candidate.name().equals(row.name())).findFirst();
            if (other.isEmpty()) continue;
            row.scores().forEach((task, score) -> {
                Score otherScore = other.get().scores().get(task);
                if (otherScore == null) return;
                double variance = variance(score) + variance(otherScore);
                differences.add(new Difference(row.name(), task, score.mean(), otherScore.mean(), 2 * Math.sqrt(variance)));
            });
        }
        return differences;
    }

    /// Of the mean, in squared points.
    private static double variance(Score score) {
        if (score.seeds() > 1 && !Double.isNaN(score.std())) return score.std() * score.std() / score.seeds();
        return score.mean() * (100 - score.mean()) / ((double) score.problems() * Math.max(1, score.seeds()));
    }

    /// As a table for the terminal; then the rows that only one run has.
    public static String text(Results first, Results second) {
        var lines = new ArrayList<List<String>>();
        lines.add(List.of("model", "task", "first", "second", "difference", "noise", ""));
        for (Difference difference : of(first, second)) {
            lines.add(List.of(
                    TextTable.printable(difference.row()),
                    TextTable.printable(difference.task()),
                    number("%.2f", difference.first()),
                    number("%.2f", difference.second()),
                    number("%+.2f", difference.points()),
                    number("± %.2f", difference.noise()),
                    difference.real() ? difference.points() > 0 ? "better" : "worse" : "within noise"));
        }
        return TextTable.format(lines, 2) + alone("first", first, second) + alone("second", second, first);
    }

    private static String alone(String which, Results results, Results other) {
        List<String> names = results.rows().stream()
                .map(Row::name)
                .filter(name -> other.rows().stream().noneMatch(row -> row.name().equals(name)))
                .map(TextTable::printable)
                .toList();
        return names.isEmpty() ? "" : "only in the %s: %s%n".formatted(which, String.join(", ", names));
    }

    private static String number(String format, double value) {
        return Double.isFinite(value) ? String.format(Locale.ROOT, format, value) : "-";
    }
}
