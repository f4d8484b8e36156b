package rqat.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DocumentTest {
    private static final Document DOCUMENT = new Document("Study", "Table 5", "3 rows", List.of(
            new Document.Section("Results", List.of(
                    new Document.Table(
                            List.of("#", "GPTQ", "easy", "average"),
                            List.of(List.of("#0", "-", "100.00 ±  0.00", "100.00"), List.of("#10", "✓ <b>", "9.50", "9.50")),
                            2),
                    new Document.Words("word ".repeat(40).strip()))),
            new Document.Section("Curves", List.of(
                    new Document.Charts(List.of(new LineChart("Loss", "nats", "step",
                            List.of(new LineChart.Series("a", 0, new double[] {0, 1}, new double[] {2, 1})), true, 0))),
                    new Document.Words("About the chart.")))));

    @Test
    void printsTablesWithWordsToTheLeftAndNumbersToTheRight() {
        assertThat(DOCUMENT.text()).isEqualTo("""
                Table 5
                3 rows

                Results

                #    GPTQ             easy  average
                -----------------------------------
                #0   -      100.00 ±  0.00   100.00
                #10  ✓ <b>            9.50     9.50
                %s
                %s
                """.formatted("word ".repeat(24).strip(), "word ".repeat(16).strip()));
    }

    @Test
    void writesAPageThatLoadsNothingAndEscapesText(@TempDir Path folder) throws Exception {
        Path html = folder.resolve("report.html");
        DOCUMENT.write(html);
        String page = Files.readString(html);
        assertThat(page).contains("Content-Security-Policy", "✓ &lt;b&gt;", "<svg", "About the chart.").doesNotContain("src=", "href=", "<script");
        String main = page.substring(page.indexOf("<main>"), page.indexOf("</main>") + "</main>".length());
        var xml = DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(new ByteArrayInputStream(main.getBytes(StandardCharsets.UTF_8)));
        // Two lines of four cells, the first of each its heading, below a header of four.
        assertThat(xml.getElementsByTagName("td").getLength()).isEqualTo(6);
        assertThat(xml.getElementsByTagName("th").getLength()).isEqualTo(6);
    }

    @Test
    void refusesLinesOfAnotherWidth() {
        assertThatThrownBy(() -> new Document.Table(List.of("a", "b"), List.of(List.of("1")), 1)).isInstanceOf(IllegalArgumentException.class);
    }
}
