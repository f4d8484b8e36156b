package rqat.report;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import rqat.io.AtomicFiles;

/// Tables, words and charts in sections: one content for the terminal, without the charts, and for a self-contained page.
///
/// @param kicker   the kind of document, above the title
/// @param facts    one line below it
/// @param notes    what could not be read, a sentence each
public record Document(String kicker, String title, String facts, List<String> notes, List<Section> sections) {
    private static final int LINE = 120;

    /// Copies the lists.
    public Document {
        notes = List.copyOf(notes);
        sections = List.copyOf(sections);
    }

    /// A document of which everything could be read.
    public Document(String kicker, String title, String facts, List<Section> sections) {
        this(kicker, title, facts, List.of(), sections);
    }

    /// A heading and what is below it.
    public record Section(String heading, List<? extends Part> parts) {
        /// Copies the list.
        public Section {
            parts = List.copyOf(parts);
        }
    }

    /// What a section is made of: it shows itself on a terminal and on a page.
    public interface Part {
        /// For the terminal; empty for what only a page can show.
        String text();

        /// For the page: well-formed markup, with every foreign text escaped.
        String html();
    }

    /// A paragraph.
    public record Words(String words) implements Part {
        @Override
        public String text() {
            return wrapped(TextTable.printable(words));
        }

        @Override
        public String html() {
            return "<p class=\"caption\">" + Html.escape(words) + "</p>\n";
        }
    }

    /// Charts, for the page alone; several lines stand side by side.
    public record Charts(List<? extends Chart> charts) implements Part {
        @Override
        public String text() {
            return "";
        }

        @Override
        public String html() {
            // Bars need the whole width.
            boolean wide = charts.stream().anyMatch(BarChart.class::isInstance);
            var html = new StringBuilder(wide ? "" : "<div class=\"charts\">\n");
            charts.forEach(chart -> html.append("<figure>").append(chart.svg()).append("</figure>\n"));
            return html.append(wide ? "" : "</div>\n").toString();
        }
    }

    /// Cells of text.
    ///
    /// @param header one cell a column
    /// @param lines  of as many cells
    /// @param labels how many columns, from the left, hold words; the others hold numbers and are aligned to the right
    /// @param marks  the style class of some lines, by their index: `reference`, `best`, `gate`
    public record Table(List<String> header, List<List<String>> lines, int labels, Map<Integer, String> marks) implements Part {
        /// Checks the shape.
        public Table {
            header = List.copyOf(header);
            lines = lines.stream().map(List::copyOf).toList();
            marks = Map.copyOf(marks);
            for (List<String> line : lines) {
                if (line.size() != header.size()) throw new IllegalArgumentException("%d cells below %d columns".formatted(line.size(), header.size()));
            }
        }

        /// A table whose lines are all alike.
        public Table(List<String> header, List<List<String>> lines, int labels) {
            this(header, lines, labels, Map.of());
        }

        @Override
        public String text() {
            var all = new ArrayList<List<String>>();
            all.add(header.stream().map(TextTable::printable).toList());
            lines.forEach(line -> all.add(line.stream().map(TextTable::printable).toList()));
            return TextTable.format(all, labels);
        }

        @Override
        public String html() {
            var html = new StringBuilder("<div class=\"wide\"><table class=\"results\">\n<thead><tr>");
            for (int column = 0; column < header.size(); column++) html.append(cell("th", column, header.get(column)));
            html.append("</tr></thead>\n<tbody>\n");
            for (int line = 0; line < lines.size(); line++) {
                html.append(marks.containsKey(line) ? "<tr class=\"%s\">".formatted(marks.get(line)) : "<tr>");
                for (int column = 0; column < header.size(); column++) html.append(cell(column == 0 ? "th scope=\"row\"" : "td", column, lines.get(line).get(column)));
                html.append("</tr>\n");
            }
            return html.append("</tbody></table></div>\n").toString();
        }

        private String cell(String tag, int column, String text) {
            return "<%s%s>%s</%s>".formatted(tag, column < labels ? "" : " class=\"n\"", Html.escape(text), tag.substring(0, 2));
        }
    }

    /// Parts that are there when asked for, on the page alone.
    ///
    /// @param detail beside the summary
    public record Folded(String summary, String detail, List<? extends Part> parts) implements Part {
        @Override
        public String text() {
            return "";
        }

        @Override
        public String html() {
            var html = new StringBuilder("<details><summary>%s <span class=\"muted\">%s</span></summary>\n".formatted(Html.escape(summary), Html.escape(detail)));
            parts.forEach(part -> html.append(part.html()));
            return html.append("</details>\n").toString();
        }
    }

    /// For the terminal.
    public String text() {
        var text = new StringBuilder(TextTable.printable(title)).append('\n').append(TextTable.printable(facts)).append('\n');
        for (Section section : sections) {
            if (section.parts.stream().anyMatch(Charts.class::isInstance)) continue;
            text.append('\n').append(TextTable.printable(section.heading)).append("\n\n");
            section.parts.forEach(part -> text.append(part.text()));
        }
        return text.toString();
    }

    private static String wrapped(String words) {
        var text = new StringBuilder();
        int column = 0;
        for (String word : words.split(" ")) {
            if (column > 0 && column + 1 + word.length() > LINE) {
                text.append('\n');
                column = 0;
            }
            text.append(column > 0 ? " " : "").append(word);
            column += word.length() + (column > 0 ? 1 : 0);
        }
        return text.append('\n').toString();
    }

    /// Writes the page, whole or not at all.
    public void write(Path html) {
        var main = new StringBuilder("<header>\n<p class=\"kicker\">%s</p>\n<h1>%s</h1>\n<p class=\"facts\">%s</p>\n</header>\n"
                .formatted(Html.escape(kicker), Html.escape(title), Html.escape(facts)));
        if (!notes.isEmpty()) {
            main.append("<aside class=\"notes\" role=\"note\"><h2>Not everything could be read</h2><ul>");
            notes.forEach(note -> main.append("<li>").append(Html.escape(note)).append("</li>"));
            main.append("</ul></aside>\n");
        }
        for (Section section : sections) {
            main.append("<section>\n<h2>%s</h2>\n".formatted(Html.escape(section.heading)));
            section.parts.forEach(part -> main.append(part.html()));
            main.append("</section>\n");
        }
        AtomicFiles.write(html, Html.page(title, main.toString()));
    }
}
