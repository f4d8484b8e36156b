package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// Bad input of every kind through the command line: one message, the documented exit code, and nothing left behind.
class BadInputTest {
    private static final int USAGE = 2;
    private static final int BAD_FILE = 3;
    private static final Path EMBEDDED = Path.of("models", "embedded");

    @TempDir
    Path directory;

    private Path model;
    private Path out;
    private List<String> before;

    @BeforeEach
    void copyTheEmbeddedModel() throws IOException {
        model = Files.createDirectory(directory.resolve("model"));
        try (Stream<Path> files = Files.list(EMBEDDED)) {
            for (Path file : (Iterable<Path>) files::iterator) Files.copy(file, model.resolve(file.getFileName()));
        }
        out = directory.resolve("out");
    }

    private Cli run(String... arguments) {
        before = Cli.content(directory);
        return Cli.run(arguments);
    }

    /// Whatever was refused, and why.
    @AfterEach
    void nothingIsLeftBehind() {
        assertThat(Cli.content(directory)).isEqualTo(before);
    }

    private String write(String name, String text) throws IOException {
        return Files.writeString(directory.resolve(name), text).toString();
    }

    // ---- the command line itself

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "\"\"                                                        | a command is missing | rqat --help",
        "frobnicate                                                | 'frobnicate'         | rqat --help",
        "quantise embedded x --method rtn                          | 'quantise'           | did you mean",
        "run                                                       | 'RECIPE.yaml'        | rqat run --help",
        "run r.yaml --oot x                                        | '--oot'              | --out",
        "quantize embedded                                         | 'OUT'                | rqat quantize --help",
        "quantize embedded x --method best                         | 'best'               | [rtn, gptq",
        "distill embedded x                                        | '--teacher           | rqat distill --help",
        "eval embedded --seeds many                                | 'many' is not an int | rqat eval --help",
        "eval embedded --seeds 0                                   | --seeds is 0         | expected 1 to",
        "eval embedded --seeds 2000000000                          | --seeds is 2000000000 | expected 1 to",
        "eval embedded --tasks easy,hardest                        | hardest              | [easy, medium, hard, choice]",
        "eval embedded --set evaluate.problems=0                   | problems is 0        | 1 or more",
        "eval embedded --set evaluate.seeds=[]                     | seeds is []          | at least one",
        "eval embedded --set evaluate.temperature=hot              | evaluate.temperature | hot",
        "eval embedded --set evaluate.problem=3                    | `problem`            | did you mean `problems`",
        "eval embedded --set evaluate                              | --set                | evaluate",
        "generate embedded --prompt x --samples 0                  | --samples is 0       | expected 1 to",
        "generate embedded --prompt x --max-new-tokens 0           | max new tokens is 0  | 1 or more",
        "generate embedded --prompt x --temperature NaN            | temperature is NaN   | expected",
        "generate embedded --prompt x --top-p 0                    | top-p                | expected",
        "generate embedded --prompt '' --raw                       | empty prompt         | token",
        "score embedded                                            | text FILE            | --ids",
        "score embedded a.txt --ids a.json                         | text FILE            | --ids",
        "quantize embedded '' --method rtn                         | output directory     | name of its own",
        "quantize embedded . --method rtn                          | output directory     | name of its own",
        "quantize embedded a/.. --method rtn                       | output directory     | name of its own",
        "quantize embedded x --method rtn --set quantise.bits=9    | quantise             | bits",
        "quantize embedded x --method rtn --set quantise.calibration=0 | calibration is 0 | 1 or more",
        "sft embedded x --set sft.problems=0                       | problems is 0        | 1 or more",
        "grpo embedded x --set grpo.optimisation.steps=0           | steps is 0           | 1 or more",
        "grpo embedded x --set grpo.objective=distilation          | `distilation`        | grpo, distillation",
        "grpo embedded x --set grpo.divergence=kl                  | grpo.divergence      | reverse_kl",
        "grpo embedded x --set grpo.objective=distillation         | grpo.objective       | --teacher",
        "grpo embedded x --teacher embedded                        | --teacher            | grpo.objective=distillation",
    })
    void refusesBadUse(String line, String found, String expected) {
        String[] words = line.isEmpty() ? new String[0] : line.split(" +");
        run(Arrays.stream(words).map(word -> word.equals("''") ? "" : word).toArray(String[]::new)).refused(USAGE, found, expected);
    }

    @Test
    void refusesAGroupSizeThatDividesNothing() {
        run("quantize", "embedded", out.toString(), "--method", "gptq", "--set", "quantise.group_size=100")
                .failed(USAGE, "groups of 100", "128 columns");
    }

    // ---- recipes

    @Test
    void namesThePlaceOfAnUnknownKeyAndTheNearestOne() throws IOException {
        String recipe = write("r.yaml", "output: x\nquantise:\n  bit: 3\n");
        run("run", recipe).refused(USAGE, recipe + ":3:3", "`bit`", "did you mean `bits`?");
        run("quantize", "embedded", out.toString(), "--method", "rtn", "--recipe", recipe).refused(USAGE, recipe + ":3:3", "`bits`");
    }

    @ParameterizedTest
    @ValueSource(strings = {"rows: [gptq", "rows: [gtpq]", "rows: gptq", "rows: [kd]", "jobs: two", "jobs: 0", "- 1", "kd: {optimisation: 3}", "a: b: c", "seed: *x"})
    void namesThePlaceOfABadValue(String text) throws IOException {
        String recipe = write("r.yaml", "output: %s\n%s\n".formatted(out, text));
        run("run", recipe).refused(USAGE, recipe + ":");
    }

    @Test
    void refusesMissingFiles() throws IOException {
        String absent = directory.resolve("absent").toString();
        run("run", absent).refused(USAGE, absent, "no such file");
        run("pretrain", absent).refused(USAGE, absent, "no such file");
        run("run", directory.toString()).refused(USAGE, directory.toString(), "directory");
        run("run", write("r.yaml", "model: %s\noutput: %s\n".formatted(absent, out))).refused(BAD_FILE, absent, "no such directory");
        run("quantize", absent, out.toString(), "--method", "rtn").refused(BAD_FILE, absent, "no such directory");
        run("distill", "embedded", out.toString(), "--teacher", absent).refused(BAD_FILE, absent, "no such directory");
        run("eval", absent).refused(BAD_FILE, absent, "no such directory");
        run("generate", absent, "--prompt", "x").refused(BAD_FILE, absent, "no such directory");
        run("score", "embedded", absent).refused(BAD_FILE, absent, "no such file");
        run("score", "embedded", "--ids", absent).refused(BAD_FILE, absent, "no such file");
        run("tokenize", "embedded", absent).refused(BAD_FILE, absent, "no such file");
        run("report", absent).refused(BAD_FILE, absent, "no such run directory");
    }

    @Test
    void refusesAnOutputThatIsNotOurs() throws IOException {
        Files.createDirectory(out);
        Files.writeString(out.resolve("thesis.tex"), "years of work");
        run("quantize", "embedded", out.toString(), "--method", "rtn").refused(USAGE, out.toString(), "no stage of rqat made it");
        String file = write("file", "");
        run("quantize", "embedded", file, "--method", "rtn").refused(USAGE, file, "no stage of rqat made it");
        run("quantize", "embedded", file + "/x", "--method", "rtn").refused(1, file);
        run("run", write("r.yaml", "rows: [rtn]\noutput: " + file)).refused(1, file);
    }

    // ---- models

    /// Every command that reads weights meets the same damaged directory.
    private void refusedByAll(String... parts) throws IOException {
        String ids = write("ids.json", "[[1, 2, 3]]");
        String recipe = write("r.yaml", "model: %s\noutput: %s\n".formatted(model, out));
        String damaged = model.toString();
        run("run", recipe).refused(BAD_FILE, parts);
        run("quantize", damaged, out.toString(), "--method", "gptq").refused(BAD_FILE, parts);
        run("sft", damaged, out.toString()).refused(BAD_FILE, parts);
        run("distill", "embedded", out.toString(), "--teacher", damaged).refused(BAD_FILE, parts);
        run("grpo", damaged, out.toString()).refused(BAD_FILE, parts);
        run("eval", damaged, "--out", out.toString()).refused(BAD_FILE, parts);
        run("score", damaged, "--ids", ids).refused(BAD_FILE, parts);
        run("generate", damaged, "--prompt", "x").refused(BAD_FILE, parts);
    }

    @Test
    void refusesATruncatedCheckpoint() throws IOException {
        Path file = model.resolve("model.safetensors");
        try (var channel = Files.newByteChannel(file, StandardOpenOption.WRITE)) {
            channel.truncate(Files.size(file) / 2);
        }
        refusedByAll(file.toString(), "data section");
    }

    /// The header of the checkpoint changed by `edit`, the data as it was.
    private void rewriteHeader(java.util.function.Consumer<ObjectNode> edit) throws IOException {
        Path file = model.resolve("model.safetensors");
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        int length = Math.toIntExact(bytes.getLong(0));
        ObjectNode header = (ObjectNode) JsonMapper.shared().readTree(bytes.array(), 8, length);
        edit.accept(header);
        byte[] changed = header.toString().getBytes(StandardCharsets.UTF_8);
        ByteBuffer whole = ByteBuffer.allocate(8 + changed.length + bytes.capacity() - 8 - length).order(ByteOrder.LITTLE_ENDIAN);
        Files.write(file, whole.putLong(changed.length).put(changed).put(bytes.array(), 8 + length, bytes.capacity() - 8 - length).array());
    }

    /// The name of the tensor whose data comes second.
    private static String second(ObjectNode header) {
        return header.propertyStream()
                .filter(entry -> entry.getValue().has("data_offsets"))
                .sorted((a, b) -> Long.compare(begin(a.getValue()), begin(b.getValue())))
                .skip(1)
                .findFirst()
                .orElseThrow()
                .getKey();
    }

    private static long begin(JsonNode tensor) {
        return tensor.path("data_offsets").get(0).asLong();
    }

    @Test
    void refusesOverlappingTensors() throws IOException {
        String[] name = new String[1];
        rewriteHeader(header -> {
            name[0] = second(header);
            ArrayNode offsets = (ArrayNode) header.path(name[0]).path("data_offsets");
            for (int i = 0; i < 2; i++) offsets.set(i, offsets.get(i).asLong() - 2);
        });
        refusedByAll("model.safetensors", name[0], "where the tensor before it ends");
    }

    @Test
    void refusesTensorsOfAnotherShape() throws IOException {
        String name = "model.layers.0.mlp.down_proj.weight";
        rewriteHeader(header -> {
            ArrayNode shape = (ArrayNode) header.path(name).path("shape");
            shape.add(shape.remove(0));
        });
        refusedByAll(model.toString(), name, "[384, 128]", "[128, 384]");
    }

    @Test
    void refusesNanWeights() throws IOException {
        Path file = model.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(file);
        bytes[bytes.length - 1] = 0x7f; // the last number, bfloat16
        bytes[bytes.length - 2] = (byte) 0xc0;
        Files.write(file, bytes);
        refusedByAll(model.toString(), "not finite");
    }

    @Test
    void refusesABrokenConfiguration() throws IOException {
        Files.writeString(model.resolve("config.json"), "{\"model_type\": \"qwen3\", ");
        refusedByAll(model.resolve("config.json") + ":1:", "not valid JSON");
        Files.delete(model.resolve("config.json"));
        refusedByAll(model.toString(), "no config.json");
    }

    static List<String> brokenTokenizers() {
        return List.of("", "{", "[]", "{\"model\": {\"type\": \"Unigram\"}}", "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": -1}, \"merges\": []}}", "\0\1\2");
    }

    @ParameterizedTest
    @MethodSource("brokenTokenizers")
    void refusesABrokenTokenizer(String json) throws IOException {
        Path file = Files.writeString(model.resolve("tokenizer.json"), json);
        String damaged = model.toString();
        String place = file.toString();
        run("tokenize", damaged, write("a.jsonl", "{\"text\": \"a\"}")).refused(BAD_FILE, place);
        run("score", damaged, write("a.txt", "a")).refused(BAD_FILE, place);
        run("run", write("r.yaml", "model: %s\noutput: %s\n".formatted(model, out))).refused(BAD_FILE, place);
        run("quantize", damaged, out.toString(), "--method", "gptq").refused(BAD_FILE, place);
        run("sft", damaged, out.toString()).refused(BAD_FILE, place);
        run("eval", damaged, "--out", out.toString()).refused(BAD_FILE, place);
        run("generate", damaged, "--prompt", "x").refused(BAD_FILE, place);
    }

    // ---- data

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "[]           | holds no sequence",
        "[[]]         | sequence 0 has 0 tokens",
        "[[1], [1, 448]] | sequence 1 has the token id 448; the model's ids are 0 to 447",
        "[[-1]]       | the token id -1",
        "[[1.5]]      | list of lists of token ids",
        "[[99999999999]] | list of lists of token ids",
        "[1, 2]       | list of lists of token ids",
        "{}           | list of lists of token ids",
        "[[1          | not valid JSON",
        "\"\"         | found nothing",
    })
    void refusesIdsThatCannotBeScored(String json, String message) throws IOException {
        String file = write("ids.json", json);
        run("score", "embedded", "--ids", file, "--json").refused(BAD_FILE, file, message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\n", "  \n\n"})
    void refusesAnEmptyDataSet(String text) throws IOException {
        String file = write("a.jsonl", text);
        run("tokenize", "embedded", file, "--json").refused(BAD_FILE, file, "holds no line");
    }

    @Test
    void refusesAnEmptyText() throws IOException {
        String file = write("a.txt", "");
        run("score", "embedded", file).refused(BAD_FILE, file, "has 0 tokens");
    }

    @Test
    void namesTheLineThatIsBroken() throws IOException {
        String file = write("a.jsonl", "\n{\"text\": }\n");
        run("tokenize", "embedded", file).refused(BAD_FILE, file + ":2:10", "not valid JSON");
    }
}
