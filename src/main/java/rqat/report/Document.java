package rqat.report;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import rqat.io.AtomicFiles;

/// Tables, words and charts in sections: one content for the terminal, without the charts, and for a self-contained page.
///
/// @param kicker   the kind of document, above the title
/// @param facts    one line below it
public record Document(String kicker, String title, String facts, List<Section> sections) {
    private static final int LINE = 120;

    /// Copies the list.
    public Document {
        sections = List.copyOf(sections);
    }

    /// A heading and what is below it.
    public record Section(String heading, List<Part> parts) {
        /// Copies the list.
        public Section {
            parts = List.copyOf(parts);
        }
    }

    /// What a section is made of.
    public sealed interface Part {}

    /// A paragraph.
    public record Words(String text) implements Part {}

    /// Charts, for the page alone; several stand side by side.
    public record Charts(List<? extends Chart> charts) implements Part {}

    /// Cells of text.
    ///
    /// @param header one cell a column
    /// @param lines  of as many cells
    /// @param labels how many columns, from the left, hold words; the others hold numbers and are aligned to the right
    public record Table(List<String> header, List<List<String>> lines, int labels) implements Part {
        /// Checks the shape.
        public Table {
            header = List.copyOf(header);
            lines = lines.stream().map(List::copyOf).toList();
            for (List<String> line : lines) {
                if (line.size() != header.size()) throw new IllegalArgumentException("%d cells below %d columns".formatted(line.size(), header.size()));
            }
        }

        /// For the terminal.
        public String text() {
            var all = new ArrayList<List<String>>();
            all.add(header.stream().map(TextTable::printable).toList());
            lines.forEach(line -> all.add(line.stream().map(TextTable::printable).toList()));
            return TextTable.format(all, labels);
        }

        private String html() {
            var html = new StringBuilder("<div class=\"wide\"><table class=\"results\">\n<thead><tr>");
            for (int column = 0; column < header.size(); column++) html.append(cell("th", column, header.get(column)));
            html.append("</tr></thead>\n<tbody>\n");
            for (List<String> line : lines) {
                html.append("<tr>");
                for (int column = 0; column < line.size(); column++) html.append(cell("td", column, line.get(column)));
                html.append("</tr>\n");
            }
            return html.append("</tbody></table></div>\n").toString();
        }

        private String cell(String tag, int column, String text) {
            return "<%s%s>%s</%s>".formatted(tag, column < labels ? "" : " class=\"n\"", Html.escape(text), tag);
        }
    }

    /// For the terminal.
    public String text() {
        var text = new StringBuilder(TextTable.printable(title)).append('\n').append(TextTable.printable(facts)).append('\n');
        for (Section section : sections) {
            if (section.parts.stream().anyMatch(Charts.class::isInstance)) continue;
            text.append('\n').append(TextTable.printable(section.heading)).append("\n\n");
            for (Part part : section.parts) {
                switch (part) {
                    case Table table -> text.append(table.text());
                    case Words words -> text.append(wrapped(TextTable.printable(words.text)));
                    case Charts _ -> {}
                }
            }
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
        for (Section section : sections) {
            main.append("<section>\n<h2>%s</h2>\n".formatted(Html.escape(section.heading)));
            for (Part part : section.parts) {
                switch (part) {
                    case Table table -> main.append(table.html());
                    case Words words -> main.append("<p class=\"caption\">").append(Html.escape(words.text)).append("</p>\n");
                    case Charts(List<? extends Chart> charts) -> {
                        // Bars need the whole width; lines stand side by side.
                        boolean wide = charts.stream().anyMatch(BarChart.class::isInstance);
                        main.append(wide ? "" : "<div class=\"charts\">\n");
                        charts.forEach(chart -> main.append("<figure>").append(chart.svg()).append("</figure>\n"));
                        main.append(wide ? "" : "</div>\n");
                    }
                }
            }
            main.append("</section>\n");
        }
        AtomicFiles.write(html, Html.page(title, main.toString()));
    }
}
