package rqat.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.report.Results.Row;
import rqat.report.Results.Score;
import tools.jackson.databind.json.JsonMapper;

class ResultsTest {

    @TempDir
    private Path folder;

    private Path file(String json) throws IOException {
        return Files.writeString(folder.resolve("results.json"), json);
    }

    @Test
    void whatIsWrittenIsRead() {
        Path file = folder.resolve("results.json");
        Results results = SyntheticRun.results();
        results.write(file);
        assertThat(Results.read(file)).isEqualTo(results);
        assertThat(new JsonMapper().readTree(file).path("rows").path(1).path("bits").isInt()).isTrue();
    }

    @Test
    void keepsFieldsItDoesNotKnow() throws IOException {
        Path file = file("""
                {"rows": [{"name": "a", "bits": "W4A4KV4", "scores": {"gsm8k": {"mean": 0.5, "std": null, "problems": 1319, "seeds": [42, 43, 44]}},
                  "average": 0.5, "notes": {"x": [1, 2]}, "non_reasoning": 0.25}]}""");
        Results results = Results.read(file);
        Row row = results.rows().getFirst();
        assertThat(row.number("non_reasoning")).isEqualTo(0.25);
        assertThat(row.scores().get("gsm8k")).isEqualTo(new Score(0.5, Double.NaN, 1319, 3));
        assertThat(row.width()).isNaN();
        results.write(file);
        assertThat(new JsonMapper().readTree(file).path("rows").path(0).path("notes").toString()).isEqualTo("{\"x\":[1,2]}");
        assertThat(Results.read(file)).isEqualTo(results);
    }

    @Test
    void averagesAndErrors() throws IOException {
        var scores = new LinkedHashMap<String, Score>();
        scores.put("a", new Score(0.2, 0.03, 100, 9));
        scores.put("b", new Score(0.6, 0.04, 100, 4));
        Row row = Row.of("r", "3", scores);
        assertThat(row.average()).isCloseTo(0.4, within(1e-12));
        // sqrt(0.03^2 / 9 + 0.04^2 / 4) / 2
        assertThat(row.standardError()).isCloseTo(Math.sqrt(0.0001 + 0.0004) / 2, within(1e-12));
        assertThat(row.with("standard_error", 0.1).standardError()).isEqualTo(0.1);
        Path file = file("{\"rows\": [{\"name\": \"x\", \"bits\": 3, \"scores\": {\"a\": {\"mean\": 0.2}, \"b\": {\"mean\": 0.6}}}]}");
        assertThat(Results.read(file).rows().getFirst().average()).isCloseTo(0.4, within(1e-12));
        assertThat(Results.read(file).rows().getFirst().standardError()).isNaN();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "[                                             | not valid JSON",
        "{}                                            | results.rows: expected a list, found nothing",
        "{'rows': [{'bits': 3, 'scores': {}}]}         | results.rows[0].name: expected a text or a number, found nothing",
        "{'rows': [{'name': 'a', 'bits': 3, 'scores': []}]} | results.rows[0].scores: expected an object, found []",
        "{'rows': [{'name': 'a', 'bits': 3, 'scores': {'t': {'mean': true}}}]} | results.rows[0].scores.t.mean: expected a number, found true",
        "{'rows': [{'name': 'a', 'bits': 3, 'scores': {'t': {'mean': 1, 'seeds': 0.5}}}]} | results.rows[0].scores.t.seeds: expected a count, found 0.5",
    })
    void saysWhatIsWrong(String json, String message) throws IOException {
        Path file = file(json.replace('\'', '"'));
        assertThatThrownBy(() -> Results.read(file)).isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContaining("results.json").hasMessageContaining(message);
    }

    @Test
    void theTableOfTheTerminal() {
        var half = new LinkedHashMap<String, Score>();
        half.put("easy", new Score(91.24, 0.61, 400, 3));
        half.put("hard", new Score(50, 10, 400, 3));
        var low = new LinkedHashMap<String, Score>();
        low.put("easy", new Score(5, Double.NaN, 400, 1));
        var results = new Results(List.of(Row.of("BF16", "16", half), Row.of("RTN \u001b[31m", "3", low)));
        assertThat(ResultsTable.of(results).text()).isEqualTo("""
                model      bits           easy           hard  average   delta
                --------------------------------------------------------------
                BF16         16  91.24 ±  0.61  50.00 ± 10.00    70.62
                RTN  [31m     3           5.00              -     5.00  -65.62
                """);
    }

    /// A model that gets one problem in two hundred right has half a percent, not fifty.
    @Test
    void smallScoresStaySmall() {
        var scores = new LinkedHashMap<String, Score>();
        scores.put("gsm8k", new Score(0.5, 0.25, 200, 3));
        assertThat(ResultsTable.of(new Results(List.of(Row.of("rtn", "2", scores)))).text()).contains(" 0.50 ±  0.25 ");
    }
}
