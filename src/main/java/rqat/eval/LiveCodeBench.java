package rqat.eval;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import rqat.data.DataSource;
import rqat.data.DataSource.Publication;
import rqat.data.ProgrammingProblem;
import rqat.data.Row;
import rqat.verify.Attempt;
import rqat.verify.Verdict;
import rqat.verify.Verifier;
import rqat.verify.program.ProgramTests;
import rqat.verify.program.ProgramVerifier;
import rqat.verify.program.Sandbox;

/// 268 programming problems (Jain et al. 2024), those that its versions 4 and 5 added; a program is right when it passes all tests.
final class LiveCodeBench {
    private static final Publication PUBLICATION =
            Publication.of("livecodebench", "livecodebench/code_generation_lite", "test{4,5}.jsonl");

    private LiveCodeBench() {}

    /// The reference answer of a problem is its own name: its tests, which may be very large, are looked up when a program is judged.
    ///
    /// @throws rqat.Failure when this machine has no sandbox to run programs in
    static Task of(DataSource data, Protocol protocol) {
        Sandbox sandbox = Sandbox.detect().required();
        var problems = new LinkedHashMap<String, ProgrammingProblem>();
        try (Stream<Row> rows = data.rows(PUBLICATION)) {
            rows.map(ProgrammingProblem::of).forEach(problem -> problems.put(problem.id(), problem));
        }
        var programs = new ProgramVerifier(
                sandbox, protocol == Protocol.PAPER ? ProgramVerifier.Mode.FAITHFUL : ProgramVerifier.Mode.REPAIRED);
        return new Task.Answering(
                "livecodebench_v4_v5",
                problems.values().stream().map(problem -> new Task.Problem(problem.id(), prompt(problem), problem.id())).toList(),
                new ByName(problems, programs));
    }

    /// Judges by the tests of the problem that the reference answer names.
    private record ByName(Map<String, ProgrammingProblem> problems, ProgramVerifier programs) implements Verifier {
        @Override
        public Judge judge(String gold) {
            ProgrammingProblem problem = Objects.requireNonNull(problems.get(gold));
            // Tests are unpacked for each program: those of all problems together are gigabytes.
            return attempt -> verdict(attempt, problem);
        }

        private Verdict verdict(Attempt attempt, ProgrammingProblem problem) {
            List<ProgrammingProblem.Test> tests = problem.tests();
            return programs.verify(attempt, new ProgramTests(
                    problem.functionName().orElse(null),
                    tests.stream().map(ProgrammingProblem.Test::input).toList(),
                    tests.stream().map(ProgrammingProblem.Test::output).toList()));
        }
    }

    static Prompt prompt(ProgrammingProblem problem) {
        String beginning = "You will be given a question (problem specification) and will generate a correct Python program that matches the "
                + "specification and passes all tests.\n\nQuestion: " + problem.statement() + "\n\n";
        String form = problem.starterCode().isEmpty()
                ? "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample inputs). "
                        + "Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the inputs, runs the "
                        + "algorithm and writes output to STDOUT.\n```python\n# YOUR CODE HERE\n```\n\n"
                : "You will use the following starter code to write the solution to the problem and enclose your code within delimiters.\n"
                        + "```python\n" + problem.starterCode() + "\n```\n\n";
        return Prompt.Conversation.user(beginning + form);
    }
}
