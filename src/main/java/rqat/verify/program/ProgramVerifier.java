package rqat.verify.program;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.concurrent.Semaphore;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.verify.AnswerScope;
import rqat.verify.Attempt;
import rqat.verify.Reason;
import rqat.verify.Verdict;
import rqat.verify.Verifier;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;

/// Scores generated programs as LiveCodeBench does (`lcb_runner/evaluation/testing_util.py`): the last block of code is run test by test,
/// public and private tests alike, the first failure ends it, and only all tests right is right. Every test has a time limit, compiling too; all together have (limit + 1) times tests + 5 seconds.
///
/// Two deviations in any mode. A program is killed at its time limit, where the reference raises an exception that the program can
/// catch. And outputs are compared outside the process of the program, which therefore can neither read what is expected nor claim that
/// it was right; a result that JSON cannot hold is wrong.
///
/// Safe to share between threads; as many programs run at a time as there are processors, for time limits are wall-clock. The gold
/// answer of [Verifier] is the JSON of [ProgramTests#parse(String)].
///
/// @param sandbox where programs run
/// @param mode    how standard streams behave
/// @param seconds of one test
/// @param limits  of everything but time, which follows from the tests
public record ProgramVerifier(Sandbox sandbox, Mode mode, double seconds, Limits limits) implements Verifier {
    /// How the reference's replacements of standard streams are reproduced.
    public enum Mode {
        /// With the faults of the reference, for scores that are compared with published ones: `sys.stdin` cannot be iterated over,
        /// `sys.stdin.buffer.readline` always gives the first line, `open(0)` is empty, `sys.stdout.buffer` does not exist, a program of
        /// standard input becomes the body of a function and fails when it has a class `Solution`, and thinking is searched for code too.
        FAITHFUL,
        /// Right programs are right: only what follows the thinking is looked at, a fence may be indented, and a program of standard input
        /// has a process of its own for every test, in which it is the main module.
        REPAIRED
    }

    /// Paper and reference.
    public static final double SECONDS = 6;

    private static final Semaphore SLOTS = new Semaphore(Runtime.getRuntime().availableProcessors());
    private static final String SUPERVISOR = Resources.text("supervisor.py");

    /// In this mode, with six seconds a test and [Limits#DEFAULT].
    public ProgramVerifier(Sandbox sandbox, Mode mode) {
        this(sandbox, mode, SECONDS, Limits.DEFAULT);
    }

    /// What became of a program.
    ///
    /// @param reason MATCH, MISMATCH, TIMEOUT or PROGRAM_ERROR
    /// @param passed tests that were right before the first that was not
    /// @param detail of the failure, a line; empty when all is right
    public record Result(Reason reason, int passed, String detail) {}

    @Override
    public Judge judge(String gold) {
        ProgramTests tests = ProgramTests.parse(gold);
        return attempt -> verify(attempt, tests);
    }

    /// As [Judge#verdict] with tests that were read before.
    public Verdict verify(Attempt attempt, ProgramTests tests) {
        String code = code(attempt);
        if (code.isBlank()) return new Verdict(attempt.truncated() ? Reason.TRUNCATED : Reason.NO_ANSWER, "");
        return new Verdict(run(code, tests).reason(), code);
    }

    private String code(Attempt attempt) {
        if (mode == Mode.FAITHFUL) return CodeBlocks.lastTwoFences(attempt.text());
        int start = AnswerScope.AUTO.start(attempt);
        if (start < 0) return "";
        String answer = attempt.text().substring(start);
        String program = CodeBlocks.lastProgram(answer);
        return program.isBlank() ? CodeBlocks.lastTwoFences(answer) : program;
    }

    /// Runs a program against its tests up to the first that fails.
    ///
    /// @throws Failure FAILED when the sandbox itself fails
    public Result run(String code, ProgramTests tests) {
        SLOTS.acquireUninterruptibly();
        try (Sandbox.Running running = sandbox.start(
                sandbox.python(SUPERVISOR), limits.seconds((seconds + 1) * tests.inputs().size() + 5))) {
            return run(running, code, tests);
        } finally {
            SLOTS.release();
        }
    }

    private Result run(Sandbox.Running running, String code, ProgramTests tests) {
        var request = new LinkedHashMap<String, Object>();
        request.put("code", code);
        request.put("function", tests.function());
        request.put("faithful", mode == Mode.FAITHFUL);
        request.put("seconds", seconds);
        request.put("output", limits.output());
        if (!"ready".equals(read(running))) throw Failure.failed("the sandbox (%s) stopped working".formatted(sandbox.kind()));
        Result failure = failure(exchange(running, request), running, 0);
        for (int i = 0; failure == null && i < tests.inputs().size(); i++) {
            var test = new LinkedHashMap<String, Object>();
            test.put("input", tests.inputs().get(i));
            JsonNode answer = exchange(running, test);
            failure = failure(answer, running, i);
            if (failure == null && !right(answer, tests, i)) {
                failure = new Result(Reason.MISMATCH, i, "test %d of %d: wrong answer".formatted(i + 1, tests.inputs().size()));
            }
        }
        return failure == null ? new Result(Reason.MATCH, tests.inputs().size(), "") : failure;
    }

    private static boolean right(JsonNode answer, ProgramTests tests, int test) {
        String expected = tests.outputs().get(test);
        if (tests.function() == null) return Outputs.sameText(answer.path("output").asString(""), expected);
        JsonNode value = answer.get("value");
        return value != null && Outputs.sameValue(value, ProgramTests.parse(expected, "the expected result of a function"));
    }

    private @Nullable Result failure(@Nullable JsonNode answer, Sandbox.Running running, int passed) {
        if (answer == null) {
            running.close();
            return switch (running.end()) {
                case TIME -> new Result(Reason.TIMEOUT, passed, "more than %.0f s for all tests".formatted((seconds + 1) * (passed + 1) + 5));
                case MEMORY -> new Result(Reason.PROGRAM_ERROR, passed, "more than %,d bytes of memory".formatted(limits.memory()));
                case OUTPUT, EXITED -> new Result(Reason.PROGRAM_ERROR, passed, "the program broke off");
            };
        }
        return switch (answer.path("status").asString("")) {
            case "done" -> null;
            case "time" -> new Result(Reason.TIMEOUT, passed, "more than %.1f s for one test".formatted(seconds));
            case "output" -> new Result(Reason.PROGRAM_ERROR, passed, "more than %,d bytes of output".formatted(limits.output()));
            case "error" -> new Result(Reason.PROGRAM_ERROR, passed, Failure.quote(answer.path("detail").asString("")));
            default -> new Result(Reason.PROGRAM_ERROR, passed, "the program answered in its supervisor's place");
        };
    }

    /// Null when the sandbox ends instead of answering.
    private @Nullable JsonNode exchange(Sandbox.Running running, Object message) {
        try {
            var sink = running.process().getOutputStream();
            sink.write(ProgramTests.PYTHON_JSON.writeValueAsBytes(message));
            sink.write('\n');
            sink.flush();
            String line = read(running);
            return line == null ? null : ProgramTests.PYTHON_JSON.readTree(line);
        } catch (IOException e) {
            return null;
        } catch (JacksonException e) {
            return ProgramTests.PYTHON_JSON.createObjectNode();
        }
    }

    /// A line of bounded length.
    private @Nullable String read(Sandbox.Running running) {
        var line = new ByteArrayOutputStream();
        try {
            InputStream source = running.process().getInputStream();
            for (int next; (next = source.read()) != '\n'; ) {
                if (next < 0 || line.size() > longest()) return null;
                line.write(next);
            }
            return line.toString(StandardCharsets.UTF_8);
        } catch (IOException e) {
            return null;
        }
    }

    /// Bytes of an answer: a control character takes six in JSON.
    private long longest() {
        return 6 * limits.output() + 1000;
    }
}
