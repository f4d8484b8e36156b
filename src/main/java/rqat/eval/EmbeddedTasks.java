package rqat.eval;

import java.util.List;
import java.util.stream.Stream;
import rqat.Failure;
import rqat.data.WordProblems;
import rqat.data.WordProblems.Split;
import rqat.verify.mathematics.MathVerifier;

/// The benchmarks that come with the program: word problems of three difficulties, solved by reasoning, and a task that needs none. They
/// are drawn from the test split, whose problems no training or calibration text contains.
public final class EmbeddedTasks {
    /// The reasoning tasks, easiest first, and the non-reasoning one.
    public static final List<String> NAMES = Stream.concat(WordProblems.TASKS.stream(), Stream.of("choice")).toList();

    /// Part of what the benchmarks are: another seed would be other problems.
    private static final long SEED = 20_260_101;

    private EmbeddedTasks() {}

    /// One of the tasks.
    ///
    /// @param name  one of [#NAMES]
    /// @param split [Split#TEST] for results that are reported, [Split#VALIDATION] for gates
    /// @param count number of examples; the first are the same whatever the count
    /// @throws Failure USAGE when there is no such task or it has fewer examples
    public static Task of(String name, Split split, int count) {
        if (name.equals("choice")) {
            return new Task.Choosing(name, WordProblems.choices(split, count, SEED).stream()
                    .map(choice -> new Task.Question(choice.id(), "<|im_start|>user\n" + choice.context(), choice.options(), choice.answer()))
                    .toList());
        }
        if (!NAMES.contains(name)) throw Failure.usage("there is no embedded task `%s`; there are %s".formatted(name, NAMES));
        return new Task.Answering(
                name,
                WordProblems.problems(split, name, count, SEED).stream()
                        .map(problem -> new Task.Problem(problem.id(), new Prompt.Text(problem.prompt()), problem.answer()))
                        .toList(),
                new MathVerifier());
    }
}
