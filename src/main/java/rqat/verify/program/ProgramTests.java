package rqat.verify.program;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.json.JsonFactory;
import tools.jackson.core.json.JsonReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The tests of one programming problem.
///
/// @param function the function to call, a method of class `Solution` where the program has one; null for a program that reads standard
///                 input and writes standard output
/// @param inputs   of each test: standard input, or one JSON value a line, the positional arguments
/// @param outputs  of each test: expected standard output, or the expected result as JSON
public record ProgramTests(@Nullable String function, List<String> inputs, List<String> outputs) {
    /// Python's JSON: numbers of any length, NaN and Infinity; depth and length bounded.
    static final JsonMapper PYTHON_JSON = JsonMapper.builder(JsonFactory.builder()
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(1000)
                            .maxNumberLength(60_000)
                            .maxStringLength(Integer.MAX_VALUE)
                            .build())
                    .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    /// @throws Failure BAD_FILE when there is no test, an input has no output, or the result of a function is not JSON
    public ProgramTests {
        inputs = List.copyOf(inputs);
        outputs = List.copyOf(outputs);
        if (inputs.isEmpty() || inputs.size() != outputs.size()) {
            throw Failure.badFile("program tests: found %d inputs and %d outputs; expected as many of each and at least one"
                    .formatted(inputs.size(), outputs.size()));
        }
        if (function != null) {
            for (String output : outputs) parse(output, "the expected result of a function");
        }
    }

    /// Reads the tests as LiveCodeBench hands them to its checker: a JSON object of `inputs`, `outputs` and, for functions, `fn_name`.
    ///
    /// @throws Failure BAD_FILE when it is something else
    public static ProgramTests parse(String json) {
        JsonNode object = parse(json, "the tests of a program");
        JsonNode function = object.path("fn_name");
        if (!object.isObject() || !(function.isMissingNode() || function.isNull() || function.isString())) {
            throw Failure.badFile("the tests of a program: found %s; expected an object of `inputs`, `outputs` and, for a function, `fn_name`"
                    .formatted(Failure.quote(json)));
        }
        return new ProgramTests(function.isString() ? function.asString() : null, texts(object, "inputs"), texts(object, "outputs"));
    }

    private static List<String> texts(JsonNode object, String name) {
        var texts = new ArrayList<String>();
        for (JsonNode text : object.path(name)) {
            if (!text.isString()) {
                throw Failure.badFile("the tests of a program: `%s` has %s; expected strings only".formatted(name, Failure.quote(text.toString())));
            }
            texts.add(text.asString());
        }
        return texts;
    }

    static JsonNode parse(String json, String what) {
        try {
            return PYTHON_JSON.readTree(json);
        } catch (JacksonException e) {
            throw Failure.badFile("%s is not JSON: %s in %s".formatted(what, e.getOriginalMessage(), Failure.quote(json)), e);
        }
    }
}
