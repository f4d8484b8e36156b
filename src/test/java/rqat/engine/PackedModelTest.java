package rqat.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.Fixtures;
import rqat.export.RandomModels;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.generate.Choice;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.LocalGenerator;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.generate.StepModel.Entry;
import rqat.generate.torch.TorchScorer;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;
import rqat.quant.LoadedModel;
import rqat.run.RandomStream;

/// The packed engine against the decoder on libtorch, and against itself: other batches, other threads, sampled and scored.
class PackedModelTest {
    /// Nats a token; float32 sums in another order.
    private static final float EXACT = 1e-4f;
    private static final Path EMBEDDED = Path.of("models/embedded");

    @TempDir
    Path directory;

    /// Every width, both kinds of grid, groups that fill blocks and chunks and groups that do not, whole rows, every family.
    @TestFactory
    Stream<DynamicTest> agreesWithLibtorch() {
        var tests = new ArrayList<DynamicTest>();
        int number = 0;
        for (int bits : new int[] {2, 3, 4, 5, 8}) {
            for (boolean symmetric : new boolean[] {true, false}) {
                for (int group : new int[] {0, 16, 48, 128}) {
                    // Qwen3's heads have 32 columns each whatever its width, which groups of 48 do not divide.
                    String family = group == 48 ? "qwen2" : RandomModels.FAMILIES.get(number++ % 3);
                    var grid = new GridSpec(bits, group, symmetric, ScaleType.FLOAT16);
                    // Whole rows of 160 columns are a chunk of 128 and one of 32; 100 fill no block.
                    String config = group == 128 ? RandomModels.config(family, 128, 384)
                            : group == 48 ? RandomModels.config(family, 96, 144)
                            : group == 16 ? RandomModels.config(family, 64, 160)
                            : RandomModels.config(family, 160, 100);
                    String name = "%s-w%d%s-g%d".formatted(family, bits, symmetric ? "s" : "a", group);
                    tests.add(DynamicTest.dynamicTest(name, () -> assertAgrees(
                            RandomModels.write(directory.resolve(name), config, grid, 1000 + bits, ScalarType.Float, 0.02f), EXACT)));
                }
            }
        }
        return tests.stream();
    }

    @Test
    void agreesWithLibtorchOnModelsThatAreNotQuantised() {
        assertAgrees(EMBEDDED, EXACT);
        for (String family : RandomModels.FAMILIES) assertAgrees(Fixtures.path("models/" + family), EXACT);
    }

    private static void assertAgrees(Path model, float tolerance) {
        try (var torch = LoadedModel.open(model); var packed = PackedModel.open(model, PackedModel.Settings.exact(2))) {
            List<int[]> sequences = sequences(packed.config().vocabularySize(), Math.min(200, packed.config().maxPositions()), 5, 8);
            List<float[]> expected = new TorchScorer(torch.decoder(), 4096).score(sequences);
            List<float[]> actual = new PackedScorer(packed).score(sequences);
            double spread = 0;
            for (int i = 0; i < sequences.size(); i++) {
                assertThat(actual.get(i)).as("sequence %d", i).containsExactly(expected.get(i), within(tolerance));
                for (float value : expected.get(i)) spread = Math.max(spread, Math.abs(value + Math.log(packed.config().vocabularySize())));
            }
            // A model whose every token is as probable as every other would agree with anything.
            assertThat(spread).isGreaterThan(1);
        }
    }

    private static List<int[]> sequences(int vocabulary, int longest, int count, long seed) {
        var random = new RandomStream(seed);
        var sequences = new ArrayList<int[]>();
        for (int i = 0; i < count; i++) {
            int[] tokens = new int[i == 0 ? longest : 1 + random.nextInt(longest)];
            for (int t = 0; t < tokens.length; t++) tokens[t] = random.nextInt(vocabulary);
            sequences.add(tokens);
        }
        return sequences;
    }

    /// Greedy continuations of the reference implementation, token for token.
    @ParameterizedTest
    @ValueSource(strings = {"qwen3", "qwen2", "llama"})
    void continuesAsTheReference(String family) {
        Path model = Fixtures.path("models/" + family);
        try (SafetensorsFile file = SafetensorsFile.open(model.resolve("golden.safetensors")); var packed = PackedModel.open(model, PackedModel.Settings.exact(2))) {
            Map<String, HostTensor> golden = file.tensors();
            List<String> names = golden.keySet().stream().filter(name -> name.matches("greedy\\d+\\.prompt")).map(name -> name.replace(".prompt", "")).toList();
            assertThat(names).isNotEmpty();
            List<Request> requests = names.stream().map(name -> new Request(
                    golden.get(name + ".prompt").toInts(), Sampling.greedy(golden.get(name + ".tokens").toInts().length, Set.of()), 0)).toList();
            List<Completion> completions = new LocalGenerator(() -> new PackedSteps(packed, 100_000), 8).generate(requests, Listener.NONE);
            for (int i = 0; i < names.size(); i++) {
                assertThat(completions.get(i).tokens()).isEqualTo(golden.get(names.get(i) + ".tokens").toInts());
                assertThat(completions.get(i).logProbabilities()).containsExactly(golden.get(names.get(i) + ".logprobs").toFloats(), within(EXACT));
            }
        }
    }

    /// Tokens and log-probabilities of a request have the same bits alone, beside others, with slots and pages that others had, after giving way, in another order, and on other numbers of threads; and they are
    /// those of scoring the whole.
    @ParameterizedTest
    @ValueSource(ints = {2, 3, 4, 8})
    void everyBitIsTheRequestsOwn(int bits) {
        Path model = RandomModels.write(directory.resolve("w" + bits), RandomModels.config("qwen3", 96, 160), new GridSpec(bits, 32, false, ScaleType.FLOAT16), 3, ScalarType.Float, 0.02f);
        var sampling = new Sampling(0.8, 0.97, 0, 40, Set.of(5, 17));
        var random = new RandomStream(11);
        var requests = new ArrayList<Request>();
        int[] prompt = {};
        for (int i = 0; i < 20; i++) {
            if (i == 0 || random.nextInt(3) > 0) {
                prompt = new int[1 + random.nextInt(70)];
                for (int t = 0; t < prompt.length; t++) prompt[t] = random.nextInt(448);
            }
            requests.add(new Request(prompt.clone(), sampling, i));
        }
        List<Completion> alone;
        try (var packed = PackedModel.open(model, PackedModel.Settings.exact(1))) {
            alone = requests.stream().map(request -> new LocalGenerator(() -> new PackedSteps(packed, 1 << 12), 1).generate(List.of(request), Listener.NONE).getFirst()).toList();
            // Greedy decoding and temperature 1 only report at temperature 1.
            for (int i = 0; i < requests.size(); i++) {
                var greedy = new Request(requests.get(i).prompt(), Sampling.greedy(20, Set.of()), 0);
                Completion completion = new LocalGenerator(() -> new PackedSteps(packed, 1 << 12), 1).generate(List.of(greedy), Listener.NONE).getFirst();
                int[] all = concatenated(greedy.prompt(), completion.tokens());
                float[] scored = new PackedScorer(packed).score(List.of(all)).getFirst();
                float[] tail = java.util.Arrays.copyOfRange(scored, greedy.prompt().length - 1, scored.length);
                assertThat(completion.logProbabilities()).containsExactly(tail, within(2e-6f));
            }
        }
        for (int threads : new int[] {1, 2, 3}) {
            try (var packed = PackedModel.open(model, PackedModel.Settings.exact(threads))) {
                assertEqual(alone, new LocalGenerator(() -> new PackedSteps(packed, 1 << 14), 20).generate(requests, Listener.NONE));
                assertEqual(alone, new LocalGenerator(() -> new PackedSteps(packed, 1 << 12), 3).generate(requests, Listener.NONE));
                assertEqual(alone, new LocalGenerator(() -> new PackedSteps(packed, 320), 20).generate(requests, Listener.NONE));
                var order = new ArrayList<>(IntStream.range(0, requests.size()).boxed().toList());
                Collections.shuffle(order, new java.util.Random(threads));
                List<Completion> shuffled = new LocalGenerator(() -> new PackedSteps(packed, 1 << 12), 7).generate(order.stream().map(requests::get).toList(), Listener.NONE);
                assertEqual(order.stream().map(alone::get).toList(), shuffled);
            }
        }
    }

    private static void assertEqual(List<Completion> expected, List<Completion> actual) {
        for (int i = 0; i < expected.size(); i++) {
            assertThat(actual.get(i).tokens()).as("request %d", i).isEqualTo(expected.get(i).tokens());
            assertThat(actual.get(i).logProbabilities()).as("request %d", i).isEqualTo(expected.get(i).logProbabilities());
        }
    }

    private static int[] concatenated(int[] a, int[] b) {
        int[] all = java.util.Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, all, a.length, b.length);
        return all;
    }

    /// Scored beside prompts that are not, with pages shared and passes that end within a prompt.
    @Test
    void promptsAreScoredWhileOthersEnter() {
        try (var packed = PackedModel.open(EMBEDDED, PackedModel.Settings.exact(2)); var steps = new PackedSteps(packed, 4096)) {
            List<int[]> prompts = sequences(448, 150, 9, 14);
            List<float[]> expected = new PackedScorer(packed).score(prompts);
            List<List<Choice>> scores = steps.enter(IntStream.range(0, prompts.size())
                    .mapToObj(i -> new Entry(prompts.get(i), prompts.get(i).length - 1, -1, i % 3 > 0, i % 3 == 1 ? 448 : 0)).toList());
            for (int i = 0; i < prompts.size(); i++) {
                assertThat(scores.get(i)).hasSize(i % 3 > 0 ? prompts.get(i).length - 1 : 0);
                for (int t = 0; t < scores.get(i).size(); t++) {
                    Choice choice = scores.get(i).get(t);
                    assertThat(choice.token()).isEqualTo(prompts.get(i)[t + 1]);
                    assertThat(choice.logProbability()).isEqualTo(expected.get(i)[t]);
                    if (i % 3 != 1) continue;
                    assertThat(choice.alternatives()).contains(new Choice.Alternative(choice.token(), choice.logProbability()));
                    assertThat(choice.alternatives().stream().mapToDouble(other -> Math.exp(other.logProbability())).sum()).isCloseTo(1, within(1e-5));
                }
            }
        }
    }

    /// The head in 16 and 8 bits changes log-probabilities by what is written down in docs/engine.md, and says so.
    @Test
    void theHeadMayBeRounded() {
        Path model = RandomModels.write(directory.resolve("head"), RandomModels.config("qwen2", 128, 256), new GridSpec(3, 128, false, ScaleType.FLOAT16), 5, ScalarType.Float, 0.02f);
        List<int[]> sequences = sequences(448, 100, 4, 2);
        float[][] worst = new float[3][1];
        List<float[]> exact = null;
        for (HeadFormat head : HeadFormat.values()) {
            try (var packed = PackedModel.open(model, new PackedModel.Settings(2, head, CacheFormat.FLOAT32))) {
                assertThat(packed.headBits()).isEqualTo(switch (head) {
                    case STORED -> 32;
                    case BFLOAT16 -> 16;
                    case INT8 -> 8;
                });
                List<float[]> scores = new PackedScorer(packed).score(sequences);
                if (exact == null) exact = scores;
                for (int i = 0; i < scores.size(); i++) {
                    for (int t = 0; t < scores.get(i).length; t++) worst[head.ordinal()][0] = Math.max(worst[head.ordinal()][0], Math.abs(scores.get(i)[t] - exact.get(i)[t]));
                }
            }
        }
        assertThat(worst[1][0]).isBetween(1e-5f, 0.05f);
        assertThat(worst[2][0]).isBetween(1e-5f, 0.2f);
    }

    /// Rounded keys and values change log-probabilities as much as their rounding says, the same for a token whether scored or sampled, and beside others.
    @ParameterizedTest
    @EnumSource(value = CacheFormat.class, mode = EnumSource.Mode.EXCLUDE, names = "FLOAT32")
    void keysAndValuesMayBeRounded(CacheFormat format) {
        // Heads of 32 and of 24 columns.
        for (String family : List.of("qwen3", "llama")) {
            Path model = RandomModels.write(directory.resolve(family + format), RandomModels.config(family, 96, 160), new GridSpec(3, 32, false, ScaleType.FLOAT16), 3, ScalarType.Float, 0.02f);
            List<int[]> sequences = sequences(448, 128, 5, 3);
            List<float[]> exact;
            try (var packed = PackedModel.open(model, PackedModel.Settings.exact(2))) {
                exact = new PackedScorer(packed).score(sequences);
            }
            try (var packed = PackedModel.open(model, new PackedModel.Settings(2, HeadFormat.STORED, format))) {
                List<float[]> rounded = new PackedScorer(packed).score(sequences);
                double worst = 0;
                for (int i = 0; i < exact.size(); i++) {
                    for (int t = 0; t < exact.get(i).length; t++) worst = Math.max(worst, Math.abs(exact.get(i)[t] - rounded.get(i)[t]));
                }
                assertThat(worst).isBetween(
                        switch (format) {
                            case FLOAT16 -> 1e-5;
                            case INT8 -> 1e-4;
                            default -> 1e-3;
                        },
                        switch (format) {
                            case FLOAT16 -> 0.01;
                            case INT8 -> 0.1;
                            default -> 2.0;
                        });
                List<Request> requests = sequences.stream().filter(tokens -> tokens.length < 100).map(tokens -> new Request(tokens, Sampling.greedy(20, Set.of()), 0)).toList();
                List<Completion> together = new LocalGenerator(() -> new PackedSteps(packed, 1 << 12), 5).generate(requests, Listener.NONE);
                for (int i = 0; i < requests.size(); i++) {
                    int[] all = concatenated(requests.get(i).prompt(), together.get(i).tokens());
                    float[] scored = new PackedScorer(packed).score(List.of(all)).getFirst();
                    assertThat(together.get(i).logProbabilities())
                            .containsExactly(java.util.Arrays.copyOfRange(scored, requests.get(i).prompt().length - 1, scored.length), within(2e-6f));
                }
            }
        }
    }

    @Test
    void aCodeThatIsNotOnItsGridIsNamed() throws Exception {
        Path model = RandomModels.write(directory.resolve("bad"), RandomModels.config("qwen3", 64, 64), new GridSpec(3, 0, true, ScaleType.FLOAT32), 5, ScalarType.Float, 0.02f);
        Path codes = model.resolve("quantization").resolve("codes.safetensors");
        byte[] bytes = Files.readAllBytes(codes);
        String header = new String(bytes, 8, (int) java.nio.ByteBuffer.wrap(bytes).order(java.nio.ByteOrder.LITTLE_ENDIAN).getLong(0), java.nio.charset.StandardCharsets.UTF_8);
        var matcher = java.util.regex.Pattern.compile("\"model.layers.1.mlp.up_proj.weight.codes\":\\{[^}]*\"data_offsets\":\\[(\\d+)").matcher(header);
        assertThat(matcher.find()).isTrue();
        bytes[8 + header.getBytes(java.nio.charset.StandardCharsets.UTF_8).length + Integer.parseInt(matcher.group(1)) + 64 * 7 + 9] = 4;
        Files.write(codes, bytes);
        assertThatThrownBy(() -> PackedModel.open(model, PackedModel.Settings.exact(2)))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("model.layers.1.mlp.up_proj.weight.codes")
                .hasMessageContaining("holds 4 at [7, 9]");
    }
}
