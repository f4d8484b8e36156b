package rqat.cli;

import static org.assertj.core.api.Assertions.assertThat;

import de.kherud.llama.InferenceParameters;
import de.kherud.llama.LlamaModel;
import de.kherud.llama.ModelParameters;
import de.kherud.llama.args.CacheType;
import de.kherud.llama.args.LogFormat;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.data.WordProblems;
import rqat.eval.EmbeddedTasks;
import rqat.eval.Prompt;
import rqat.eval.Task;
import rqat.export.ExportFormat;
import rqat.export.ExportSettings;
import rqat.export.Exporter;
import rqat.export.RandomModels;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.io.JsonFiles;
import rqat.recipe.Engines;
import rqat.recipe.Generate;
import rqat.run.Progress;
import rqat.run.RandomStream;
import rqat.text.Tokenizer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// llama.cpp, which nobody here wrote, opens our files, cuts texts as we do and answers as we do. Its low-bit products round activations to 8 bits in blocks of 32, so that
/// now and then another token is the most probable one; in a file of float32 weights it computes what we do.
///
/// The release on Maven Central knows Qwen2 and Llama. Qwen3, the architecture of the embedded model, takes a newer one: with node-llama-cpp installed
/// (`npm install --omit=optional node-llama-cpp@3.21.1 @node-llama-cpp/linux-x64@3.21.1`), `-Drqat.llama=node_modules/node-llama-cpp` runs that test too.
@Tag("slow")
class LlamaCppTest {
    private static final int TEXTS = 500;
    private static final int PROBLEMS = 50;
    private static final int LONGEST = 96;

    @TempDir
    Path directory;

    private static List<String> texts() {
        var texts = new ArrayList<String>();
        for (WordProblems.Problem problem : WordProblems.problems(WordProblems.Split.TEST, "hard", TEXTS / 2, 1)) texts.add(problem.prompt());
        var random = new RandomStream(7);
        String[] parts = {"Tom's", " 12,345", "\n\n", "  ", "<think>", "</think>\n", "\\boxed{7}", " na\u00efve", " \u65e5\u672c\u8a9e", "\uD83D\uDE00", "<|im_end|>", "\t", " x=3.5;",
            "WE'LL", " \u0416\u0443\u043a", "...", " 'tis", "a", "\r\n", " \u00bd\u0663"};
        while (texts.size() < TEXTS) {
            var text = new StringBuilder();
            for (int i = 1 + random.nextInt(12); i > 0; i--) text.append(parts[random.nextInt(parts.length)]);
            texts.add(text.toString());
        }
        return texts;
    }

    /// llama.cpp also stops at every token whose name says that a text ends, whatever the model's generation configuration says.
    private static List<Completion> greedy(Path model, Tokenizer tokenizer, List<String> prompts, int tokens) {
        var stops = new HashSet<>(tokenizer.stopIds());
        stops.add(tokenizer.encode("<|endoftext|>")[0]);
        return Generate.run(
                model,
                Engines.Settings.TORCH,
                _ -> {},
                prompts.stream().map(prompt -> new Request(tokenizer.encode(prompt), Sampling.greedy(tokens, stops), 1)).toList(),
                Listener.NONE);
    }

    /// The embedded model at 2 and 3 bits, distilled, as Q4_0.
    @ParameterizedTest
    @ValueSource(ints = {2, 3})
    void qwen3AnswersAsWeDo(int bits) throws Exception {
        String folder = System.getProperty("rqat.llama", "");
        Assumptions.assumeFalse(folder.isEmpty(), "no node-llama-cpp; see the comment of this class");
        String quantised = directory.resolve("quantised").toString(), model = directory.resolve("model").toString();
        Path file = directory.resolve("model.gguf");
        succeed("quantize", "embedded", quantised, "--method", "gptq", "--set", "quantise.bits=" + bits, "--set", "quantise.scale_type=bfloat16");
        succeed("distill", quantised, model, "--teacher", "embedded", "--set", "kd.batch=32", "--set", "kd.optimisation.steps=20",
                "--set", "kd.optimisation.micro_batch=32", "--set", "kd.optimisation.learning_rate=1e-4");
        succeed("export", model, file.toString(), "--format", "gguf");
        Tokenizer tokenizer = Tokenizer.load(Path.of(model));
        var task = (Task.Answering) EmbeddedTasks.of("medium", WordProblems.Split.TEST, PROBLEMS);
        List<String> prompts = task.problems().stream().map(problem -> ((Prompt.Text) problem.prompt()).text()).toList();
        JsonNode answer = ask(folder, file, prompts);

        for (int i = 0; i < TEXTS; i++) assertThat(ids(answer.path("ids").get(i))).as(texts().get(i)).isEqualTo(tokenizer.encode(texts().get(i)));
        List<Completion> ours = greedy(Path.of(model), tokenizer, prompts, LONGEST);
        int same = 0, solvedByUs = 0, solvedByThem = 0;
        for (int i = 0; i < PROBLEMS; i++) {
            String wanted = tokenizer.decode(ours.get(i).tokens(), true), found = tokenizer.decode(ids(answer.path("completions").get(i)), true);
            if (found.equals(wanted)) same++;
            if (solves(task, i, wanted)) solvedByUs++;
            if (solves(task, i, found)) solvedByThem++;
        }
        System.err.printf("W%d: %d of %d answers are the same, solved by us %d, by llama.cpp %d%n", bits, same, PROBLEMS, solvedByUs, solvedByThem);
        assertThat(same).isGreaterThanOrEqualTo((int) Math.ceil(0.95 * PROBLEMS));
        assertThat(100.0 * Math.abs(solvedByUs - solvedByThem) / PROBLEMS).isLessThanOrEqualTo(3);
    }

    private JsonNode ask(String folder, Path file, List<String> prompts) throws Exception {
        ObjectNode request = JsonFiles.object();
        texts().forEach(request.putArray("texts")::add);
        prompts.forEach(request.putArray("prompts")::add);
        request.put("tokens", LONGEST);
        Path requestFile = directory.resolve("request.json"), answerFile = directory.resolve("answer.json");
        JsonFiles.write(requestFile, request);
        Process process = new ProcessBuilder(
                        "node", Path.of(LlamaCppTest.class.getResource("/rqat/llama.mjs").toURI()).toString(),
                        Path.of(folder).toAbsolutePath().toString(), file.toString(), requestFile.toString(), answerFile.toString())
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor()).as(output).isZero();
        return JsonFiles.read(answerFile);
    }

    private static int[] ids(JsonNode array) {
        return array.valueStream().mapToInt(JsonNode::asInt).toArray();
    }

    private static boolean solves(Task.Answering task, int problem, String answer) {
        return task.verifier().verify(answer, false, task.problems().get(problem).gold()).correct();
    }

    private static void succeed(String... arguments) {
        Cli result = Cli.run(arguments);
        assertThat(result.code()).as(Arrays.toString(arguments) + "\n" + result.err()).isZero();
    }

    /// Random models, whose next token is a matter of small differences: from float32 weights and a float32 cache every one of 16 tokens is the same, whatever biases,
    /// rotations, their scaling and the order of rows do; from codes with 8-bit activations the first is, nearly always (how many of the later ones are depends on the CPU).
    @ParameterizedTest
    @ValueSource(strings = {"qwen2", "llama"})
    void olderArchitecturesComputeWhatWeDo(String family) {
        Path model = RandomModels.write(
                directory.resolve("model"), RandomModels.config(family, 128, 256), new GridSpec(3, 128, false, ScaleType.BFLOAT16), 1, ScalarType.Float, 0);
        Tokenizer tokenizer = Tokenizer.load(model);
        List<String> prompts = texts().subList(0, PROBLEMS);
        List<String> ours = greedy(model, tokenizer, prompts, 16).stream().map(completion -> tokenizer.decode(completion.tokens(), true)).toList();
        assertThat(new HashSet<>(ours)).hasSizeGreaterThan(PROBLEMS / 2);
        LlamaModel.setLogger(LogFormat.TEXT, (_, _) -> {});
        for (int bits : new int[] {32, 0}) {
            Path file = directory.resolve("model" + bits + ".gguf");
            Exporter.run(model, file, new ExportSettings(ExportFormat.GGUF, null, bits, false), Progress.silent());
            int same = 0, begun = 0;
            try (var llama = new LlamaModel(new ModelParameters().setModel(file.toString()).setThreads(1).setCtxSize(512)
                    .setCacheTypeK(CacheType.F32).setCacheTypeV(CacheType.F32).disableLog())) {
                for (String text : texts()) assertThat(llama.encode(text)).as(text).isEqualTo(tokenizer.encode(text));
                for (int i = 0; i < PROBLEMS; i++) {
                    String found = llama.complete(new InferenceParameters(prompts.get(i)).setTemperature(0).setNPredict(16).setCachePrompt(false));
                    if (found.equals(ours.get(i))) same++;
                    if (found.regionMatches(0, ours.get(i), 0, 1)) begun++;
                }
            }
            System.err.printf("%s, %s: %d of %d continuations are the same, %d begin alike%n", family, bits == 32 ? "float32" : "Q4_0", same, PROBLEMS, begun);
            if (bits == 32) assertThat(same).isEqualTo(PROBLEMS);
            else assertThat(begun).isGreaterThanOrEqualTo((int) Math.ceil(0.9 * PROBLEMS));
        }
    }
}
