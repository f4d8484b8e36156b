package rqat.eval;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.generate.Completion;
import rqat.generate.Generator;
import rqat.generate.Listener;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.generate.Scorer;
import rqat.generate.StopReason;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.run.JsonLines;
import rqat.run.Progress;
import rqat.run.Seeds;
import rqat.text.ReasoningSplitter;
import rqat.text.Tokenizer;
import rqat.verify.Attempt;
import rqat.verify.Reason;
import rqat.verify.Verdict;
import rqat.verify.Verifier;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Puts tasks to a model and scores what comes back.
///
/// Every example is sampled once per seed, so a seed is one independent run of the benchmark. The random stream of a sample is named by
/// seed, task and example alone: it does not depend on which other examples are evaluated, on their order, or on an interruption.
///
/// A *unit* is one task with one seed. Each sample is appended to `units/TASK.seed-N.begun.jsonl` as soon as it is judged; when all are there
/// they are written in the order of the examples to `units/TASK.seed-N.jsonl` (a choice has a single unit, `units/TASK.likelihood.jsonl`, as has a
/// text that is read, `units/TASK.windows.jsonl`). What is in either file is read instead of sampled, so no completion is paid for twice and
/// an evaluation killed at any moment ends with the same files as one that was not. `scores.json` with the results and `samples.jsonl` with
/// all units one after the other are written at the end. Whoever chooses the directory sees to it that it belongs to one model
/// and one sampling ([rqat.run.StageDirectory]); other examples or prompts are noticed here.
public final class Evaluation {
    /// The folder of finished units.
    public static final String UNITS = "units";

    private final Generator generator;
    private final @Nullable Scorer scorer;
    private final Tokenizer tokenizer;
    private final Function<Prompt.Conversation, String> template;
    private final Settings settings;
    private final Path directory;
    private final Progress progress;

    /// How to sample.
    ///
    /// @param seeds    one run of every task each; the reasoning literature uses three and reports their mean
    /// @param sampling the paper's temperature is 0.6, its top-p 0.95
    /// @param tokens   how long prompt and completion may become together; the paper's limit is 32,768
    /// @param context  of the model, in tokens: the longest window that it reads at once
    /// @param prefixed whether the tokenizer's own beginning of a sequence is put before a rendered conversation, although templates bring
    ///                 theirs: published evaluations do, so that some models see it twice
    public record Settings(List<Long> seeds, Sampling sampling, int tokens, int context, boolean prefixed) {
        /// Settings without limits of their own.
        public Settings(List<Long> seeds, Sampling sampling) {
            this(seeds, sampling, Integer.MAX_VALUE, Integer.MAX_VALUE, false);
        }

        /// Checks that there are seeds and that they differ.
        public Settings {
            seeds = List.copyOf(seeds);
            if (seeds.isEmpty()) throw Failure.usage("an evaluation needs at least one seed");
            if (new HashSet<>(seeds).size() < seeds.size()) throw Failure.usage("seeds %s repeat; they must differ".formatted(seeds));
        }
    }

    /// An evaluation that writes to `directory`.
    ///
    /// @param scorer   needed by tasks that choose by log-likelihood; null when the backend has none
    /// @param template the text of a conversation with the beginning of the assistant's turn
    public Evaluation(
            Generator generator,
            @Nullable Scorer scorer,
            Tokenizer tokenizer,
            Function<Prompt.Conversation, String> template,
            Settings settings,
            Path directory,
            Progress progress) {
        this.generator = generator;
        this.scorer = scorer;
        this.tokenizer = tokenizer;
        this.template = template;
        this.settings = settings;
        this.directory = directory;
        this.progress = progress;
    }

    /// An evaluation of tasks whose prompts are exact texts.
    public Evaluation(
            Generator generator, @Nullable Scorer scorer, Tokenizer tokenizer, Settings settings, Path directory, Progress progress) {
        this(
                generator,
                scorer,
                tokenizer,
                _ -> {
                    throw Failure.usage("the task's prompts are conversations, which need the model's chat template");
                },
                settings,
                directory,
                progress);
    }

    /// Evaluates the tasks one after the other, reading what an earlier run completed.
    ///
    /// @throws Failure USAGE when two tasks have one name, or a task needs a scorer; BAD_FILE when files of an earlier run are damaged or
    ///                 are of other examples; INTERRUPTED between completions
    public List<TaskResult> run(List<Task> tasks) {
        if (tasks.stream().map(Task::name).distinct().count() < tasks.size()) {
            throw Failure.usage("tasks %s repeat a name".formatted(tasks.stream().map(Task::name).toList()));
        }
        if (scorer == null) {
            for (Task task : tasks) {
                if (!(task instanceof Task.Answering)) {
                    throw Failure.usage("task %s is scored by log-likelihood, which this backend does not give; leave it out or evaluate"
                            .formatted(task.name()) + " the model locally");
                }
            }
        }
        var results = new ArrayList<TaskResult>();
        var samples = new ArrayList<Sample>();
        for (Task task : tasks) {
            List<List<Sample>> units = switch (task) {
                case Task.Answering answering -> settings.seeds.stream().map(seed -> unit(answering, seed)).toList();
                case Task.Choosing choosing -> List.of(unit(choosing));
                case Task.Reading reading -> List.of(unit(reading));
            };
            units.forEach(samples::addAll);
            results.add(task instanceof Task.Reading ? TaskResult.reading(task.name(), units.getFirst()) : TaskResult.of(task.name(), units));
        }
        writeLines(directory.resolve("samples.jsonl"), samples);
        write(directory.resolve("scores.json"), results.stream().map(TaskResult::fields).toList());
        return List.copyOf(results);
    }

    /// Makes the samples of the examples at these indices, in any order, and hands each over with its index.
    private interface Sampler {
        void sample(List<Integer> missing, BiConsumer<Integer, Sample> done);
    }

    private List<Sample> unit(Task.Answering task, long seed) {
        List<int[]> prompts = task.problems().stream().map(problem -> encode(problem.prompt())).toList();
        List<Sample> expected = IntStream.range(0, task.size())
                .mapToObj(i -> {
                    Task.Problem problem = task.problems().get(i);
                    return unanswered(task, seed, problem.id(), tokenizer.decode(prompts.get(i)), problem.gold());
                })
                .toList();
        List<Verifier.Judge> judges = task.problems().stream().map(problem -> task.verifier().judge(problem.gold())).toList();
        int longest = Math.min(settings.tokens, settings.context) - 1;
        return resumed(task, "seed-" + seed, expected, (wanted, done) -> {
            List<Integer> missing = wanted.stream().filter(i -> prompts.get(i).length <= longest).toList();
            // A prompt that leaves no room for an answer counts as an answer cut at its limit.
            wanted.stream().filter(i -> prompts.get(i).length > longest)
                    .forEach(i -> done.accept(i, scored(judges.get(i), expected.get(i), new Completion(new int[0], new float[0], StopReason.LENGTH))));
            List<Request> requests = missing.stream()
                    .map(i -> new Request(prompts.get(i), settings.sampling, sampleSeed(seed, task.name(), task.problems().get(i).id()), settings.tokens))
                    .toList();
            generator.generate(requests, new Listener() {
                @Override
                public void completed(int request, Completion completion) {
                    int i = missing.get(request);
                    done.accept(i, scored(judges.get(i), expected.get(i), completion));
                }
            });
        });
    }

    private List<Sample> unit(Task.Choosing task) {
        List<Sample> expected = task.questions().stream()
                .map(question -> unanswered(task, null, question.id(), context(question), shown(question, question.answer())))
                .toList();
        return resumed(task, "likelihood", expected, (missing, done) -> {
            for (int i : missing) done.accept(i, chosen(task, task.questions().get(i), expected.get(i)));
        });
    }

    /// A sample a window: its log-likelihood stands where a final answer would.
    private List<Sample> unit(Task.Reading task) {
        int[] ids = tokenizer.encodeWithSpecial(task.text());
        int window = Math.min(task.window(), settings.context);
        // As published evaluations do: an unfinished window at the end does not count, unless there is no other.
        int count = Math.max(1, ids.length / window);
        List<int[]> windows = IntStream.range(0, count)
                .mapToObj(i -> Arrays.copyOfRange(ids, i * window, Math.min(ids.length, (i + 1) * window)))
                .toList();
        List<Sample> expected = IntStream.range(0, count)
                .mapToObj(i -> unanswered(task, null, String.valueOf(i), tokenizer.decode(windows.get(i)), String.valueOf(windows.get(i).length)))
                .toList();
        return resumed(task, "windows", expected, (missing, done) -> {
            for (int i : missing) {
                float[] scores = Objects.requireNonNull(scorer).score(List.of(windows.get(i))).getFirst();
                double sum = 0;
                for (float score : scores) sum += score;
                Sample sample = expected.get(i);
                done.accept(i, new Sample(
                        sample.task(), null, sample.id(), sample.prompt(), "", sample.gold(), Reason.MATCH, Double.toString(sum), null, scores.length));
            }
        });
    }

    /// The seed of the random stream of one sample.
    static long sampleSeed(long seed, String task, String id) {
        return Seeds.mix(seed, Seeds.ofString("evaluation"), Seeds.ofString(task), Seeds.ofString(id));
    }

    private int[] encode(Prompt prompt) {
        return switch (prompt) {
            case Prompt.Text(String text) -> tokenizer.encode(text);
            case Prompt.Conversation conversation ->
                settings.prefixed ? tokenizer.encodeWithSpecial(template.apply(conversation)) : tokenizer.encode(template.apply(conversation));
        };
    }

    private static Sample unanswered(Task task, @Nullable Long seed, String id, String prompt, String gold) {
        return new Sample(task.name(), seed, id, prompt, "", gold, Reason.NO_ANSWER, "", null, 0);
    }

    private Sample scored(Verifier.Judge judge, Sample expected, Completion completion) {
        String text = tokenizer.decode(completion.tokens(), true);
        boolean truncated = completion.stop() == StopReason.LENGTH || completion.stop() == StopReason.ABORTED;
        Verdict verdict = judge.verdict(new Attempt(text, truncated, ReasoningSplitter.opens(expected.prompt())));
        return new Sample(
                expected.task(),
                expected.seed(),
                expected.id(),
                expected.prompt(),
                text,
                expected.gold(),
                verdict.reason(),
                verdict.extracted(),
                completion.stop(),
                completion.tokens().length);
    }

    /// The text that all options continue; empty where they differ in it.
    private static String context(Task.Question question) {
        String first = question.options().getFirst().context();
        return question.options().stream().allMatch(option -> option.context().equals(first)) ? first : "";
    }

    private static String shown(Task.Question question, int option) {
        Task.Option shown = question.options().get(option);
        return context(question).isEmpty() ? shown.context() + shown.continuation() : shown.continuation();
    }

    /// The option whose tokens are most probable after its context; of equal ones the first.
    private Sample chosen(Task.Choosing task, Task.Question question, Sample expected) {
        List<int[]> contexts = question.options().stream().map(option -> tokenizer.encodeWithSpecial(option.context())).toList();
        if (contexts.stream().anyMatch(context -> context.length == 0)) {
            throw Failure.badFile("question %s has an empty context".formatted(question.id()));
        }
        List<int[]> options = question.options().stream().map(option -> tokenizer.encode(option.continuation())).toList();
        List<float[]> scores = Objects.requireNonNull(scorer).score(IntStream.range(0, options.size())
                .mapToObj(i -> IntStream.concat(IntStream.of(contexts.get(i)), IntStream.of(options.get(i))).toArray())
                .toList());
        int best = 0;
        double bestScore = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < options.size(); i++) {
            double score = 0;
            for (int t = contexts.get(i).length - 1; t < scores.get(i).length; t++) score += scores.get(i)[t];
            if (task.perCharacter()) score /= Math.max(1, question.options().get(i).continuation().strip().length());
            if (score > bestScore) {
                best = i;
                bestScore = score;
            }
        }
        String option = shown(question, best);
        return new Sample(
                expected.task(),
                null,
                expected.id(),
                expected.prompt(),
                option,
                expected.gold(),
                best == question.answer() ? Reason.MATCH : Reason.MISMATCH,
                option.strip(),
                null,
                options.get(best).length);
    }

    private List<Sample> resumed(Task task, String unit, List<Sample> expected, Sampler sampler) {
        Path file = directory.resolve(UNITS).resolve("%s.%s.jsonl".formatted(task.name(), unit));
        if (Files.exists(file)) return read(file, expected);
        Path begun = file.resolveSibling("%s.%s.begun.jsonl".formatted(task.name(), unit));
        var samples = new ArrayList<@Nullable Sample>(Collections.nCopies(expected.size(), null));
        if (Files.exists(begun)) readBegun(begun, expected, samples);
        List<Integer> missing = IntStream.range(0, samples.size()).filter(i -> samples.get(i) == null).boxed().toList();
        try {
            Files.createDirectories(begun.getParent());
        } catch (IOException e) {
            throw AtomicFiles.failure("write", begun, e);
        }
        int already = samples.size() - missing.size();
        try (JsonLines lines = JsonLines.append(begun);
                Progress.Task progressing = progress.start(task.name() + " " + unit, already, samples.size(), "samples")) {
            if (!missing.isEmpty()) {
                sampler.sample(missing, (i, sample) -> {
                    lines.write(JsonMapper.shared().readTree(sample.toJson()));
                    samples.set(i, sample);
                    progressing.advance(1);
                });
            }
        }
        List<Sample> complete = samples.stream().map(Objects::requireNonNull).toList();
        writeLines(file, complete);
        AtomicFiles.delete(begun);
        return complete;
    }

    /// Puts the samples of an unfinished unit, which are in the order of their completion, where they belong.
    private static void readBegun(Path file, List<Sample> expected, List<@Nullable Sample> samples) {
        var places = new HashMap<String, Integer>();
        for (int i = 0; i < expected.size(); i++) places.put(expected.get(i).id(), i);
        int number = 0;
        for (JsonNode line : JsonLines.read(file)) {
            Sample sample = sample(line, file, ++number);
            Integer place = places.get(sample.id());
            if (place == null || !sameQuestion(sample, expected.get(place))) throw otherExample(file, number, sample);
            samples.set(place, sample);
        }
    }

    private static Sample sample(JsonNode line, Path file, int number) {
        try {
            return Sample.of(line);
        } catch (IllegalArgumentException e) {
            throw Failure.badFile("%s:%d: %s. Delete the file to have the unit sampled again.".formatted(file, number, e.getMessage()), e);
        }
    }

    private static Failure otherExample(Path file, int number, Sample sample) {
        return Failure.badFile(("%s:%d: this sample (%s) is not of the example expected here; the file is from an evaluation of other"
                        + " examples or prompts. Evaluate into another directory, or delete the file.")
                .formatted(file, number, sample.id()));
    }

    private static void writeLines(Path file, List<Sample> samples) {
        AtomicFiles.write(file, out -> {
            for (Sample sample : samples) out.write((sample.toJson() + "\n").getBytes(StandardCharsets.UTF_8));
        });
    }

    private static List<Sample> read(Path file, List<Sample> expected) {
        var samples = new ArrayList<Sample>();
        try (BufferedReader lines = Files.newBufferedReader(file)) {
            for (String line; (line = lines.readLine()) != null; ) {
                int number = samples.size() + 1;
                Sample sample = sample(JsonFiles.parse(line.getBytes(StandardCharsets.UTF_8), file.toString(), number), file, number);
                if (number > expected.size() || !sameQuestion(sample, expected.get(number - 1))) throw otherExample(file, number, sample);
                samples.add(sample);
            }
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
        if (samples.size() < expected.size()) {
            throw Failure.badFile("%s: %d samples; expected %d. Delete the file to have the unit sampled again."
                    .formatted(file, samples.size(), expected.size()));
        }
        return samples;
    }

    private static boolean sameQuestion(Sample sample, Sample expected) {
        return sample.task().equals(expected.task())
                && Objects.equals(sample.seed(), expected.seed())
                && sample.id().equals(expected.id())
                && sample.prompt().equals(expected.prompt())
                && sample.gold().equals(expected.gold());
    }

    private static void write(Path file, Object value) {
        JsonFiles.write(file, JsonMapper.shared().valueToTree(value));
    }
}
