package rqat.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.report.Results;
import rqat.run.Progress;
import tools.jackson.databind.JsonNode;

/// Studies on the embedded model, as small as they can be: what is made, what is shared, what is printed.
class StudyTest {
    private static final Path EMBEDDED = Path.of("models/embedded");

    private static final String SETTINGS = """
            quantise: {bits: 4}
            sft: {problems: 60, batch: 4, optimisation: {steps: 4, warm_up: 1, learning_rate: 1e-4, checkpoint_every: 1, snapshot_every: 2}}
            grpo: {prompts: 1, group_size: 2, max_new_tokens: 4, cold_start_prompts: 1, optimisation: {steps: 1, warm_up: 0}}
            evaluate: {tasks: [easy, choice], problems: 3, seeds: [42, 43], max_new_tokens: 40}
            """;

    @TempDir
    private Path folder;

    private Path cache;

    @BeforeEach
    void cache() {
        cache = folder.resolve("cache");
    }

    private Path recipe(String name, String study, String rows) throws IOException {
        Path file = folder.resolve(name + ".yaml");
        Files.writeString(file, "output: %s\nstudy: {cache: %s, seeds: [1, 2]%s}\n%srows:\n%s".formatted(
                folder.resolve(name), cache, study, SETTINGS, rows));
        return file;
    }

    private static Study.Outcome run(Path recipe, String... sets) {
        return Study.run(List.of(), recipe, List.of(sets), _ -> EMBEDDED, Progress.silent());
    }

    /// What is in a folder of the cache, and when it was made.
    private Map<String, Object> made(String kind) throws IOException {
        var made = new TreeMap<String, Object>();
        try (Stream<Path> entries = Files.list(cache.resolve(kind))) {
            for (Path entry : entries.toList()) {
                made.put(entry.getFileName().toString(), Files.getLastModifiedTime(entry.resolve("stage.json")));
            }
        }
        return made;
    }

    private static Map<String, Long> byName(Map<String, Object> made) {
        return made.keySet().stream().collect(Collectors.groupingBy(name -> name.substring(0, name.lastIndexOf('-')), TreeMap::new, Collectors.counting()));
    }

    private JsonNode results(String name) {
        return JsonFiles.read(folder.resolve(name).resolve("results.json"));
    }

    @Test
    @Tag("slow")
    void makesEachStageOnceInAStudyAndAcrossStudies() throws IOException {
        Path first = recipe("first", ", by_step: {tasks: [easy], problems: 2}, compare: [{row: tuned, over: rtn, paper: 42}]"
                + ", charts: [{title: Loss, metric: loss}, {title: Accuracy, metric: accuracy}, {title: Drop, metric: drop}]", """
                  - {name: full, chain: full precision, label: {'#': '#0', RTN: '-'}}
                  - {name: rtn, chain: rtn, label: {'#': '#1', RTN: '✓'}}
                  - {name: tuned, chain: rtn+sft, label: {'#': '#2', RTN: '✓'}}
                  - {name: gentle, chain: rtn+sft, set: {sft: {optimisation: {learning_rate: 1e-5}}}}
                  - {name: same, chain: rtn+sft, set: {kd: {temperature: 2}}}
                """);
        Study.Outcome outcome = run(first);
        Map<String, Object> stages = made("stages");
        // Rounding draws nothing and is made once for both seeds; `same` differs from `tuned` in nothing that its stages depend on.
        assertThat(byName(stages)).containsExactly(Map.entry("rtn", 1L), Map.entry("rtn+sft", 4L));
        // By step: the start (one model, two seeds), half way and the end of two rows and two seeds, beside the rows themselves.
        assertThat(byName(made("evaluations"))).containsExactlyInAnyOrderEntriesOf(
                Map.of("full precision", 2L, "rtn", 4L, "rtn+sft", 8L, "rtn+sft@2", 4L));

        String text = outcome.document().text();
        assertThat(text.lines().filter(line -> line.startsWith("#")).toList().getFirst().split("\\s{2,}"))
                .containsExactly("#", "RTN", "easy", "average", "drop", "non-reasoning");
        assertThat(text).contains("gentle", "Which differences exceed their noise", "+42.00", "step 0  step 2  step 4", "processor time");
        assertThat(Files.readString(folder.resolve("first/report.html"))).contains("<svg").doesNotContain("<script");
        assertThat(outcome.results().rows()).hasSize(5);
        assertThat(outcome.results().rows().get(2).average()).isEqualTo(outcome.results().rows().get(4).average());
        assertThat(results("first").path("comparisons").get(0).path("paper").asDouble()).isEqualTo(42);

        // Another study with another chain over the same stages adds what is its own and leaves the rest alone.
        run(recipe("second", "", """
                  - rtn+sft
                  - {name: four, chain: rtn+sft, set: {quantise: {bits: 5}}}
                """));
        Map<String, Object> more = made("stages");
        assertThat(more).containsAllEntriesOf(stages);
        assertThat(byName(more)).containsExactly(Map.entry("rtn", 2L), Map.entry("rtn+sft", 6L));

        // The same study again makes nothing and says the same.
        Map<String, Object> evaluations = made("evaluations");
        assertThat(run(first).document().text()).isEqualTo(text);
        assertThat(made("stages")).isEqualTo(more);
        assertThat(made("evaluations")).isEqualTo(evaluations);
    }

    @Test
    @Tag("slow")
    void goesOnAfterAnInterruptionAndEndsTheSame() throws IOException {
        String rows = "  - rtn\n  - rtn+sft\n";
        Results expected = run(recipe("whole", "", rows)).results();
        cache = folder.resolve("other-cache");
        Path recipe = recipe("interrupted", "", rows);
        // The first interruptions come before anything is done, later ones in the middle of stages, until the patience is enough.
        int interruptions = 0;
        for (long patience = 500; interruptions < 20; patience *= 2) {
            Thread worker = Thread.currentThread();
            long wait = patience;
            Thread alarm = Thread.ofVirtual().start(() -> {
                try {
                    Thread.sleep(wait);
                    worker.interrupt();
                } catch (InterruptedException e) {
                    // called off
                }
            });
            try {
                Results found = run(recipe).results();
                assertThat(interruptions).isPositive();
                assertThat(found.rows().stream().map(StudyTest::measured).toList()).isEqualTo(expected.rows().stream().map(StudyTest::measured).toList());
                return;
            } catch (Failure failure) {
                assertThat(failure.kind()).isEqualTo(Failure.Kind.INTERRUPTED);
                interruptions++;
            } finally {
                alarm.interrupt();
                while (alarm.isAlive()) Thread.onSpinWait();
                Thread.interrupted();
            }
        }
        org.assertj.core.api.Assertions.fail("never ended");
    }

    private static List<Object> measured(Results.Row row) {
        return List.of(row.name(), row.scores(), row.average());
    }

    @Test
    @Tag("slow")
    void aGateStopsItsRowAlone() throws IOException {
        Study.Outcome outcome = run(recipe("gate", ", compare: [{row: rtn+sft+grpo, over: rtn}]", """
                  - rtn
                  - {name: rtn+sft+grpo, chain: rtn+sft+grpo, set: {grpo: {max_new_tokens: 2}}}
                """));
        assertThat(outcome.stopped()).containsExactly("rtn+sft+grpo");
        assertThat(outcome.document().text()).contains("not measured").contains("Row rtn+sft+grpo was stopped: cold-start gate");
        assertThat(outcome.results().rows().getFirst().average()).isNotNaN();
        Results.read(folder.resolve("gate/results.json"));
    }

    @Test
    void saysWhereAMistakeIs() throws IOException {
        Path file = folder.resolve("wrong.yaml");
        assertThatMessage(file, "rows:\n  - {chain: rtn, set: {quantise: {bit: 3}}}\n").contains("wrong.yaml:2:35: unknown key `bit` in `quantise` - did you mean `bits`?");
        assertThatMessage(file, "rows:\n  - {chain: rtn, set: {quantise: {bits: 9}}}\n").contains("wrong.yaml:2:35: in `quantise`: bits is 9; expected 2 to 8");
        assertThatMessage(file, "rows:\n  - {chain: rtm}\n").contains("wrong.yaml:2:5: in `rows.0`: row `rtm`: `rtm` is not a step");
        assertThatMessage(file, "rows:\n  - {chain: rtn, set: {jobs: 1}}\n").contains("wrong.yaml:2:18: in `rows.0`: set has the key `jobs`; a row may have its own model,");
        assertThatMessage(file, "rows:\n  - {chain: rtn, nmae: x}\n").contains("wrong.yaml:2:18: unknown key `nmae` in `rows.0` - did you mean `name`?");
        assertThatMessage(file, "rows: [rtn, rtn]\n").contains("repeat a name");
        assertThatMessage(file, "rows: [rtn]\nstudy: {compare: [{row: rtn, over: gptq}]}\n").contains("wrong.yaml:2:1", "study refers to the row `gptq`");
        assertThatMessage(file, "rows: [rtn]\nstudy: {seeds: [1, 1]}\n").contains("wrong.yaml:2:9", "all different");
        assertThatMessage(file, "rows: [rtn]\nstudy: {seeds: [1, 2]}\n").contains("3 seeds to be dealt out to 2 repetitions");
    }

    private org.assertj.core.api.AbstractStringAssert<?> assertThatMessage(Path file, String recipe) throws IOException {
        Files.writeString(file, recipe);
        var thrown = assertThatThrownBy(() -> run(file, "output=" + folder.resolve("none"))).isInstanceOf(Failure.class);
        assertThat(folder.resolve("none")).doesNotExist();
        return thrown.extracting(Throwable::getMessage, org.assertj.core.api.InstanceOfAssertFactories.STRING);
    }

    /// A run keeps its readable folders and refuses rows that it could not tell apart by their chain.
    @Test
    @Tag("slow")
    void aRunIsTheSameWithReadableFolders() throws IOException {
        Path recipe = recipe("plain", "", "  - rtn\n  - rtn+sft\n");
        Path output = folder.resolve("plain");
        var configuration = RunSettings.load(recipe, List.of());
        Results results = Run.run(List.of(), configuration, EMBEDDED, output, Progress.silent());
        assertThat(results.rows()).extracting(Results.Row::name).containsExactly("rtn", "rtn+sft");
        assertThat(output.resolve("stages/rtn/model.safetensors")).exists();
        assertThat(output.resolve("stages/rtn+sft/snapshots/step-00000002/model.safetensors")).exists();
        assertThat(output.resolve("evaluations/rtn+sft/scores.json")).exists();
        assertThat(Run.isFinished(configuration.value(), output)).isTrue();
        // A stage that is the end of its own snapshots' line: the last snapshot and the result are different models.
        assertThat(AtomicFiles.sha256(output.resolve("stages/rtn+sft/snapshots/step-00000002/model.safetensors")))
                .isNotEqualTo(AtomicFiles.sha256(output.resolve("stages/rtn+sft/model.safetensors")));

        var own = RunSettings.load(recipe("own", "", "  - {chain: rtn, set: {quantise: {bits: 3}}}\n"), List.of());
        assertThatThrownBy(() -> Run.run(List.of(), own, EMBEDDED, folder.resolve("own"), Progress.silent())).hasMessageContaining("rqat study");
    }
}
