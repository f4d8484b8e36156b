package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class CompareCommandTest {
    @TempDir
    private Path folder;

    @Test
    void evaluationsOfTheSameProblemsArePairedAnswerByAnswer() throws IOException {
        evaluation("a", "1111100000", 10);
        evaluation("b", "1000001111", 15);
        Cli cli = Cli.run("compare", folder.resolve("a").toString(), folder.resolve("b").toString());
        assertThat(cli.code()).as(cli.err()).isZero();
        // 4 lost, 4 won: the most even division.
        assertThat(cli.out().lines().toList().get(2)).matches("easy +10 +4 +4 +1.000 +1.50x +0");
    }

    @Test
    void rowsOfRunsArePairedAndTheJsonSaysAll() throws IOException {
        evaluation("one/evaluations/gptq", "1111111110", 10);
        evaluation("two/evaluations/gptq", "1110000000", 20);
        results("one", 90);
        results("two", 30);
        Cli cli = Cli.run("compare", folder.resolve("one").toString(), folder.resolve("two").toString(), "--json");
        JsonNode json = JsonMapper.shared().readTree(cli.out());
        JsonNode flips = json.path("flips").path(0);
        assertThat(flips.path("row").asString()).isEqualTo("gptq");
        assertThat(flips.path("lost").asInt()).isEqualTo(6);
        assertThat(flips.path("won").asInt()).isZero();
        assertThat(flips.path("mcnemar_p").asDouble()).isCloseTo(2 / 64.0, within(1e-12));
        assertThat(flips.path("token_inflation").asDouble()).isEqualTo(2);
        assertThat(json.path("differences").path(0).path("first").asDouble()).isEqualTo(90);
    }

    @Test
    void evaluationsWithoutACommonProblemAreRefused() throws IOException {
        evaluation("a", "1", 1);
        Files.createDirectories(folder.resolve("c"));
        Files.writeString(folder.resolve("c/samples.jsonl"), line("hard", 0, true, 1));
        Cli.run("compare", folder.resolve("a").toString(), folder.resolve("c").toString()).refused(3, "no problem in common");
    }

    @Test
    void aDamagedSampleIsNamedByItsLine() throws IOException {
        evaluation("a", "11", 1);
        evaluation("b", "11", 1);
        Files.writeString(folder.resolve("b/samples.jsonl"), line("easy", 0, true, 1) + "{\"task\": 3}\n" + line("easy", 1, true, 1));
        Cli.run("compare", folder.resolve("a").toString(), folder.resolve("b").toString()).refused(3, "samples.jsonl:2", "`seed` is missing");
    }

    private void evaluation(String name, String right, int tokens) throws IOException {
        Files.createDirectories(folder.resolve(name));
        Files.writeString(
                folder.resolve(name).resolve("samples.jsonl"),
                IntStream.range(0, right.length()).mapToObj(i -> line("easy", i, right.charAt(i) == '1', tokens)).collect(Collectors.joining()));
    }

    private static String line(String task, int id, boolean right, int tokens) {
        return """
                {"task":"%s","seed":42,"id":"%d","prompt":"p","completion":"c","gold":"7","reason":"%s","extracted":"7","stop":"stop_token","tokens":%d}
                """
                .formatted(task, id, right ? "match" : "mismatch", tokens);
    }

    private void results(String run, double mean) throws IOException {
        Files.writeString(folder.resolve(run).resolve("results.json"), """
                {"rows": [{"name": "gptq", "bits": 2, "scores": {"easy": {"mean": %s, "std": null, "problems": 10, "seeds": 1}}}]}
                """.formatted(mean));
    }
}
