package rqat.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.data.Row;
import rqat.data.RowFiles;
import rqat.verify.AnswerScope;
import rqat.verify.Attempt;
import rqat.verify.ChoiceVerifier;
import rqat.verify.Reason;
import rqat.verify.Verdict;
import rqat.verify.mathematics.Gold;
import rqat.verify.mathematics.MathVerifier;
import rqat.verify.mathematics.ReferenceVerifier;
import rqat.verify.program.ProgramTests;
import rqat.verify.program.ProgramVerifier;
import rqat.verify.program.Sandbox;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `rqat grade`: the verdict of an evaluation or a reward on answers in a file, without a model. See docs/formats.md for the lines.
///
/// All lines are read before the first is judged, so that a bad one is met before minutes of programs. Blank lines are skipped.
@Command(
        name = "grade",
        description = "Judge answers in a file as evaluations and rewards do; a JSON line for each input line.",
        mixinStandardHelpOptions = true)
final class GradeCommand implements Callable<Integer> {

    /// Escapes what is not ASCII, so that no terminal setting can damage a text.
    private static final JsonMapper JSON = JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

    /// Lines that are judged together and printed in their order.
    private static final int TOGETHER = 64;

    private enum Mode { CLEAN, MATH_VERIFY }

    private enum Kind { MATHEMATICS, CHOICE, PROGRAM }

    @Spec
    private CommandSpec spec;

    @Parameters(paramLabel = "FILE.jsonl", description = {
        "Lines of {\"gold\": ..., \"completion\": ..., \"truncated\": false, \"prompt_opens_think\": false},",
        "for programs {\"program\": ..., \"tests\": [[stdin, stdout], ...]} or a completion with tests."
    })
    private Path file;

    @Option(names = "--mode", paramLabel = "MODE", defaultValue = "clean", description = {
        "clean (default), or math-verify: mathematics as Math-Verify 0.8.0 judges it with its own settings."
    })
    private String modeName;

    @Option(names = "--kind", paramLabel = "KIND", description = {
        "mathematics, choice or program; by default a line with tests is a program and any other mathematics."
    })
    private @Nullable String kindName;

    @Option(names = "--json", description = "Accepted for clarity: the output is JSON lines.")
    private boolean json;

    /// Made by the first line with a program: looking for a sandbox takes half a second.
    private @Nullable ProgramVerifier programs;

    @Override
    public Integer call() {
        Mode mode = constant(Mode.class, "--mode", modeName);
        Kind kind = kindName == null ? null : constant(Kind.class, "--kind", kindName);
        if (mode == Mode.MATH_VERIFY && kind != null && kind != Kind.MATHEMATICS) {
            throw Failure.usage("--mode math-verify judges mathematics only; leave out --kind %s or the mode".formatted(kindName));
        }
        List<Supplier<Verdict>> answers = read(mode, kind);
        Interruption.stopping(() -> {
            int right = 0;
            for (int from = 0; from < answers.size(); from += TOGETHER) {
                if (Thread.interrupted()) throw Failure.interrupted("interrupted after %,d of %,d lines; start again to judge all".formatted(from, answers.size()));
                List<Verdict> verdicts = answers.subList(from, Math.min(answers.size(), from + TOGETHER)).parallelStream().map(Supplier::get).toList();
                for (Verdict verdict : verdicts) Output.print(spec, line(verdict));
                right += (int) verdicts.stream().filter(Verdict::correct).count();
            }
            spec.commandLine().getErr().println("%,d of %,d right".formatted(right, answers.size()));
            return right;
        });
        return 0;
    }

    private static <E extends Enum<E>> E constant(Class<E> type, String option, String given) {
        List<String> names = Arrays.stream(type.getEnumConstants()).map(GradeCommand::name).toList();
        int at = names.indexOf(given.toLowerCase(Locale.ROOT));
        if (at < 0) throw Failure.usage("%s is %s; expected one of %s".formatted(option, Failure.quote(given), names));
        return type.getEnumConstants()[at];
    }

    private static String name(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static String line(Verdict verdict) {
        var fields = new LinkedHashMap<String, @Nullable Object>();
        fields.put("right", verdict.correct());
        fields.put("reason", verdict.reason().name().toLowerCase(Locale.ROOT));
        fields.put("extracted", verdict.extracted().isEmpty() ? null : verdict.extracted());
        return JSON.writeValueAsString(fields);
    }

    private List<Supplier<Verdict>> read(Mode mode, @Nullable Kind kind) {
        var answers = new ArrayList<Supplier<Verdict>>();
        try (Stream<Row> rows = RowFiles.jsonLines(file)) {
            rows.forEach(row -> answers.add(new Line(row.number(), row.fields()).answer(mode, kind)));
        } catch (OutOfMemoryError e) {
            throw Failure.badFile("%s: is too large to be judged at once; divide it".formatted(file), e);
        }
        if (answers.isEmpty()) throw Failure.badFile("%s: holds no line to grade; expected at least one".formatted(file));
        return answers;
    }

    /// One line and what it asks for.
    private final class Line {
        private final long number;
        private final JsonNode node;

        Line(long number, JsonNode node) {
            this.number = number;
            this.node = node;
        }

        Supplier<Verdict> answer(Mode mode, @Nullable Kind given) {
            if (!node.isObject()) throw bad("expected an object, found %s".formatted(Failure.quote(node.toString())));
            boolean program = node.has("tests") || node.has("program");
            Kind kind = given != null ? given : program ? Kind.PROGRAM : Kind.MATHEMATICS;
            if (kind == Kind.PROGRAM && mode == Mode.MATH_VERIFY) throw bad("--mode math-verify judges mathematics only, and this is a program");
            return switch (kind) {
                case MATHEMATICS -> mathematics(mode);
                case CHOICE -> choice();
                case PROGRAM -> program();
            };
        }

        private Supplier<Verdict> mathematics(Mode mode) {
            String gold = gold();
            Attempt attempt = attempt();
            if (mode == Mode.MATH_VERIFY) return () -> ReferenceVerifier.withDefaults().judge(gold).verdict(attempt);
            if (!Gold.of(gold).usable()) throw bad("`gold` is %s; expected a reference answer that an answer can equal".formatted(Failure.quote(gold)));
            return () -> new MathVerifier().judge(gold).verdict(attempt);
        }

        private Supplier<Verdict> choice() {
            // Null: no choice is right, but it is shown which one was made.
            String gold = node.path("gold").isNull() ? "" : gold().strip().toUpperCase(Locale.ROOT);
            if (!List.of("", "A", "B", "C", "D").contains(gold) || gold.isEmpty() && !node.path("gold").isNull()) {
                throw bad("`gold` is %s; expected a letter from A to D".formatted(Failure.quote(gold())));
            }
            Attempt attempt = attempt();
            return () -> new ChoiceVerifier(AnswerScope.AUTO, false).judge(gold).verdict(attempt);
        }

        /// The program itself, or a completion that holds it.
        private Supplier<Verdict> program() {
            ProgramTests tests = tests();
            if (node.has("program") == node.has("completion")) throw bad("expected either `program`, a text, or `completion`, a text that holds one");
            Attempt attempt = node.has("completion") ? attempt() : null;
            String code = attempt == null ? text("program") : "";
            if (programs == null) programs = new ProgramVerifier(Sandbox.detect().required(), ProgramVerifier.Mode.REPAIRED);
            ProgramVerifier verifier = programs;
            if (attempt != null) return () -> verifier.verify(attempt, tests);
            if (code.isBlank()) return () -> new Verdict(Reason.NO_ANSWER, "");
            return () -> new Verdict(verifier.run(code, tests).reason(), code);
        }

        private ProgramTests tests() {
            JsonNode list = node.path("tests");
            boolean pairs = list.isArray() && !list.isEmpty()
                    && list.valueStream().allMatch(test -> test.isArray() && test.size() == 2 && test.valueStream().allMatch(JsonNode::isString));
            if (!pairs) throw bad("`tests` is %s; expected a list of [standard input, expected output] pairs of texts".formatted(Failure.quote(list.toString())));
            return new ProgramTests(
                    null,
                    list.valueStream().map(test -> test.get(0).asString()).toList(),
                    list.valueStream().map(test -> test.get(1).asString()).toList());
        }

        private Attempt attempt() {
            JsonNode stop = node.path("stop");
            if (!(stop.isMissingNode() || stop.isNull() || stop.isString())) throw bad("`stop` is %s; expected a text such as `length`".formatted(Failure.quote(stop.toString())));
            boolean cut = node.has("truncated") ? flag("truncated") : stop.asString("").equals("length");
            return new Attempt(text("completion"), cut, flag("prompt_opens_think"));
        }

        private String gold() {
            JsonNode gold = node.path("gold");
            if (gold.isNumber()) return gold.asString();
            return text("gold");
        }

        private String text(String key) {
            JsonNode text = node.path(key);
            if (!text.isString()) throw bad("`%s` is %s; expected a text".formatted(key, text.isMissingNode() ? "missing" : Failure.quote(text.toString())));
            return text.asString();
        }

        private boolean flag(String key) {
            JsonNode flag = node.path(key);
            if (!(flag.isMissingNode() || flag.isBoolean())) throw bad("`%s` is %s; expected true or false".formatted(key, Failure.quote(flag.toString())));
            return flag.asBoolean(false);
        }

        private Failure bad(String what) {
            return Failure.badFile("%s:%d: %s".formatted(file, number, what));
        }
    }
}
