package rqat.generate.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import rqat.Failure;
import rqat.generate.Completion;
import rqat.generate.Generator;
import rqat.generate.Listener;
import rqat.generate.LocalGenerator;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.generate.StopReason;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Sites;
import rqat.tensor.Torch;

class LocalGeneratorTest {
    private static final Sampling SAMPLING = new Sampling(0.8, 1, 0, 24, Set.of(5, 17));

    private final TinyModel model = TinyModel.of(ModelConfig.Family.QWEN3, 1, ScalarType.Float);

    private static Generator generator(Decoder decoder, int maxBatch, long capacity) {
        return new LocalGenerator(() -> new TorchSteps(decoder, capacity), maxBatch);
    }

    @AfterEach
    void close() {
        model.close();
    }

    @ParameterizedTest
    @EnumSource(ModelConfig.Family.class)
    void logProbabilitiesAreThoseOfScoringTheWholeSequence(ModelConfig.Family family) {
        try (TinyModel model = TinyModel.of(family, 3, ScalarType.Float)) {
            Decoder decoder = model.decoder();
            List<Request> requests = TinyModel.requests(20, SAMPLING, 11);
            assertScoresAgree(decoder, requests, generator(decoder, 7, 10_000), 1e-4f);
            assertScoresAgree(decoder, requests, generator(decoder, 1, 10_000), 1e-4f);
        }
    }

    @Test
    void truncatedSamplingReportsUntruncatedProbabilities() {
        Sampling narrow = new Sampling(0.6, 0.9, 8, 24, Set.of());
        assertScoresAgree(model.decoder(), TinyModel.requests(9, narrow, 4), generator(model.decoder(), 4, 10_000), 1e-4f);
    }

    @Test
    void lowPrecisionAgreesWithinItsRounding() {
        try (TinyModel low = TinyModel.of(ModelConfig.Family.QWEN3, 1, ScalarType.BFloat16)) {
            assertScoresAgree(low.decoder(), TinyModel.requests(12, SAMPLING, 8), generator(low.decoder(), 5, 10_000), 0.25f);
        }
    }

    @Test
    void fastProductsAgreeWithinTheirRounding() {
        Torch.compute(Torch.Compute.FAST_FLOAT32);
        try {
            assertScoresAgree(model.decoder(), TinyModel.requests(12, SAMPLING, 8), generator(model.decoder(), 5, 10_000), 0.25f);
        } finally {
            Torch.compute(Torch.Compute.FLOAT32);
        }
    }

    private static void assertScoresAgree(
            Decoder decoder, List<Request> requests, Generator generator, float tolerance) {
        List<Completion> completions = generator.generate(requests, Listener.NONE);
        assertThat(completions).hasSameSizeAs(requests);
        for (int i = 0; i < requests.size(); i++) {
            Completion completion = completions.get(i);
            float[] expected = TinyModel.score(decoder, requests.get(i).prompt(), completion.tokens(), requests.get(i).sampling().temperature());
            assertThat(completion.logProbabilities()).as("request %d", i).containsExactly(expected, within(tolerance));
        }
    }

    @Test
    void aSampleDoesNotDependOnWhatIsGeneratedBesideIt() {
        List<Request> requests = TinyModel.requests(30, SAMPLING, 21);
        List<Completion> together = generator(model.decoder(), 30, 10_000).generate(requests, Listener.NONE);
        List<Completion> fewSlots = generator(model.decoder(), 4, 10_000).generate(requests, Listener.NONE);
        List<Completion> smallCache = generator(model.decoder(), 30, 100).generate(requests, Listener.NONE);
        var order = new ArrayList<>(IntStream.range(0, requests.size()).boxed().toList());
        Collections.shuffle(order, new java.util.Random(5));
        List<Completion> shuffled = generator(model.decoder(), 6, 10_000)
                .generate(order.stream().map(requests::get).toList(), Listener.NONE);
        for (int i = 0; i < requests.size(); i++) {
            Completion alone = generator(model.decoder(), 1, 10_000)
                    .generate(List.of(requests.get(i)), Listener.NONE)
                    .getFirst();
            for (Completion other : List.of(together.get(i), fewSlots.get(i), smallCache.get(i), shuffled.get(order.indexOf(i)))) {
                assertThat(other.tokens()).as("request %d", i).isEqualTo(alone.tokens());
                assertThat(other.stop()).isEqualTo(alone.stop());
                assertThat(other.logProbabilities()).containsExactly(alone.logProbabilities(), within(1e-4f));
            }
        }
    }

    @Test
    void repetitionIsExact() {
        List<Request> requests = TinyModel.requests(25, SAMPLING, 2);
        var generator = generator(model.decoder(), 6, 10_000);
        List<Completion> first = generator.generate(requests, Listener.NONE);
        List<Completion> second = generator.generate(requests, Listener.NONE);
        for (int i = 0; i < requests.size(); i++) {
            assertThat(second.get(i).tokens()).isEqualTo(first.get(i).tokens());
            assertThat(second.get(i).logProbabilities()).isEqualTo(first.get(i).logProbabilities());
        }
    }

    @Test
    void samplesOfOnePromptDifferByTheirSeedOnly() {
        int[] prompt = {3, 1, 4, 1, 5};
        List<Request> requests = IntStream.range(0, 16).mapToObj(i -> new Request(prompt, SAMPLING, i % 8)).toList();
        List<Completion> completions = generator(model.decoder(), 16, 10_000).generate(requests, Listener.NONE);
        for (int i = 0; i < 8; i++) assertThat(completions.get(i + 8).tokens()).isEqualTo(completions.get(i).tokens());
        assertThat(completions.stream().map(completion -> Arrays.toString(completion.tokens())).distinct().count())
                .isGreaterThan(6);
    }

    @Test
    void completionsEndAtAStopTokenTheirLimitOrTheContext() {
        int[] longPrompt = new int[TinyModel.CONTEXT - 3];
        List<Request> requests = new ArrayList<>(TinyModel.requests(40, SAMPLING, 6));
        requests.add(new Request(longPrompt, SAMPLING, 1));
        requests.add(new Request(Arrays.copyOf(longPrompt, TinyModel.CONTEXT - 1), SAMPLING, 1));
        List<Completion> completions = generator(model.decoder(), 8, 10_000).generate(requests, Listener.NONE);
        var reasons = new java.util.EnumMap<StopReason, Integer>(StopReason.class);
        for (int i = 0; i < requests.size(); i++) {
            int[] tokens = completions.get(i).tokens();
            int room = Math.min(SAMPLING.maxNewTokens(), TinyModel.CONTEXT - requests.get(i).prompt().length);
            assertThat(Arrays.stream(tokens, 0, tokens.length - 1)).noneMatch(SAMPLING.stopIds()::contains);
            boolean stopped = SAMPLING.stopIds().contains(tokens[tokens.length - 1]);
            assertThat(completions.get(i).stop()).isEqualTo(stopped ? StopReason.STOP_TOKEN : StopReason.LENGTH);
            if (!stopped) assertThat(tokens).hasSize(room);
            assertThat(tokens.length).isLessThanOrEqualTo(room);
            reasons.merge(completions.get(i).stop(), 1, Integer::sum);
        }
        assertThat(reasons.keySet()).containsExactly(StopReason.STOP_TOKEN, StopReason.LENGTH);
        assertThat(completions.getLast().tokens()).hasSize(1);
    }

    @Test
    void aRequestMayHaveALimitOfItsOwn() {
        Sampling endless = new Sampling(0.8, 1, 0, 1000, Set.of());
        Request request = TinyModel.requests(1, endless, 5).getFirst();
        var generator = generator(model.decoder(), 2, 10_000);
        int length = request.prompt().length;
        List<Completion> completions = generator.generate(
                List.of(request, new Request(request.prompt(), endless, request.seed(), length + 5)), Listener.NONE);
        assertThat(completions.get(0).tokens()).hasSize(TinyModel.CONTEXT - length);
        assertThat(completions.get(1).tokens()).hasSize(5).isEqualTo(java.util.Arrays.copyOf(completions.get(0).tokens(), 5));
        assertThat(completions.get(1).stop()).isEqualTo(StopReason.LENGTH);
        assertThatThrownBy(() -> generator.generate(List.of(new Request(request.prompt(), endless, 1, length)), Listener.NONE))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("its limit of " + length);
    }

    @Test
    void theBatchStaysFullAndWithinItsLimits() {
        List<Integer> decoded = new ArrayList<>();
        Sites counting = new Sites() {
            @Override
            public Tensor attentionInput(int layer, Tensor x) {
                if (layer == 0 && x.size(1) == 1) decoded.add((int) x.size(0));
                return x;
            }
        };
        List<Request> requests = TinyModel.requests(40, SAMPLING, 9);
        List<Completion> completions =
                generator(model.decoder(counting), 8, 10_000).generate(requests, Listener.NONE);
        int tokens = completions.stream().mapToInt(completion -> completion.tokens().length).sum();
        // Prompts of two tokens also look like one-token rows when their first token is prefilled, once a prompt at most.
        assertThat(decoded.stream().mapToInt(Integer::intValue).sum()).isBetween(tokens, tokens + requests.size());
        assertThat(decoded).allMatch(rows -> rows <= 8);
        // Until the last 8 requests are in flight, every step decodes 8 rows.
        long full = decoded.stream().filter(rows -> rows == 8).count();
        assertThat(8 * full).isGreaterThan(tokens - 8L * SAMPLING.maxNewTokens());

        decoded.clear();
        // 44 tokens at most each (prompt 20, new 24), so that 100 surely hold two; they are let in by what they have, so there are more.
        generator(model.decoder(counting), 8, 100).generate(requests, Listener.NONE);
        assertThat(decoded).anyMatch(rows -> rows >= 4);
    }

    /// Sixty sequences of 2 to 90 tokens through a cache of 200 ([KvCache#reserve] refuses more): many times its size, so what ended sequences
    /// held is used again, and sequences that grew too long together are filled in again from what they had.
    @Test
    void aSmallCacheServesManySequencesOfDifferentLengthsAlike() {
        List<Request> requests = new ArrayList<>();
        Set<List<Integer>> prompts = new HashSet<>();
        Sampling untilTheLimit = new Sampling(0.8, 1, 0, 1000, Set.of(5));
        for (Request request : TinyModel.requests(90, SAMPLING, 31)) {
            // Every prompt once: samples of one prompt are filled in once for all, which would hide those that are filled in again.
            if (!prompts.add(Arrays.stream(request.prompt()).boxed().toList())) continue;
            int length = request.prompt().length;
            requests.add(new Request(request.prompt(), untilTheLimit, request.seed(), Math.min(length + 1 + requests.size() * 7 % 70, TinyModel.CONTEXT)));
        }
        int budget = 200;
        int[] filled = {0};
        Sites counting = new Sites() {
            @Override
            public Tensor attentionInput(int layer, Tensor x) {
                if (layer == 0 && x.size(1) > 1) filled[0] += (int) x.size(0);
                return x;
            }
        };
        List<Completion> large = generator(model.decoder(), 60, 100_000).generate(requests, Listener.NONE);
        List<Completion> small = generator(model.decoder(counting), 60, budget).generate(requests, Listener.NONE);
        for (int i = 0; i < requests.size(); i++) {
            assertThat(small.get(i).tokens()).as("request %d", i).isEqualTo(large.get(i).tokens());
            assertThat(small.get(i).stop()).isEqualTo(large.get(i).stop());
            assertThat(small.get(i).logProbabilities()).containsExactly(large.get(i).logProbabilities(), within(1e-4f));
        }
        int tokens = large.stream().mapToInt(completion -> completion.tokens().length).sum();
        assertThat(tokens).as("tokens in all").isGreaterThan(5 * budget);
        assertThat(filled[0]).as("sequences filled in, some of them again").isGreaterThan(requests.size());
    }

    @Test
    void listenersHearEveryTokenInOrderAndEveryCompletionOnce() {
        List<Request> requests = TinyModel.requests(12, SAMPLING, 13);
        List<List<Integer>> heard = new ArrayList<>();
        requests.forEach(_ -> heard.add(new ArrayList<>()));
        Completion[] completed = new Completion[requests.size()];
        List<Completion> completions = generator(model.decoder(), 5, 10_000).generate(requests, new Listener() {
            @Override
            public void token(int request, int token) {
                assertThat(completed[request]).isNull();
                heard.get(request).add(token);
            }

            @Override
            public void completed(int request, Completion completion) {
                assertThat(completed[request]).isNull();
                completed[request] = completion;
            }
        });
        for (int i = 0; i < requests.size(); i++) {
            assertThat(completed[i]).isSameAs(completions.get(i));
            assertThat(heard.get(i).stream().mapToInt(Integer::intValue).toArray()).isEqualTo(completions.get(i).tokens());
        }
    }

    @Test
    void leavesNothingBehind() {
        var generator = generator(model.decoder(), 6, 10_000);
        generator.generate(TinyModel.requests(3, SAMPLING, 1), Listener.NONE);
        long before = Pointer.totalCount();
        generator.generate(TinyModel.requests(20, SAMPLING, 2), Listener.NONE);
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
        assertThatThrownBy(() -> generator.generate(TinyModel.requests(20, SAMPLING, 2), new Listener() {
                    @Override
                    public void completed(int request, Completion completion) {
                        throw new IllegalStateException("enough");
                    }
                }))
                .hasMessage("enough");
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
    }

    @Test
    void interruptionStopsWithinAToken() {
        var generator = generator(model.decoder(), 6, 10_000);
        int[] tokens = {0};
        assertThatThrownBy(() -> generator.generate(TinyModel.requests(20, SAMPLING, 2), new Listener() {
                    @Override
                    public void token(int request, int token) {
                        if (++tokens[0] == 50) Thread.currentThread().interrupt();
                    }
                }))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.INTERRUPTED))
                .hasMessageContaining("of 20 completions");
        assertThat(tokens[0]).isLessThan(50 + 6);
        assertThat(Thread.currentThread().isInterrupted()).isFalse();
    }

    @Test
    void refusesRequestsThatCannotBeServed() {
        var generator = generator(model.decoder(), 6, 60);
        assertUsage(generator, new int[] {}, "request 1 has an empty prompt");
        assertUsage(generator, new int[TinyModel.CONTEXT], "request 1 has 96 tokens", "context of 96");
        assertUsage(generator, new int[] {1, TinyModel.VOCABULARY}, "token 61", "0 to 60");
        assertUsage(generator, new int[] {-1}, "token -1");
        assertUsage(generator, new int[40], "64 tokens", "budget of 60");
        var config = model.decoder().config();
        double bytes = 60 * 2.0 * config.layers() * config.keyValueHeads() * config.headDimension() * Float.BYTES;
        assertUsage(new LocalGenerator(() -> TorchSteps.within(model.decoder(), bytes / (1L << 30)), 6), new int[40], "64 tokens", "budget of 60");
        assertThatThrownBy(() -> generator(model.decoder(), 0, 60)).isInstanceOf(Failure.class);
    }

    private static void assertUsage(Generator generator, int[] prompt, String... parts) {
        List<Request> requests = List.of(new Request(new int[] {1}, SAMPLING, 0), new Request(prompt, SAMPLING, 0));
        assertThatThrownBy(() -> generator.generate(requests, Listener.NONE))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.USAGE))
                .hasMessageContainingAll(parts);
    }

    @Test
    void refusesAModelWhoseLogitsAreNotNumbers() {
        try (TinyModel broken = TinyModel.of(ModelConfig.Family.QWEN3, 1, ScalarType.Float)) {
            broken.tensors().get(ModelConfig.FINAL_NORM).fill_(new org.bytedeco.pytorch.Scalar(Double.NaN));
            assertThatThrownBy(() -> generator(broken.decoder(), 6, 1000)
                            .generate(TinyModel.requests(2, SAMPLING, 2), Listener.NONE))
                    .isInstanceOf(Failure.class)
                    .hasMessageContaining("not finite");
        }
    }

    @Test
    void refusesSamplingOutOfRange() {
        assertThatThrownBy(() -> new Sampling(-1, 1, 0, 1, Set.of())).isInstanceOf(Failure.class).hasMessageContaining("temperature");
        assertThatThrownBy(() -> new Sampling(Double.NaN, 1, 0, 1, Set.of())).isInstanceOf(Failure.class).hasMessageContaining("temperature");
        assertThatThrownBy(() -> new Sampling(1, 0, 0, 1, Set.of())).isInstanceOf(Failure.class).hasMessageContaining("top-p");
        assertThatThrownBy(() -> new Sampling(1, 1, -1, 1, Set.of())).isInstanceOf(Failure.class).hasMessageContaining("top-k");
        assertThatThrownBy(() -> new Sampling(1, 1, 0, 0, Set.of())).isInstanceOf(Failure.class).hasMessageContaining("max new tokens");
    }

    @Test
    void nothingRequestedNothingDone() {
        assertThat(generator(model.decoder(), 6, 60).generate(List.of(), Listener.NONE)).isEmpty();
    }
}
