package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import rqat.Fixtures;
import rqat.format.Provenance;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.LocalGenerator;
import rqat.generate.torch.TorchSteps;
import rqat.generate.torch.TorchScorer;
import rqat.format.Provenance;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.run.RandomStream;

/// Models of all families with 4-bit weights, activations, keys and values give a token the same log-probability whether the text is scored
/// at once or generated token by token, alone or in a batch.
class PrefillDecodeFixtureTest {
    private static final int SEQUENCES = 4;
    private static final int NEW_TOKENS = 24;
    private static final float TOLERANCE = 1e-4f;

    private static final Map<String, UnaryOperator<QuantisedModel>> VARIANTS = Map.of(
            "random transforms, 1 shard", full -> QuantisedActivations.of(full, 1, 17),
            "random transforms, 2 shards", full -> QuantisedActivations.of(full, 2, 17),
            "quarot", full -> quantised(full, QuaRot.paper(4, 1)),
            "flatquant", full -> quantised(full, flatQuant(FlatQuant.paper(4, 1))));

    private static Method flatQuant(FlatQuant paper) {
        return new FlatQuant(
                paper.grid(), paper.inputs(), paper.cache(), paper.shards(), 1, 4, paper.learningRate(), paper.clipLearningRate(), paper.weightDecay());
    }

    private static QuantisedModel quantised(QuantisedModel full, Method method) {
        return Quantiser.quantise(full, method, TinyModel.windows(full.config(), 8, 3), _ -> {});
    }

    @TempDir
    Path directory;

    @TestFactory
    Stream<DynamicTest> everyFamily() throws IOException {
        try (var paths = Files.list(Fixtures.path("models"))) {
            List<Path> models = paths.filter(path -> Files.exists(path.resolve("config.json"))).sorted().toList();
            assertThat(models).isNotEmpty();
            return models.stream()
                    .flatMap(path -> VARIANTS.entrySet().stream().map(variant -> DynamicTest.dynamicTest(
                            path.getFileName() + ", " + variant.getKey(), () -> check(path, variant.getKey(), variant.getValue()))));
        }
    }

    private void check(Path source, String variant, UnaryOperator<QuantisedModel> quantise) {
        Path saved = directory.resolve(source.getFileName() + "-" + variant);
        try (QuantisedModel full = ModelDirectory.load(source);
                QuantisedModel model = quantise.apply(full)) {
            ModelDirectory.save(model, saved, source, Provenance.UNKNOWN);
        }
        try (LoadedModel model = LoadedModel.open(saved)) {
            assertThat(model.decoder().config().layers()).isPositive();
            var random = new RandomStream(5);
            var sampling = new Sampling(1, 1, 0, NEW_TOKENS, Set.of());
            List<Request> requests = new ArrayList<>();
            for (int i = 0; i < SEQUENCES; i++) {
                int[] prompt = new int[3 + 9 * i];
                for (int t = 0; t < prompt.length; t++) prompt[t] = random.nextInt(model.decoder().config().vocabularySize());
                requests.add(new Request(prompt, sampling, 100 + i));
            }
            List<Completion> together = new LocalGenerator(() -> new TorchSteps(model.decoder(), 1 << 16), 4).generate(requests, Listener.NONE);
            List<int[]> texts = new ArrayList<>();
            for (int i = 0; i < SEQUENCES; i++) {
                Completion alone = new LocalGenerator(() -> new TorchSteps(model.decoder(), 1 << 16), 1)
                        .generate(List.of(requests.get(i)), Listener.NONE)
                        .getFirst();
                assertThat(alone.tokens()).isEqualTo(together.get(i).tokens());
                assertThat(alone.logProbabilities()).containsExactly(together.get(i).logProbabilities(), within(TOLERANCE));
                texts.add(joined(requests.get(i).prompt(), alone.tokens()));
            }
            List<float[]> batch = new TorchScorer(model.decoder(), 1 << 12).score(texts);
            for (int i = 0; i < SEQUENCES; i++) {
                float[] alone = new TorchScorer(model.decoder(), 1).score(List.of(texts.get(i))).getFirst();
                assertThat(alone).containsExactly(batch.get(i), within(TOLERANCE));
                float[] generated = Arrays.copyOfRange(alone, requests.get(i).prompt().length - 1, alone.length);
                assertThat(together.get(i).logProbabilities()).containsExactly(generated, within(TOLERANCE));
            }
        }
    }

    private static int[] joined(int[] prompt, int[] tokens) {
        int[] result = Arrays.copyOf(prompt, prompt.length + tokens.length);
        System.arraycopy(tokens, 0, result, prompt.length, tokens.length);
        return result;
    }
}
