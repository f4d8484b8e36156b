package rqat.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;
import rqat.Failure;

class RunReportTest {

    @TempDir
    private Path folder;

    private String report(Path run) throws IOException {
        Path html = folder.resolve("report.html");
        RunReport.write(run, html);
        return Files.readString(html);
    }

    private Path syntheticRun() throws IOException {
        Path run = Files.createDirectories(folder.resolve("run"));
        SyntheticRun.write(run);
        return run;
    }

    /// The page's `<main>` as XML, which also proves that every tag is closed and every text escaped.
    private static Document main(String page) throws Exception {
        String main = page.substring(page.indexOf("<main>"), page.indexOf("</main>") + "</main>".length());
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new ByteArrayInputStream(main.getBytes(StandardCharsets.UTF_8)));
    }

    private static List<Element> elements(Document document, String tag) {
        NodeList nodes = document.getElementsByTagName(tag);
        var elements = new ArrayList<Element>();
        for (int i = 0; i < nodes.getLength(); i++) {
            elements.add((Element) nodes.item(i));
        }
        return elements;
    }

    @Test
    void showsTheNumbersOfTheRun() throws Exception {
        Document main = main(report(syntheticRun()));
        List<List<String>> table = elements(main, "table").stream().filter(one -> one.getAttribute("class").equals("results")).findFirst().stream()
                .flatMap(one -> {
                    NodeList rows = one.getElementsByTagName("tr");
                    var lines = new ArrayList<List<String>>();
                    for (int i = 0; i < rows.getLength(); i++) {
                        var cells = new ArrayList<String>();
                        for (var cell = rows.item(i).getFirstChild(); cell != null; cell = cell.getNextSibling()) {
                            cells.add(cell.getTextContent());
                        }
                        lines.add(cells);
                    }
                    return lines.stream();
                }).toList();
        assertThat(table.get(0)).containsExactly("model", "bits", "easy", "medium", "hard", "average", "delta", "non-reasoning");
        assertThat(table.get(1)).containsExactly("BF16", "16", "91.23 ±  0.61", "84.20 ±  1.12", "63.10 ±  1.58", "79.51", "", "71.00");
        assertThat(table.get(5)).containsExactly("RTN + KD + GRPO", "3", "88.15 ±  0.61", "76.90 ±  1.12", "52.35 ±  1.58", "72.47", "-7.04", "66.00");
        assertThat(table).hasSize(7);

        assertThat(elements(main, "h1").getFirst().getTextContent()).isEqualTo("small-reasoner at 3 bits");
        List<String> tiles = elements(main, "span").stream().filter(span -> span.getAttribute("class").equals("value")).map(Element::getTextContent).toList();
        // (72.47 - 10.42) / (79.51 - 10.42) = 0.898
        assertThat(tiles).containsExactly("79.5", "10.4", "72.5", "90 %");
    }

    @Test
    void drawsWhatWasLoggedAndNothingElse() throws Exception {
        Document main = main(report(syntheticRun()));
        List<String> charts = elements(main, "svg").stream().map(svg -> svg.getAttribute("aria-label")).toList();
        assertThat(charts).containsExactly("Average accuracy", "Accuracy by task",
                "Loss", "Codes flipped in a step", "Codes flipped since the start", "Gradient norm", "Learning rate",
                "Loss", "Reward", "Entropy of the policy", "Response length", "Truncated responses", "Groups of equal rewards", "Codes flipped in a step", "Gradient norm",
                "Learning rate");
        assertThat(elements(main, "h3").stream().map(Element::getTextContent)).containsExactly("Distillation", "Reinforcement learning");
        Element loss = elements(main, "svg").get(2);
        assertThat(loss.getTextContent()).contains("01-kd-rtn", "02-kd-gptq").doesNotContain("grpo");
        assertThat(loss.getTextContent()).contains("step 600");
    }

    @Test
    void showsCompletionsEscapedWithTheirVerdicts() throws Exception {
        String page = report(syntheticRun());
        assertThat(page).doesNotContain("<script", "<img", "\u0000", "\u202E").contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
        Document main = main(page);
        List<String> badges = elements(main, "span").stream().filter(span -> span.getAttribute("class").startsWith("badge")).map(Element::getTextContent).distinct().toList();
        assertThat(badges).contains("✓ match", "✗ mismatch", "✗ truncated");
        List<String> shown = elements(main, "pre").stream().map(Element::getTextContent).toList();
        assertThat(shown).anyMatch(text -> text.contains("</pre></article><script>alert('x')</script><img src=x onerror=alert(1)>\uFFFD\uFFFD\uFFFD & \"quotes\""));
        assertThat(shown).anyMatch(text -> text.contains("characters left out") && text.length() < 6_000);
        assertThat(elements(main, "summary").stream().map(Element::getTextContent)).startsWith("BF16 6 samples", "RTN W3G128 6 samples", "RTN + KD + GRPO 6 samples");
    }

    @Test
    void showsGatesConfigurationAndTheCommand() throws Exception {
        Document main = main(report(syntheticRun()));
        List<String> rows = elements(main, "tr").stream().map(Element::getTextContent).toList();
        assertThat(rows).contains("04-grpo-without-cold-start80gatecold start: 71 % of groups have no right answer (figure 0.71, threshold 0.6)");
        assertThat(rows).contains("quantise.bits3--set quantise.bits=3", "versions.java25");
        assertThat(elements(main, "pre").getLast().getTextContent()).isEqualTo("rqat run 'recipes/small reasoner.yaml' --out runs/w3");
    }

    @Test
    void isSelfContainedAndDeterministic() throws Exception {
        Path run = syntheticRun();
        String page = report(run);
        assertThat(page).doesNotContain("src=\"", "href=", "url(", "@import", "<script", "<link");
        assertThat(page.replace("http://www.w3.org/2000/svg", "")).doesNotContain("http:", "https:");
        assertThat(page).contains("default-src 'none'").doesNotContain(folder.toString());
        assertThat(report(run)).isEqualTo(page);
    }

    @Test
    void aTornLastLineIsANote() throws Exception {
        Document main = main(report(syntheticRun()));
        assertThat(elements(main, "aside").getFirst().getTextContent())
                .isEqualTo("Not everything could be readstages/01-kd-rtn/metrics.jsonl: its last line is incomplete and was left out.");
    }

    @Test
    void anEmptyOrDamagedRunStillGetsAReport() throws Exception {
        Path empty = Files.createDirectories(folder.resolve("empty"));
        assertThat(main(report(empty)).getDocumentElement().getTextContent()).contains("empty", "There is no manifest.json", "There is no results.json");

        Path damaged = Files.createDirectories(folder.resolve("damaged"));
        Files.writeString(damaged.resolve("manifest.json"), "[1, 2");
        Files.writeString(damaged.resolve("results.json"), "{\"rows\": [{\"name\": \"a\", \"bits\": 3, \"scores\": {\"gsm8k\": {\"mean\": \"<b>high</b>\"}}}]}");
        Path stage = Files.createDirectories(damaged.resolve("stages/kd"));
        Files.writeString(stage.resolve("metrics.jsonl"), "\n\n[]\n{\"step\": 1, \"loss\": 1e300}\n{\"step\": 1e300, \"loss\": 2}\n{\"loss\": 5}\n{\"step\": 3, \"loss\": \"NaN\"}\nnonsense\n");
        Files.write(stage.resolve("events.jsonl"), new byte[] {(byte) 0xff, (byte) 0xfe, 0, '{', '\n'});
        Files.writeString(Files.createDirectories(damaged.resolve("evaluations/a")).resolve("samples.jsonl"), "{}\n{\"reason\": \"unheard of\"}\n{\"reason\": \"no answer\", \"completion\": [1]}\n"
                + "[".repeat(100_000) + "\n");
        String page = report(damaged);
        String text = main(page).getDocumentElement().getTextContent();
        assertThat(text).contains("manifest.json cannot be read", "results.json: results.rows[0].scores.gsm8k.mean: expected a number, found \"<b>high</b>\"",
                "metrics.jsonl: 2 of 6 lines are not JSON objects", "events.jsonl: its last line is incomplete", "no answer");
        assertThat(page).doesNotContain("<b>high");
    }

    @Test
    void aFolderThatIsNotThereIsABadFile() {
        assertThatThrownBy(() -> RunReport.write(folder.resolve("absent"), folder.resolve("report.html")))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContaining("absent").hasMessageContaining("manifest.json");
        assertThat(folder.resolve("report.html")).doesNotExist();
    }

    /// Random text of the worst characters, escaped and read back by an XML parser.
    @Test
    void escapedTextSurvivesAParser() throws Exception {
        int[] pool = {'<', '>', '&', '"', '\'', ']', '\n', '\t', 0, 7, 0x1b, 0x85, 0x202E, 0x2069, 0xFFFE, 0xFFFF, 0x1FFFE, 0xFDD0, 0xD800, 0xDFFF, 0x1F600, 'a', 'é'};
        for (int seed = 0; seed < 200; seed++) {
            var random = new Random(seed);
            var text = new StringBuilder();
            for (int i = 0; i < 50; i++) {
                int c = pool[random.nextInt(pool.length)];
                if (Character.isBmpCodePoint(c)) {
                    text.append((char) c);
                } else {
                    text.appendCodePoint(c);
                }
            }
            String escaped = Html.escape(text.toString());
            Document document = DocumentBuilderFactory.newInstance().newDocumentBuilder()
                    .parse(new ByteArrayInputStream(("<p a=\"" + escaped.replace("\n", " ") + "\">" + escaped + "</p>").getBytes(StandardCharsets.UTF_8)));
            var expected = new StringBuilder();
            text.codePoints().forEach(c -> expected.appendCodePoint("<>&\"']\n\taé".indexOf(c) >= 0 || c == 0x1F600 || c == 0x103FF ? c : 0xFFFD));
            assertThat(document.getDocumentElement().getTextContent()).as("seed %d", seed).isEqualTo(expected.toString());
        }
    }
}
