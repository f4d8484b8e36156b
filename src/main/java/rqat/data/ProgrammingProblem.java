package rqat.data;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import rqat.Failure;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;

/// A problem of LiveCodeBench: a program is right when it passes all tests.
///
/// The private tests of one problem unpack to as much as hundreds of megabytes, so they stay packed until [#tests] is called.
public final class ProgrammingProblem {
    /// Bound of one problem's unpacked tests, so that a hostile file cannot fill the memory.
    private static final int MAXIMUM_BYTES = 1 << 29;

    private final String place;
    private final String id;
    private final String statement;
    private final String starterCode;
    private final Optional<String> functionName;
    private final String publicTests;
    private final byte[] privateTests;

    /// A test: what the program is given and what it must give back.
    ///
    /// @param input  standard input; for a function its arguments, one JSON value a line
    /// @param output standard output; for a function the JSON of its result
    public record Test(String input, String output) {}

    private ProgrammingProblem(Row row) {
        this.place = row.place();
        this.id = row.text("question_id");
        this.statement = row.text("question_content");
        this.starterCode = row.optionalText("starter_code").orElse("");
        JsonNode metadata = json(row.optionalText("metadata").orElse("{}"), "metadata");
        this.functionName = Optional.ofNullable(metadata.path("func_name").asString(null));
        this.publicTests = row.text("public_test_cases");
        this.privateTests = row.optionalText("private_test_cases").orElse("[]").getBytes(StandardCharsets.UTF_8);
    }

    /// A line of `code_generation_lite`.
    public static ProgrammingProblem of(Row row) {
        return new ProgrammingProblem(row);
    }

    /// The publisher's name of the problem.
    public String id() {
        return id;
    }

    /// What to program.
    public String statement() {
        return statement;
    }

    /// The code that the answer begins with; empty for programs that read standard input.
    public String starterCode() {
        return starterCode;
    }

    /// The function or method to call; empty for programs that read standard input.
    public Optional<String> functionName() {
        return functionName;
    }

    /// The public tests, then the private ones.
    ///
    /// @throws Failure BAD_FILE with the place when they cannot be unpacked
    public List<Test> tests() {
        var tests = new ArrayList<Test>();
        add(tests, json(publicTests, "public_test_cases"), "public_test_cases");
        add(tests, privateTests(), "private_test_cases");
        if (tests.isEmpty()) throw Failure.badFile("%s: no tests; expected at least one".formatted(place));
        return tests;
    }

    private JsonNode privateTests() {
        String beginning = new String(privateTests, 0, Math.min(privateTests.length, 64), StandardCharsets.ISO_8859_1).stripLeading();
        if (beginning.startsWith("[")) return json(new String(privateTests, StandardCharsets.UTF_8), "private_test_cases");
        try {
            return json(PickledText.read(inflate(Base64.getMimeDecoder().decode(privateTests))), "private_test_cases");
        } catch (IllegalArgumentException | DataFormatException e) {
            throw Failure.badFile("%s: `private_test_cases` is neither JSON nor a packed text: %s; expected base64 of zlib of one pickled text"
                    .formatted(place, e.getMessage()), e);
        }
    }

    private static byte[] inflate(byte[] packed) throws DataFormatException {
        var unpacked = new ByteArrayOutputStream(4 * packed.length);
        byte[] buffer = new byte[1 << 16];
        try (var inflater = new Inflater()) {
            inflater.setInput(packed);
            while (!inflater.finished()) {
                int count = inflater.inflate(buffer);
                if (count == 0 && !inflater.finished()) throw new DataFormatException("the compressed text ends early");
                if (unpacked.size() > MAXIMUM_BYTES - count) {
                    throw new DataFormatException("it unpacks to more than %,d bytes".formatted(MAXIMUM_BYTES));
                }
                unpacked.write(buffer, 0, count);
            }
        }
        return unpacked.toByteArray();
    }

    private void add(List<Test> tests, JsonNode cases, String column) {
        for (JsonNode test : cases) {
            JsonNode input = test.path("input");
            JsonNode output = test.path("output");
            if (!input.isString() || !output.isString()) {
                throw Failure.badFile("%s: a test in `%s` is %s; expected an object with the texts `input` and `output`"
                        .formatted(place, column, Failure.quote(test.toString())));
            }
            tests.add(new Test(input.stringValue(), output.stringValue()));
        }
    }

    private JsonNode json(String text, String column) {
        return JsonFiles.parse(text.getBytes(StandardCharsets.UTF_8), "%s, `%s`".formatted(place, column), 1);
    }
}
