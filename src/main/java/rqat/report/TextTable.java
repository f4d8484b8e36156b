package rqat.report;

import java.util.List;
import java.util.stream.IntStream;

/// Lays out cells of text for a terminal.
final class TextTable {
    private TextTable() {}

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
