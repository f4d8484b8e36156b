package rqat.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.data.BytePairTrainer;
import rqat.data.WordProblems.Split;
import rqat.eval.Task.Answering;
import rqat.eval.Task.Choosing;
import rqat.generate.Completion;
import rqat.generate.Generator;
import rqat.generate.Listener;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.generate.Scorer;
import rqat.generate.StopReason;
import rqat.io.AtomicFiles;
import rqat.run.Progress;
import rqat.run.RandomStream;
import rqat.text.Tokenizer;
import rqat.verify.Reason;
import rqat.verify.mathematics.MathVerifier;
import tools.jackson.databind.json.JsonMapper;

class EvaluationTest {
    private static final Sampling SAMPLING = new Sampling(0.6, 0.95, 0, 64, Set.of(0));

    private static final Function<Prompt.Conversation, String> TEMPLATE =
            conversation -> conversation.messages().getFirst().get("content") + "<|im_end|>";

    @TempDir
    private static Path model;

    private static Tokenizer tokenizer;

    @TempDir
    private Path directory;

    @BeforeAll
    static void trainTokenizer() {
        BytePairTrainer.train(List.of("some text"), 261).write(model);
        tokenizer = Tokenizer.load(model);
    }

    @Test
    void everyExampleIsSampledOncePerSeedAndItsLineSaysEverything() throws IOException {
        TaskResult result = evaluation(coin(0.7), List.of(42L, 43L, 44L)).run(List.of(sums("sums", 20))).getFirst();

        for (long seed = 42; seed <= 44; seed++) {
            long expected = seed;
            List<Sample> samples = samples("sums.seed-" + seed);
            assertThat(samples).extracting(Sample::id).containsExactlyElementsOf(ids(20));
            assertThat(samples).allSatisfy(sample -> {
                assertThat(sample.seed()).isEqualTo(expected);
                assertThat(sample.task()).isEqualTo("sums");
                assertThat(sample.prompt()).isEqualTo("question " + sample.id() + "<|im_end|>");
                assertThat(sample.completion()).startsWith("\\boxed{").doesNotContain("<|");
                assertThat(sample.reason()).isEqualTo(sample.extracted().equals(sample.gold()) ? Reason.MATCH : Reason.MISMATCH);
                assertThat(sample.tokens()).isEqualTo(sample.completion().length() + 1);
                assertThat(sample.stop()).isEqualTo(StopReason.STOP_TOKEN);
            });
        }
        assertThat(result.accuracies()).containsExactlyElementsOf(LongStream.rangeClosed(42, 44)
                .mapToObj(seed -> samples("sums.seed-" + seed).stream().filter(Sample::correct).count() / 20.0)
                .toList());
        assertThat(result.accuracy()).isBetween(0.4, 0.95);
        assertThat(Files.readAllLines(directory.resolve("samples.jsonl"))).hasSize(60);
        assertThat(Files.readString(directory.resolve("scores.json"))).contains("\"accuracy\"", "\"sums\"", "\"mismatch\"");
    }

    @Test
    void aFinishedUnitIsReadAndOnlyTheMissingOneIsSampled() throws IOException {
        var tasks = List.<Task>of(sums("a", 5), sums("b", 5));
        List<TaskResult> first = evaluation(coin(0.5), List.of(1L, 2L)).run(tasks);
        Path file = directory.resolve("units/b.seed-2.jsonl");
        byte[] before = Files.readAllBytes(file);
        Files.delete(file);
        var asked = new ArrayList<Request>();
        Generator counted = (requests, listener) -> {
            asked.addAll(requests);
            return coin(0.5).generate(requests, listener);
        };

        List<TaskResult> second = evaluation(counted, List.of(1L, 2L)).run(tasks);

        assertThat(asked).hasSize(5);
        assertThat(second).isEqualTo(first);
        assertThat(Files.readAllBytes(file)).isEqualTo(before);
    }

    @Test
    void anInterruptedUnitLeavesNoFile() {
        Generator interrupted = (_, _) -> {
            throw Failure.interrupted("stop");
        };
        assertThatThrownBy(() -> evaluation(interrupted, List.of(1L)).run(List.of(sums("a", 5))))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(5));
        assertThat(directory.resolve("units/a.seed-1.jsonl")).doesNotExist();
        assertThat(directory.resolve("scores.json")).doesNotExist();
    }

    @Test
    void anEvaluationStoppedAtAnyMomentEndsWithTheSameFilesAndPaysForNothingTwice() throws IOException {
        List<Task> tasks = List.of(sums("a", 7), sums("b", 4));
        evaluation(coin(0.5), List.of(1L, 2L)).run(tasks);
        Map<String, String> whole = files();
        for (int moment = 0; moment < 22; moment++) {
            AtomicFiles.delete(directory.resolve("units"));
            int allowed = moment;
            var sampled = new ArrayList<Long>();
            // Completions come in an order of their own, and the generation is stopped after some of them.
            Generator stopping = (requests, listener) -> {
                for (int i = requests.size() - 1; i >= 0; i--) {
                    if (sampled.size() == allowed) throw Failure.interrupted("stop");
                    sampled.add(requests.get(i).seed());
                    Completion completion = coin(0.5).generate(List.of(requests.get(i)), Listener.NONE).getFirst();
                    listener.completed(i, completion);
                }
                return List.of();
            };
            assertThatThrownBy(() -> evaluation(stopping, List.of(1L, 2L)).run(tasks)).isInstanceOf(Failure.class);
            // What a killed process leaves at the end of the file that it was writing.
            if (moment % 2 == 1) tearLastLine();
            Generator counted = (requests, listener) -> {
                requests.forEach(request -> sampled.add(request.seed()));
                return coin(0.5).generate(requests, listener);
            };
            evaluation(counted, List.of(1L, 2L)).run(tasks);
            assertThat(files()).isEqualTo(whole);
            assertThat(sampled).hasSize(22).doesNotHaveDuplicates();
        }
    }

    private void tearLastLine() throws IOException {
        try (var units = Files.list(directory.resolve("units"))) {
            for (Path begun : units.filter(file -> file.toString().endsWith(".begun.jsonl")).toList()) {
                Files.writeString(begun, "{\"task\":\"a\",\"se", java.nio.file.StandardOpenOption.APPEND);
            }
        }
    }

    private Map<String, String> files() throws IOException {
        var files = new java.util.TreeMap<String, String>();
        try (var paths = Files.walk(directory)) {
            for (Path file : paths.filter(Files::isRegularFile).toList()) files.put(directory.relativize(file).toString(), Files.readString(file));
        }
        return files;
    }

    @Test
    void samplesOfOtherPromptsInAnUnfinishedUnitAreNamed() throws IOException {
        evaluation(coin(0.5), List.of(1L)).run(List.of(sums("a", 5)));
        Path begun = directory.resolve("units/a.seed-1.begun.jsonl");
        Files.move(directory.resolve("units/a.seed-1.jsonl"), begun);
        Files.writeString(begun, Files.readString(begun).replace("question 3", "other 3"));
        assertBadFile(sums("a", 5), begun + ":3: this sample (3)");
    }

    @Test
    void aTextIsReadInWindowsAndGivesItsPerplexity() {
        var task = new Task.Reading("text", "ab".repeat(50) + "abc", 20);
        Scorer letters = sequences -> sequences.stream().map(EvaluationTest::letterScores).toList();
        var evaluation = new Evaluation(
                coin(1), letters, tokenizer, new Evaluation.Settings(List.of(1L), SAMPLING, 100, 10, false), directory, Progress.silent());

        TaskResult result = evaluation.run(List.of(task)).getFirst();

        // ten whole windows of 10 tokens: 9 scored each, 5 times b and 4 times a
        assertThat(result.examples()).isEqualTo(10);
        assertThat(result.perplexity()).isCloseTo(Math.exp((5 * 1.5 + 4 * 1) / 9), within(1e-6));
        assertThat(result.fields()).containsKey("perplexity").doesNotContainKey("accuracy");
        Scorer none = _ -> {
            throw new AssertionError("what is there is not scored again");
        };
        assertThat(new Evaluation(
                        coin(1), none, tokenizer, new Evaluation.Settings(List.of(1L), SAMPLING, 100, 10, false), directory, Progress.silent())
                .run(List.of(task)))
                .containsExactly(result);
    }

    @Test
    void aPromptThatLeavesNoRoomIsCutAndNotAsked() {
        var task = new Answering(
                "a",
                List.of(
                        new Task.Problem("1", new Prompt.Text("question 1<|im_end|>"), "1"),
                        new Task.Problem("2", new Prompt.Text("question 2" + " ".repeat(40) + "<|im_end|>"), "2")),
                new MathVerifier());
        var limits = new ArrayList<Integer>();
        Generator counted = (requests, listener) -> {
            requests.forEach(request -> limits.add(request.limit()));
            return coin(1).generate(requests, listener);
        };
        TaskResult result = new Evaluation(
                        counted, null, tokenizer, TEMPLATE, new Evaluation.Settings(List.of(1L), SAMPLING, 30, 40, false), directory, Progress.silent())
                .run(List.of(task))
                .getFirst();
        assertThat(limits).containsExactly(30);
        assertThat(samples("a.seed-1")).extracting(Sample::reason).containsExactly(Reason.MATCH, Reason.TRUNCATED);
        assertThat(result.truncated()).isEqualTo(0.5);
    }

    @Test
    void passAtKIsTheShareOfDrawsWithARightSample() {
        // c right of 5 samples for 4 problems
        int[] right = {0, 1, 3, 5};
        List<List<Sample>> units = IntStream.range(0, 5)
                .mapToObj(seed -> IntStream.range(0, 4)
                        .mapToObj(i -> sample(seed < right[i] ? Reason.MATCH : Reason.MISMATCH, StopReason.STOP_TOKEN, 1))
                        .toList())
                .toList();
        TaskResult result = TaskResult.of("t", units);
        for (int k = 1; k <= 5; k++) {
            double expected = 0;
            for (int c : right) {
                long draws = 0, hits = 0;
                for (int set = 0; set < 32; set++) {
                    if (Integer.bitCount(set) != k) continue;
                    draws++;
                    if ((set & ((1 << c) - 1)) != 0) hits++;
                }
                expected += (double) hits / draws / 4;
            }
            assertThat(result.passAt(k)).isCloseTo(expected, within(1e-12));
        }
        assertThat(result.passAt(1)).isCloseTo(result.accuracy(), within(1e-12));
        assertThatThrownBy(() -> result.passAt(6)).isInstanceOf(IllegalArgumentException.class);
        assertThat(result.fields().get("pass_at")).asInstanceOf(org.assertj.core.api.InstanceOfAssertFactories.MAP).containsOnlyKeys("1", "2", "4");
    }

    @Test
    void theConfidenceIntervalCoversTheTruth() {
        // Wilson at 95 %: between 93 % and 97 % of samples of 60 problems cover the probability that they were drawn with.
        for (double truth : new double[] {0.1, 0.5, 0.8}) {
            int covered = 0;
            var random = new RandomStream((long) (1000 * truth));
            for (int repetition = 0; repetition < 2000; repetition++) {
                List<Sample> unit = IntStream.range(0, 60)
                        .mapToObj(_ -> sample(random.nextDouble() < truth ? Reason.MATCH : Reason.MISMATCH, StopReason.STOP_TOKEN, 1))
                        .toList();
                double[] interval = TaskResult.of("t", List.of(unit)).confidence();
                if (interval[0] <= truth && truth <= interval[1]) covered++;
            }
            assertThat(covered / 2000.0).isBetween(0.925, 0.975);
        }
        List<Sample> perfect = Collections.nCopies(60, sample(Reason.MATCH, StopReason.STOP_TOKEN, 1));
        assertThat(TaskResult.of("t", List.of(perfect)).confidence()[0]).isBetween(0.93, 0.95);
        assertThat(TaskResult.of("t", List.of(perfect)).confidence()[1]).isCloseTo(1, within(1e-12));
    }

    @Test
    void aSampleDependsOnItsExampleTaskAndSeedOnly() {
        evaluation(coin(0.5), List.of(7L)).run(List.of(sums("a", 12)));
        List<Sample> whole = samples("a.seed-7");
        List<Task.Problem> reversed = sums("a", 12).problems().subList(3, 9).reversed();

        new Evaluation(coin(0.5), null, tokenizer, settings(List.of(7L)), directory.resolve("other"), Progress.silent())
                .run(List.of(new Answering("a", reversed, new MathVerifier())));

        assertThat(samples("../other/units/a.seed-7")).containsExactlyElementsOf(whole.subList(3, 9).reversed());
        assertThat(whole).extracting(Sample::correct).contains(true, false);
        assertThat(List.of(
                        Evaluation.sampleSeed(7, "a", "1"),
                        Evaluation.sampleSeed(8, "a", "1"),
                        Evaluation.sampleSeed(7, "b", "1"),
                        Evaluation.sampleSeed(7, "a", "2")))
                .doesNotHaveDuplicates();
    }

    @Test
    void aConversationIsRenderedByTheTemplate() {
        var task = new Answering(
                "chat", List.of(new Task.Problem("1", Prompt.Conversation.user("question 17"), "17")), new MathVerifier());

        evaluation(coin(1), List.of(7L)).run(List.of(task));

        assertThat(samples("chat.seed-7")).singleElement().satisfies(sample -> {
            assertThat(sample.prompt()).isEqualTo("question 17<|im_end|>");
            assertThat(sample.correct()).isTrue();
        });
        var without = new Evaluation(coin(1), null, tokenizer, settings(List.of(8L)), directory, Progress.silent());
        assertThatThrownBy(() -> without.run(List.of(task))).isInstanceOf(Failure.class).hasMessageContaining("chat template");
    }

    @Test
    void theStatisticsAreThoseOfTheirFormulas() {
        // rows: examples, columns: seeds
        boolean[][] right = {{true, true, false}, {false, false, false}, {true, true, true}, {true, false, false}};
        List<List<Sample>> units = IntStream.range(0, 3)
                .mapToObj(seed -> IntStream.range(0, 4)
                        .mapToObj(i -> sample(right[i][seed] ? Reason.MATCH : Reason.MISMATCH, StopReason.STOP_TOKEN, 10 * i))
                        .toList())
                .toList();

        TaskResult result = TaskResult.of("t", units);

        assertThat(result.accuracies()).containsExactly(0.75, 0.5, 0.25);
        assertThat(result.accuracy()).isCloseTo(0.5, within(1e-12));
        assertThat(result.deviation()).isCloseTo(0.25, within(1e-12));
        // means over seeds 2/3, 0, 1, 1/3: sum of squares 1/36 + 1/4 + 1/4 + 1/36
        assertThat(result.standardError()).isCloseTo(Math.sqrt((2 / 36.0 + 0.5) / 3 / 4), within(1e-12));
        assertThat(result.meanTokens()).isCloseTo(15, within(1e-12));
        assertThat(TaskResult.of("t", units.subList(0, 1)).deviation()).isNull();
    }

    @Test
    void extractionFailuresAndTruncationAreCountedApart() {
        TaskResult result = TaskResult.of("t", List.of(List.of(
                sample(Reason.NO_ANSWER, StopReason.STOP_TOKEN, 1),
                sample(Reason.UNPARSABLE, StopReason.STOP_TOKEN, 1),
                sample(Reason.TRUNCATED, StopReason.LENGTH, 1),
                sample(Reason.MATCH, StopReason.LENGTH, 1),
                sample(Reason.TIMEOUT, StopReason.STOP_TOKEN, 1))));

        assertThat(result.accuracy()).isEqualTo(0.2);
        assertThat(result.unextracted()).isEqualTo(0.4);
        assertThat(result.truncated()).isEqualTo(0.4);
        assertThat(result.reasons()).isEqualTo(Map.of(
                Reason.MATCH, 1L, Reason.MISMATCH, 0L, Reason.NO_ANSWER, 1L, Reason.UNPARSABLE, 1L, Reason.TIMEOUT, 1L, Reason.PROGRAM_ERROR, 0L, Reason.TRUNCATED, 1L));
    }

    @Test
    void aChoiceGoesToTheMostProbableOptionOverAllItsTokens() {
        var task = new Choosing("pick", List.of(
                new Task.Question("1", "the sky is", List.of("aa", "b", "ccc"), 1),
                new Task.Question("2", "grass is", List.of("aaaa", "ccc"), 1)));
        // every letter has its own log-probability; the context is as improbable as can be
        Scorer letters = sequences -> sequences.stream().map(EvaluationTest::letterScores).toList();

        TaskResult result = new Evaluation(
                        coin(1), letters, tokenizer, settings(List.of(1L, 2L)), directory, Progress.silent())
                .run(List.of(task))
                .getFirst();

        // aa -2, b -1.5, ccc -1.2; aaaa -4, ccc -1.2. Per character aa -1, b -1.5, ccc -0.4: the option of most letters no longer loses
        assertThat(samples("pick.likelihood")).extracting(Sample::completion).containsExactly("ccc", "ccc");
        assertThat(samples("pick.likelihood")).extracting(Sample::gold).containsExactly("b", "ccc");
        assertThat(samples("pick.likelihood")).extracting(Sample::tokens).containsExactly(3, 3);
        assertThat(result.accuracies()).containsExactly(0.5);
        assertThatThrownBy(() -> evaluation(coin(1), List.of(1L)).run(List.of(task)))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("log-likelihood");
    }

    private static float[] letterScores(int[] ids) {
        float[] scores = new float[ids.length - 1];
        for (int t = 1; t < ids.length; t++) {
            scores[t - 1] = switch (tokenizer.decode(new int[] {ids[t]})) {
                case "a" -> -1;
                case "b" -> -1.5f;
                case "c" -> -0.4f;
                default -> -50;
            };
        }
        return scores;
    }

    @Test
    void damagedFilesAndOtherExamplesAreNamed() throws IOException {
        evaluation(coin(0.5), List.of(1L)).run(List.of(sums("a", 5)));
        Path file = directory.resolve("units/a.seed-1.jsonl");
        List<String> lines = Files.readAllLines(file);

        Files.write(file, List.of(lines.get(0), lines.get(1).substring(0, 40)));
        assertBadFile(sums("a", 5), file + ":2:");
        Files.write(file, List.of(lines.get(0), lines.get(1).replace("\"tokens\":", "\"tokens\":-")));
        assertBadFile(sums("a", 5), file + ":2: `tokens` is -");
        Files.write(file, lines.subList(0, 3));
        assertBadFile(sums("a", 5), file + ": 3 samples; expected 5");
        Files.write(file, lines);
        assertBadFile(sums("a", 4), file + ":5: this sample (5)");
        assertBadFile(new Answering("a", sums("a", 6).problems().subList(1, 6), new MathVerifier()), file + ":1: this sample (1)");
    }

    private void assertBadFile(Answering task, String message) {
        assertThatThrownBy(() -> evaluation(coin(0.5), List.of(1L)).run(List.of(task)))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(3))
                .hasMessageStartingWith(message);
    }

    @Test
    void tasksAndSettingsAreChecked() {
        List<Task.Problem> one = sums("a", 1).problems();

        assertThatThrownBy(() -> new Answering("../a", one, new MathVerifier())).isInstanceOf(Failure.class);
        assertThatThrownBy(() -> new Answering("a", List.of(), new MathVerifier())).hasMessageContaining("no examples");
        assertThatThrownBy(() -> new Answering("a", Collections.nCopies(2, one.getFirst()), new MathVerifier()))
                .hasMessageContaining("the id 1");
        assertThatThrownBy(() -> evaluation(coin(1), List.of(1L)).run(List.of(sums("a", 1), sums("a", 2)))).isInstanceOf(Failure.class);
        assertThatThrownBy(() -> settings(List.of(1L, 1L))).isInstanceOf(Failure.class);
    }

    @Test
    void theEmbeddedTasksAreAnsweredByTheirOwnSolutions() {
        for (String name : EmbeddedTasks.NAMES) {
            switch (EmbeddedTasks.of(name, Split.TEST, 20)) {
                case Answering task -> assertThat(task.problems()).hasSize(20).allSatisfy(problem -> {
                    String completion = "<think>\nlong thought</think>\n\\boxed{" + problem.gold() + "}";
                    assertThat(task.verifier().verify(completion, false, problem.gold()).correct()).isTrue();
                    assertThat(task.verifier().verify(completion, false, problem.gold() + "1").correct()).isFalse();
                });
                case Choosing task -> assertThat(task.questions()).hasSize(20).allSatisfy(question ->
                        assertThat(question.options()).doesNotHaveDuplicates().allMatch(option -> option.continuation().startsWith(" ")));
                case Task.Reading task -> throw new AssertionError(task);
            }
        }
        assertThat(EmbeddedTasks.of("easy", Split.TEST, 20)).isEqualTo(EmbeddedTasks.of("easy", Split.TEST, 20));
        assertThatThrownBy(() -> EmbeddedTasks.of("gsm8k", Split.TEST, 20)).hasMessageContaining("easy, medium, hard, choice");
    }

    private Evaluation evaluation(Generator generator, List<Long> seeds) {
        return new Evaluation(generator, null, tokenizer, TEMPLATE, settings(seeds), directory, Progress.silent());
    }

    private static Evaluation.Settings settings(List<Long> seeds) {
        return new Evaluation.Settings(seeds, SAMPLING);
    }

    /// Problems `1` to `count` whose answer is their id.
    private static Answering sums(String name, int count) {
        return new Answering(
                name,
                ids(count).stream().map(id -> new Task.Problem(id, new Prompt.Text("question " + id + "<|im_end|>"), id)).toList(),
                new MathVerifier());
    }

    private static List<String> ids(int count) {
        return IntStream.rangeClosed(1, count).mapToObj(Integer::toString).toList();
    }

    /// Knows the answer with this probability, by the request's own random stream; else it says 1000.
    private static Generator coin(double probability) {
        return (requests, listener) -> {
            var completions = new ArrayList<Completion>();
            for (Request request : requests) {
                String question = tokenizer.decode(request.prompt(), true);
                boolean knows = new RandomStream(request.seed()).nextDouble() < probability;
                String answer = knows ? question.substring("question ".length()) : "1000";
                int[] tokens = tokenizer.encode("\\boxed{" + answer + "}<|im_end|>");
                completions.add(new Completion(tokens, new float[tokens.length], StopReason.STOP_TOKEN));
                listener.completed(completions.size() - 1, completions.getLast());
            }
            return completions;
        };
    }

    private List<Sample> samples(String unit) {
        try {
            return Files.readAllLines(directory.resolve("units").resolve(unit + ".jsonl")).stream()
                    .map(line -> Sample.of(JsonMapper.shared().readTree(line)))
                    .toList();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static Sample sample(Reason reason, StopReason stop, int tokens) {
        return new Sample("t", 1L, "1", "p", "c", "g", reason, "", stop, tokens);
    }
}
