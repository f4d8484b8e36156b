package rqat.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import rqat.Failure;
import rqat.Property;
import rqat.generate.Request.Details;
import rqat.run.RandomStream;
import rqat.text.Tokenizer;

/// The scheduler over a model whose distributions have a closed form, against requests sampled one by one from that form.
class SchedulerTest {
    private static final Tokenizer TOKENIZER = Tokenizer.load(Path.of("models/embedded"));
    private static final int VOCABULARY = 300;
    private static final int CONTEXT = 60;
    private static final Sampling SAMPLING = new Sampling(1, 1, 0, 10, Set.of());

    /// All that was told of a request; complains of what comes after its end.
    private static class Record implements RequestListener {
        @Nullable List<Choice> prompt;
        final List<Choice> choices = new ArrayList<>();
        final StringBuilder text = new StringBuilder();
        @Nullable Completion completion;
        @Nullable Failure failure;

        private void going() {
            assertThat(ended()).as("nothing after the end").isFalse();
        }

        boolean ended() {
            return completion != null || failure != null;
        }

        @Override
        public void prompt(List<Choice> told) {
            going();
            assertThat(prompt).isNull();
            assertThat(choices).isEmpty();
            prompt = told;
        }

        @Override
        public void token(Choice choice, String piece) {
            going();
            choices.add(choice);
            text.append(piece);
        }

        @Override
        public void completed(Completion told) {
            going();
            completion = told;
        }

        @Override
        public void failed(Failure told) {
            going();
            failure = told;
        }

        int[] tokens() {
            return choices.stream().mapToInt(Choice::token).toArray();
        }
    }

    /// What a request gives by itself, from its definition.
    private record Lone(int[] tokens, List<Choice> choices, StopReason stop, String text) {
        static Lone of(Request request) {
            Sampling sampling = request.sampling();
            var random = new RandomStream(request.seed());
            var sequence = new ArrayList<>(ClosedForm.boxed(request.prompt()));
            int limit = Math.min(Math.min(CONTEXT, request.limit()), request.prompt().length + sampling.maxNewTokens());
            var choices = new ArrayList<Choice>();
            StopReason stop = null;
            String text = "";
            while (stop == null) {
                float[] row = ClosedForm.row(sequence, VOCABULARY, sampling.divisor());
                int token = TokenChooser.choose(sampling, row, random.nextDouble());
                sequence.add(token);
                choices.add(new Choice(token, (float) Math.log(row[token]), List.of()));
                boolean stops = sampling.stopIds().contains(token);
                int[] told = choices.stream().limit(stops ? choices.size() - 1 : choices.size()).mapToInt(Choice::token).toArray();
                text = TOKENIZER.decode(told, true);
                String so = text;
                int cut = sampling.stopTexts().stream().mapToInt(so::indexOf).filter(place -> place >= 0).min().orElse(-1);
                if (stops) {
                    stop = StopReason.STOP_TOKEN;
                } else if (cut >= 0) {
                    stop = StopReason.STOP_TEXT;
                    text = text.substring(0, cut);
                } else if (sequence.size() == limit) {
                    stop = StopReason.LENGTH;
                }
            }
            return new Lone(choices.stream().mapToInt(Choice::token).toArray(), choices, stop, text);
        }
    }

    private static void run(Scheduler scheduler) {
        while (scheduler.step()) {}
    }

    private static Request request(long seed, int... prompt) {
        return new Request(prompt, SAMPLING, seed);
    }

    /// Prompts of 1 to 20 tokens, some of them shared; samplings of every kind.
    private static Request random(RandomStream random, @Nullable Request previous) {
        int[] prompt = new int[1 + random.nextInt(20)];
        for (int t = 0; t < prompt.length; t++) prompt[t] = random.nextInt(VOCABULARY);
        if (previous != null && random.nextInt(3) == 0) prompt = previous.prompt();
        boolean text = random.nextBoolean();
        var stopTexts = new ArrayList<String>();
        for (int i = text ? random.nextInt(8) : 0; i > 0; i--) {
            // Of one token, or of parts of several.
            String some = TOKENIZER.decode(new int[] {random.nextInt(VOCABULARY), random.nextInt(VOCABULARY)}, true);
            if (some.indexOf('\uFFFD') < 0 && !some.isEmpty()) stopTexts.add(some.substring(0, 1 + random.nextInt(Math.min(2, some.length()))));
        }
        var sampling = new Sampling(
                random.nextInt(4) == 0 ? 0 : 0.3 + random.nextDouble(),
                random.nextBoolean() ? 1 : 0.5 + random.nextDouble() / 2,
                random.nextInt(3) == 0 ? 1 + random.nextInt(30) : 0,
                1 + random.nextInt(55),
                random.nextInt(3) > 0 ? Set.of() : Set.of(random.nextInt(VOCABULARY / 2), VOCABULARY / 2 + random.nextInt(VOCABULARY / 2)),
                stopTexts);
        var details = new Details(text ? () -> TOKENIZER.detokenizer(true) : null, random.nextInt(3) == 0 ? 3 : 0, random.nextInt(4) == 0);
        int limit = random.nextInt(4) == 0 ? prompt.length + 1 + random.nextInt(20) : Integer.MAX_VALUE;
        return new Request(prompt, sampling, random.nextLong(), limit, details);
    }

    private static void assertLone(Request request, Record record) {
        Lone lone = Lone.of(request);
        assertThat(record.failure).isNull();
        assertThat(record.completion).isNotNull();
        assertThat(record.completion.stop()).isEqualTo(lone.stop);
        assertThat(record.completion.tokens()).isEqualTo(lone.tokens).isEqualTo(record.tokens());
        for (int t = 0; t < lone.tokens.length; t++) {
            assertThat(record.completion.logProbabilities()[t]).isEqualTo(lone.choices.get(t).logProbability());
            assertThat(record.choices.get(t).logProbability()).isEqualTo(lone.choices.get(t).logProbability());
        }
        assertThat(record.text.toString()).isEqualTo(request.details().text() == null ? "" : lone.text);
    }

    /// However requests come, are cancelled, fail, throw and crowd each other out: each that is left alone ends as if it were the only one.
    @Test
    void everyRequestEndsAsIfItWereAlone() {
        var stops = new AtomicInteger();
        var returns = new AtomicInteger();
        Property.forAll(150, random -> {
            var model = new ClosedForm(VOCABULARY, CONTEXT, CONTEXT + random.nextInt(random.nextBoolean() ? 60 : 400));
            int maxBatch = 1 + random.nextInt(12);
            var requests = new ArrayList<Request>();
            var records = new ArrayList<Record>();
            var handles = new ArrayList<Scheduler.Handle>();
            var cancelled = new ArrayList<Integer>();
            var throwing = new ArrayList<Integer>();
            int count = 1 + random.nextInt(25);
            model.undefined.add(7);
            try (var scheduler = new Scheduler(model, maxBatch)) {
                boolean left = true;
                while (left || requests.size() < count) {
                    while (requests.size() < count && random.nextInt(3) > 0) {
                        Request request = random(random, requests.isEmpty() ? null : requests.getLast());
                        boolean throwsUp = random.nextInt(8) == 0;
                        int after = random.nextInt(5);
                        var record = new Record() {
                            @Override
                            public void token(Choice choice, String piece) {
                                super.token(choice, piece);
                                if (throwsUp && choices.size() > after) throw new IllegalStateException("enough");
                            }
                        };
                        if (throwsUp) throwing.add(requests.size());
                        requests.add(request);
                        records.add(record);
                        handles.add(scheduler.submit(request, record));
                    }
                    if (!handles.isEmpty() && random.nextInt(12) == 0) {
                        int victim = random.nextInt(handles.size());
                        handles.get(victim).cancel();
                        cancelled.add(victim);
                    }
                    left = scheduler.step();
                }
                assertThat(scheduler.load().running() + scheduler.load().waiting()).isZero();
                assertThat(scheduler.load().tokens()).isEqualTo(records.stream().mapToInt(record -> record.choices.size()).sum());
                returns.addAndGet((int) scheduler.load().returns());
            }
            assertThat(model.mostRows).isLessThanOrEqualTo(maxBatch);
            assertThat(model.closed).isTrue();
            for (int i = 0; i < requests.size(); i++) {
                Request request = requests.get(i);
                Record record = records.get(i);
                Lone lone = Lone.of(request);
                assertThat(record.ended()).isTrue();
                if (record.completion != null && record.completion.stop() == StopReason.STOP_TEXT) stops.incrementAndGet();
                boolean aborted = record.completion != null && record.completion.stop() == StopReason.ABORTED;
                if (request.prompt()[0] == 7 && !aborted) {
                    assertThat(record.failure).hasMessageContaining("logits for request %d, position %d are not finite".formatted(i, request.prompt().length));
                } else if (aborted || record.failure != null) {
                    if (aborted) assertThat(cancelled).contains(i);
                    else assertThat(throwing).contains(i);
                    if (aborted) assertThat(record.completion.tokens()).isEqualTo(record.tokens());
                    else assertThat(record.failure).hasMessageContaining("request " + i).hasMessageContaining("enough");
                    assertThat(record.tokens()).isEqualTo(Arrays.copyOf(lone.tokens, record.choices.size()));
                } else {
                    assertLone(request, record);
                }
                assertDetails(request, record);
            }
        });
        if (System.getProperty("seed") != null) return;
        // The cases are worth something: many ended at a stop text, some left for lack of room.
        assertThat(stops.get()).isGreaterThan(50);
        assertThat(returns.get()).isGreaterThan(20);
    }

    /// Alternatives and scores of prompts, where they were asked for, are those of the closed form.
    private static void assertDetails(Request request, Record record) {
        int wanted = request.details().alternatives();
        List<Integer> prompt = ClosedForm.boxed(request.prompt());
        if (!request.details().prompt()) assertThat(record.prompt).isNull();
        if (record.prompt != null) {
            assertThat(record.prompt).hasSize(prompt.size() - 1);
            for (int t = 1; t < prompt.size(); t++) assertChoice(record.prompt.get(t - 1), prompt.get(t), prompt.subList(0, t), 1, wanted);
        }
        var sequence = new ArrayList<>(prompt);
        for (Choice choice : record.choices) {
            assertChoice(choice, choice.token(), sequence, request.sampling().divisor(), wanted);
            sequence.add(choice.token());
        }
    }

    private static void assertChoice(Choice choice, int token, List<Integer> before, double divisor, int alternatives) {
        float[] row = ClosedForm.row(before, VOCABULARY, divisor);
        assertThat(choice.token()).isEqualTo(token);
        assertThat(choice.logProbability()).isEqualTo((float) Math.log(row[token]));
        assertThat(choice.alternatives()).hasSize(alternatives);
        float last = 0;
        for (Choice.Alternative alternative : choice.alternatives()) {
            assertThat(alternative.logProbability()).isEqualTo((float) Math.log(row[alternative.token()])).isLessThanOrEqualTo(last);
            last = alternative.logProbability();
        }
        int better = 0;
        for (float probability : row) if (alternatives > 0 && (float) Math.log(probability) > last) better++;
        assertThat(better).isLessThanOrEqualTo(alternatives);
    }

    @Test
    void firstComeFirstServedAndTheLatestGivesWay() {
        // Room for 48 positions: sequences of 1 token are let in with 16 to spare, so two of them at first.
        var model = new ClosedForm(VOCABULARY, CONTEXT, 48);
        var records = List.of(new Record(), new Record(), new Record());
        try (var scheduler = new Scheduler(model, 8)) {
            for (int i = 0; i < 3; i++) {
                scheduler.submit(new Request(new int[] {10 + i, 20}, new Sampling(1, 1, 0, 30, Set.of()), i), records.get(i));
            }
            assertThat(scheduler.load()).isEqualTo(new Scheduler.Load(0, 3, 0, 0, 0));
            scheduler.step();
            assertThat(model.history).containsExactly("[10]", "[11]");
            assertThat(scheduler.load()).isEqualTo(new Scheduler.Load(2, 1, 2, 2, 0));
            for (int i = 1; i < 22; i++) scheduler.step();
            // 24 tokens each, 2 of the prompt; the next round would cache 25 of each.
            assertThat(model.history).hasSize(2);
            scheduler.step();
            scheduler.step();
            assertThat(model.history).hasSize(3).endsWith("-1");
            assertThat(scheduler.load().returns()).isEqualTo(1);
            assertThat(records.get(1).choices).hasSize(23);
            assertThat(records.get(2).choices).isEmpty();
            run(scheduler);
        }
        // The one that gave way comes back before the one that never ran, with all its tokens but the last.
        var again = new ArrayList<Integer>(List.of(11, 20));
        for (int token : records.get(1).tokens()) again.add(token);
        assertThat(model.history.get(4)).isEqualTo(again.subList(0, 24).toString());
        for (Record record : records) assertThat(record.completion.tokens()).hasSize(30);
    }

    @Test
    void samplesOfOnePromptShareItUnlessTheyAreScored() {
        var model = new ClosedForm(VOCABULARY, CONTEXT, 10_000);
        var scored = new Request(new int[] {1, 2, 3}, SAMPLING, 9, 60, new Details(null, 0, true));
        try (var scheduler = new Scheduler(model, 8)) {
            for (int seed = 0; seed < 3; seed++) scheduler.submit(request(seed, 1, 2, 3), new Record());
            scheduler.step();
            for (int seed = 3; seed < 5; seed++) scheduler.submit(request(seed, 1, 2, 3), new Record());
            scheduler.submit(scored, new Record());
            run(scheduler);
            assertThat(model.history.subList(0, 6)).containsExactly("[1, 2]", "=[1, 2]", "=[1, 2]", "[1, 2]", "=[1, 2]", "=[1, 2]");
            assertThat(scheduler.load().prompts()).isEqualTo(4);
            assertThat(model.scoredTokens).isEqualTo(2);
        }
    }

    @Test
    void aCancelledRequestFreesItsPlaceAtTheNextStep() {
        var model = new ClosedForm(VOCABULARY, CONTEXT, 10_000);
        var records = List.of(new Record(), new Record(), new Record());
        try (var scheduler = new Scheduler(model, 1)) {
            var handles = new ArrayList<Scheduler.Handle>();
            for (int i = 0; i < 3; i++) handles.add(scheduler.submit(request(i, 10 + i), records.get(i)));
            scheduler.step();
            scheduler.step();
            handles.get(0).cancel();
            handles.get(1).cancel();
            handles.get(1).cancel();
            assertThat(records.get(0).ended()).isFalse();
            scheduler.step();
            assertThat(records.get(0).completion.stop()).isEqualTo(StopReason.ABORTED);
            assertThat(records.get(0).completion.tokens()).hasSize(2);
            assertThat(records.get(1).completion.stop()).isEqualTo(StopReason.ABORTED);
            assertThat(records.get(1).completion.tokens()).isEmpty();
            assertThat(records.get(2).choices).hasSize(1);
            run(scheduler);
            handles.get(2).cancel();
            assertThat(scheduler.step()).isFalse();
        }
        assertLone(request(2, 12), records.get(2));
    }

    @Test
    void closingEndsWhatIsLeft() {
        var model = new ClosedForm(VOCABULARY, CONTEXT, 10_000);
        var records = List.of(new Record(), new Record(), new Record());
        var scheduler = new Scheduler(model, 1);
        scheduler.submit(request(1, 1), records.get(0));
        scheduler.submit(request(2, 2), records.get(1));
        scheduler.step();
        scheduler.submit(request(3, 3), records.get(2));
        scheduler.close();
        for (Record record : records) assertThat(record.completion.stop()).isEqualTo(StopReason.ABORTED);
        assertThat(model.closed).isTrue();
        assertThatThrownBy(() -> scheduler.submit(request(4, 4), new Record())).isInstanceOf(Failure.class).hasMessageContaining("shutting down");
    }

    @Test
    void aModelThatThrowsFailsEveryRequestOnce() {
        var model = new ClosedForm(VOCABULARY, CONTEXT, 10_000);
        var records = List.of(new Record(), new Record());
        try (var scheduler = new Scheduler(model, 1)) {
            for (Record record : records) scheduler.submit(request(1, 1), record);
            scheduler.step();
            model.breaks = new IllegalStateException("out of memory");
            assertThatThrownBy(scheduler::step).isSameAs(model.breaks);
            for (Record record : records) assertThat(record.failure).hasMessageContaining("the model failed").hasMessageContaining("out of memory");
            assertThatThrownBy(() -> scheduler.submit(request(1, 1), new Record())).isInstanceOf(Failure.class);
        }
    }

    @Test
    void aListenerThatThrowsAnywhereEndsItsOwnRequestOnly() {
        for (String where : List.of("prompt", "token", "completed", "failed")) {
            var model = new ClosedForm(VOCABULARY, CONTEXT, 10_000);
            model.undefined.add(5);
            var failures = new ArrayList<Failure>();
            Record beside = new Record();
            RequestListener throwing = new RequestListener() {
                private void check(String place) {
                    if (place.equals(where)) throw new IllegalStateException(place);
                }

                @Override
                public void prompt(List<Choice> choices) {
                    check("prompt");
                }

                @Override
                public void token(Choice choice, String text) {
                    check("token");
                }

                @Override
                public void completed(Completion completion) {
                    check("completed");
                }

                @Override
                public void failed(Failure failure) {
                    failures.add(failure);
                    check("failed");
                }
            };
            try (var scheduler = new Scheduler(model, 4)) {
                int first = where.equals("failed") ? 5 : 1;
                scheduler.submit(new Request(new int[] {first, 2}, SAMPLING, 1, 60, new Details(null, 0, true)), throwing);
                scheduler.submit(request(2, 3), beside);
                run(scheduler);
            }
            assertThat(failures).as(where).hasSize(1);
            assertThat(failures.getFirst()).hasMessageContaining(where.equals("failed") ? "not finite" : where);
            assertLone(request(2, 3), beside);
        }
    }

    @Test
    void refusesAtOnceWhatCannotBeServed() {
        try (var scheduler = new Scheduler(new ClosedForm(VOCABULARY, CONTEXT, 30), 4)) {
            assertUsage(scheduler, request(1), "empty prompt");
            assertUsage(scheduler, request(1, VOCABULARY), "token 300");
            assertUsage(scheduler, request(1, -1), "token -1");
            assertUsage(scheduler, request(1, new int[CONTEXT]), "context of 60");
            assertUsage(scheduler, new Request(new int[9], SAMPLING, 1, 9), "limit of 9");
            assertUsage(scheduler, request(1, new int[25]), "budget of 30");
            assertThat(scheduler.step()).isFalse();
        }
        var stopping = new Sampling(1, 1, 0, 1, Set.of(), List.of("x"));
        assertThatThrownBy(() -> new Request(new int[1], stopping, 1)).isInstanceOf(Failure.class).hasMessageContaining("detokeniser");
        assertThatThrownBy(() -> new Sampling(1, 1, 0, 1, Set.of(), List.of(""))).isInstanceOf(Failure.class).hasMessageContaining("stop text");
        assertThatThrownBy(() -> new Details(null, -1, false)).isInstanceOf(Failure.class);
        assertThatThrownBy(() -> new Scheduler(new ClosedForm(1, 1, 1), 0)).isInstanceOf(Failure.class);
    }

    @Test
    void aPromptMayBeScoredAlone() {
        var model = new ClosedForm(VOCABULARY, CONTEXT, CONTEXT);
        int[] whole = new int[CONTEXT];
        for (int t = 0; t < CONTEXT; t++) whole[t] = 3 * t;
        var details = new Details(null, 2, true);
        var requests = List.of(
                new Request(whole, SAMPLING, 1, Integer.MAX_VALUE, details),
                new Request(new int[] {1, 2, 3}, SAMPLING, 1, 3, details),
                new Request(new int[] {4}, SAMPLING, 1, 1, details),
                request(5, 6));
        var records = requests.stream().map(_ -> new Record()).toList();
        try (var scheduler = new Scheduler(model, 4)) {
            for (int i = 0; i < requests.size(); i++) scheduler.submit(requests.get(i), records.get(i));
            run(scheduler);
            assertUsage(scheduler, new Request(new int[CONTEXT + 1], SAMPLING, 1, Integer.MAX_VALUE, details), "context of 60");
            assertUsage(scheduler, new Request(whole, SAMPLING, 1, CONTEXT), "context of 60");
        }
        for (int i = 0; i < 3; i++) {
            assertThat(records.get(i).completion.stop()).isEqualTo(StopReason.LENGTH);
            assertThat(records.get(i).choices).isEmpty();
            assertThat(records.get(i).prompt).hasSize(requests.get(i).prompt().length - 1);
            assertDetails(requests.get(i), records.get(i));
        }
        assertLone(requests.get(3), records.get(3));
        assertThat(model.rounds).isEqualTo(records.get(3).choices.size());
    }

    private static void assertUsage(Scheduler scheduler, Request request, String part) {
        assertThatThrownBy(() -> scheduler.submit(request, new Record()))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.USAGE))
                .hasMessageContaining(part);
    }

    /// Eight threads submit and cancel while one steps, sleeping when nothing is to be done.
    @Test
    @Timeout(60)
    void manyThreadsSubmitAndCancelWhileOneSteps() throws InterruptedException {
        int threads = 8, each = 60;
        var ended = new CountDownLatch(threads * each);
        var records = new ConcurrentHashMap<Request, Record>();
        var wrong = new AtomicInteger();
        var scheduler = new Scheduler(new ClosedForm(VOCABULARY, CONTEXT, 400), 9);
        Thread stepping = Thread.ofPlatform().start(() -> {
            try (scheduler) {
                while (true) {
                    while (scheduler.step()) {}
                    scheduler.await();
                }
            } catch (InterruptedException e) {
                // the end
            }
        });
        var submitting = new ArrayList<Thread>();
        for (int thread = 0; thread < threads; thread++) {
            int seed = thread;
            submitting.add(Thread.ofVirtual().start(() -> {
                var random = new RandomStream(1000 + seed);
                for (int i = 0; i < each; i++) {
                    Request request = random(random, null);
                    var record = new Record() {
                        @Override
                        public void token(Choice choice, String piece) {
                            if (Thread.currentThread() != stepping) wrong.incrementAndGet();
                            super.token(choice, piece);
                        }

                        @Override
                        public void completed(Completion told) {
                            super.completed(told);
                            ended.countDown();
                        }
                    };
                    records.put(request, record);
                    Scheduler.Handle handle = scheduler.submit(request, record);
                    if (random.nextInt(4) == 0) handle.cancel();
                    if (random.nextInt(8) == 0) Thread.yield();
                }
            }));
        }
        for (Thread thread : submitting) thread.join();
        assertThat(ended.await(50, TimeUnit.SECONDS)).isTrue();
        stepping.interrupt();
        stepping.join();
        assertThat(wrong.get()).isZero();
        int whole = 0;
        for (var entry : records.entrySet()) {
            Record record = entry.getValue();
            if (record.completion.stop() == StopReason.ABORTED) continue;
            assertLone(entry.getKey(), record);
            whole++;
        }
        assertThat(records).hasSize(threads * each);
        assertThat(whole).isGreaterThanOrEqualTo(threads * each / 2);
    }
}
