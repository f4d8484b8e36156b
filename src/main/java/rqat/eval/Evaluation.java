package rqat.eval;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
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
import rqat.run.Progress;
import rqat.run.Seeds;
import rqat.text.Tokenizer;
import rqat.verify.Reason;
import rqat.verify.Verdict;
import tools.jackson.databind.json.JsonMapper;

/// Puts tasks to a model and scores what comes back.
///
/// Every example is sampled once per seed, so a seed is one independent run of the benchmark. The random stream of a sample is named by
/// seed, task and example alone: it does not depend on which other examples are evaluated, on their order, or on an interruption.
///
/// A *unit* is one task with one seed. Its samples are written when it is complete, to `units/TASK.seed-N.jsonl` (a choice has a single
/// unit, `units/TASK.likelihood.jsonl`), and a unit whose file is there is read instead of sampled. `scores.json` with the results and
/// `samples.jsonl` with all units one after the other are written at the end. Whoever chooses the directory sees to it that it belongs to one model
/// and one sampling ([rqat.run.StageDirectory]); other examples or prompts are noticed here.
public final class Evaluation {
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
    public record Settings(List<Long> seeds, Sampling sampling) {
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
                if (task instanceof Task.Choosing) {
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
            };
            units.forEach(samples::addAll);
            results.add(TaskResult.of(task.name(), units));
        }
        writeLines(directory.resolve("samples.jsonl"), samples);
        write(directory.resolve("scores.json"), results.stream().map(TaskResult::fields).toList());
        return List.copyOf(results);
    }

    private List<Sample> unit(Task.Answering task, long seed) {
        String unit = "seed-" + seed;
        List<int[]> prompts = task.problems().stream().map(problem -> encode(problem.prompt())).toList();
        List<Sample> expected = IntStream.range(0, task.size())
                .mapToObj(i -> {
                    Task.Problem problem = task.problems().get(i);
                    return unanswered(task, seed, problem.id(), tokenizer.decode(prompts.get(i)), problem.gold());
                })
                .toList();
        return resumed(task, unit, expected, done -> {
            List<Request> requests = IntStream.range(0, task.size())
                    .mapToObj(i -> new Request(prompts.get(i), sampleSeed(seed, task.name(), task.problems().get(i).id())))
                    .toList();
            List<Completion> completions = generator.generate(requests, settings.sampling, new Listener() {
                @Override
                public void completed(int request, Completion completion) {
                    done.advance(1);
                }
            });
            return IntStream.range(0, task.size()).mapToObj(i -> scored(task, expected.get(i), completions.get(i))).toList();
        });
    }

    private List<Sample> unit(Task.Choosing task) {
        String unit = "likelihood";
        List<Sample> expected = task.questions().stream()
                .map(question -> unanswered(
                        task, null, question.id(), question.context(), question.options().get(question.answer())))
                .toList();
        return resumed(task, unit, expected, done -> {
            var samples = new ArrayList<Sample>();
            for (int i = 0; i < task.size(); i++) {
                samples.add(chosen(task.questions().get(i), expected.get(i)));
                done.advance(1);
            }
            return samples;
        });
    }

    /// The seed of the random stream of one sample.
    static long sampleSeed(long seed, String task, String id) {
        return Seeds.mix(seed, Seeds.ofString("evaluation"), Seeds.ofString(task), Seeds.ofString(id));
    }

    private int[] encode(Prompt prompt) {
        return switch (prompt) {
            case Prompt.Text(String text) -> tokenizer.encode(text);
            case Prompt.Conversation conversation -> tokenizer.encode(template.apply(conversation));
        };
    }

    private static Sample unanswered(Task task, @Nullable Long seed, String id, String prompt, String gold) {
        return new Sample(task.name(), seed, id, prompt, "", gold, Reason.NO_ANSWER, "", null, 0);
    }

    private Sample scored(Task.Answering task, Sample expected, Completion completion) {
        String text = tokenizer.decode(completion.tokens(), true);
        boolean truncated = completion.stop() != StopReason.STOP_TOKEN;
        Verdict verdict = task.verifier().verify(text, truncated, expected.gold());
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

    /// The option whose tokens are most probable after the context; of equal ones the first.
    private Sample chosen(Task.Question question, Sample expected) {
        int[] context = tokenizer.encodeWithSpecial(question.context());
        if (context.length == 0) throw Failure.badFile("question %s has an empty context".formatted(question.id()));
        List<int[]> options = question.options().stream().map(tokenizer::encode).toList();
        List<float[]> scores = Objects.requireNonNull(scorer).score(options.stream()
                .map(option -> IntStream.concat(IntStream.of(context), IntStream.of(option)).toArray())
                .toList());
        int best = 0;
        double bestScore = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < options.size(); i++) {
            double score = 0;
            for (int t = context.length - 1; t < scores.get(i).length; t++) score += scores.get(i)[t];
            if (score > bestScore) {
                best = i;
                bestScore = score;
            }
        }
        String option = question.options().get(best);
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

    private List<Sample> resumed(Task task, String unit, List<Sample> expected, Function<Progress.Task, List<Sample>> sampler) {
        Path file = directory.resolve("units").resolve("%s.%s.jsonl".formatted(task.name(), unit));
        if (Files.exists(file)) return read(file, expected);
        try (Progress.Task done = progress.start(task.name() + " " + unit, task.size(), "samples")) {
            List<Sample> samples = sampler.apply(done);
            writeLines(file, samples);
            return samples;
        }
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
                String place = "%s:%d".formatted(file, samples.size() + 1);
                Sample sample;
                try {
                    sample = Sample.of(JsonFiles.parse(line.getBytes(StandardCharsets.UTF_8), file.toString(), samples.size() + 1));
                } catch (IllegalArgumentException e) {
                    throw Failure.badFile("%s: %s. Delete the file to have the unit sampled again.".formatted(place, e.getMessage()), e);
                }
                if (samples.size() == expected.size() || !sameQuestion(sample, expected.get(samples.size()))) {
                    throw Failure.badFile(("%s: this sample (%s) is not of the example expected here; the file is from an evaluation of other"
                                    + " examples or prompts. Evaluate into another directory, or delete the file.")
                            .formatted(place, sample.id()));
                }
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
