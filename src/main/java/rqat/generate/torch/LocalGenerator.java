package rqat.generate.torch;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.generate.Completion;
import rqat.generate.Generator;
import rqat.generate.Listener;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.generate.StopReason;
import rqat.generate.TokenChooser;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.run.RandomStream;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Samples with the decoder of this process: continuous batching over a KV cache. A finished sequence leaves the batch at once and the next
/// waiting one enters, first come first served.
///
/// Two simplifications carry the design. The cache is filled with all tokens of a prompt *but the last*, which is then decoded like
/// every later token, so there is one place where logits are made and tokens chosen. And sequences are admitted by the length they have,
/// not by the one they may reach: when the cache is full after all, the latest request goes back to the queue with its tokens and is filled
/// in again when there is room, at the price of one pass over them.
///
/// Samples of one prompt that are in flight together share the computation of the prompt: its keys and values are copied.
///
/// Not for several threads at once; the weights must not change during a call.
public final class LocalGenerator implements Generator {
    /// Tokens per prefill pass, padding included. More would not be faster, only need more memory.
    private static final int PREFILL_TOKENS = 2048;

    /// Positions beyond those they have that all sequences must have room for when one is admitted, so that none has to leave again at once.
    private static final int HEADROOM = 16;

    private final Decoder decoder;
    private final int maxBatch;
    private final long kvTokenBudget;

    /// A generator over `decoder`, which stays the caller's.
    ///
    /// @param maxBatch      sequences in flight at most
    /// @param kvTokenBudget positions that the cache may hold, over all sequences; each takes `2 * layers * kvHeads * headDimension` values
    public LocalGenerator(Decoder decoder, int maxBatch, long kvTokenBudget) {
        if (maxBatch < 1) throw Failure.usage("the batch of the generator is " + maxBatch + "; expected 1 or more");
        this.decoder = decoder;
        this.maxBatch = maxBatch;
        this.kvTokenBudget = kvTokenBudget;
    }

    /// A generator whose cache holds as many positions as fit in `cacheGib` GiB, in the dtype of the weights.
    public static LocalGenerator within(Decoder decoder, int maxBatch, double cacheGib) {
        ModelConfig config = decoder.config();
        long values = 2L * config.layers() * config.keyValueHeads() * config.headDimension();
        long bytes = values * decoder.weights().get(ModelConfig.EMBEDDING).element_size();
        return new LocalGenerator(decoder, maxBatch, (long) (cacheGib * (1L << 30)) / bytes);
    }

    @Override
    public List<Completion> generate(List<Request> requests, Sampling sampling, Listener listener) {
        Deque<Sequence> waiting = new ArrayDeque<>();
        for (int i = 0; i < requests.size(); i++) waiting.add(sequence(i, requests.get(i), sampling));
        return Grad.off(() -> {
            try (var run = new Run(waiting, sampling, listener)) {
                return run.toTheEnd();
            }
        });
    }

    private Sequence sequence(int index, Request request, Sampling sampling) {
        ModelConfig config = decoder.config();
        int[] prompt = request.prompt();
        if (prompt.length == 0) throw Failure.usage("request %d has an empty prompt; give at least one token".formatted(index));
        int context = Math.min(config.maxPositions(), request.limit());
        if (prompt.length >= context) {
            throw Failure.usage("the prompt of request %d has %d tokens; %s of %d leaves room for at most %d. Shorten it."
                    .formatted(index, prompt.length, context < config.maxPositions() ? "its limit" : "the model's context", context, context - 1));
        }
        for (int token : prompt) {
            if (token < 0 || token >= config.vocabularySize()) {
                throw Failure.usage("the prompt of request %d contains token %d; the model has tokens 0 to %d. Is this its tokenizer?"
                        .formatted(index, token, config.vocabularySize() - 1));
            }
        }
        int limit = (int) Math.min((long) prompt.length + sampling.maxNewTokens(), context);
        if (limit > kvTokenBudget) {
            throw Failure.usage(("request %d may grow to %d tokens (prompt %d, max new tokens %d) but the key-value cache has a budget of %d;"
                            + " raise the budget or lower max new tokens")
                    .formatted(index, limit, prompt.length, sampling.maxNewTokens(), kvTokenBudget));
        }
        return new Sequence(index, prompt, limit, new RandomStream(request.seed()));
    }

    /// One request in flight. Its keys and values are cached for all its tokens but the last, which is the next to be decoded.
    private static final class Sequence {
        final int index;
        final int[] prompt;
        final int limit;
        final RandomStream random;
        int[] tokens;
        float[] logProbabilities = new float[16];
        int length;

        Sequence(int index, int[] prompt, int limit, RandomStream random) {
            this.index = index;
            this.prompt = prompt;
            this.limit = limit;
            this.random = random;
            this.tokens = prompt;
            this.length = prompt.length;
        }

        int cached() {
            return length - 1;
        }

        /// The length with its headroom.
        int comfortable() {
            return Math.min(limit, length + HEADROOM);
        }

        boolean begun() {
            return length > prompt.length;
        }

        void append(int token, float logProbability) {
            int place = length - prompt.length;
            if (length == tokens.length) tokens = Arrays.copyOf(tokens, (int) Math.min(limit, length + length / 2L + 16));
            if (place == logProbabilities.length) logProbabilities = Arrays.copyOf(logProbabilities, 2 * place);
            tokens[length++] = token;
            logProbabilities[place] = logProbability;
        }

        Completion completion(StopReason stop) {
            return new Completion(
                    Arrays.copyOfRange(tokens, prompt.length, length), Arrays.copyOf(logProbabilities, length - prompt.length), stop);
        }
    }

    /// The state of one call of [#generate]: `active.get(s)` is the sequence in slot `s` of the cache.
    private final class Run implements AutoCloseable {
        final Deque<Sequence> waiting;
        final Sampling sampling;
        final Listener listener;
        final List<Sequence> active = new ArrayList<>();
        final @Nullable Completion[] completions;
        final KvCache cache;
        final float[] probabilities = new float[decoder.config().vocabularySize()];
        int finished;

        Run(Deque<Sequence> waiting, Sampling sampling, Listener listener) {
            this.waiting = waiting;
            this.sampling = sampling;
            this.listener = listener;
            this.completions = new Completion[waiting.size()];
            this.cache = new KvCache(decoder.config(), decoder.weights().get(ModelConfig.EMBEDDING).scalar_type().intern(), kvTokenBudget);
        }

        List<Completion> toTheEnd() {
            while (finished < completions.length) {
                if (Thread.interrupted()) {
                    throw Failure.interrupted("interrupted after %d of %d completions".formatted(finished, completions.length));
                }
                admit();
                makeRoom();
                Scope.run(this::step);
            }
            return List.of(completions);
        }

        /// Lets waiting sequences in while batch and budget allow, and fills their slots.
        void admit() {
            int before = active.size();
            long longest = active.stream().mapToInt(Sequence::comfortable).max().orElse(0);
            List<Sequence> twins = new ArrayList<>();
            while (!waiting.isEmpty() && active.size() + twins.size() < maxBatch) {
                Sequence next = waiting.getFirst();
                longest = Math.max(longest, next.comfortable());
                if ((active.size() + twins.size() + 1) * longest > kvTokenBudget) break;
                waiting.removeFirst();
                (next.begun() || slotOfPrompt(next.prompt) < 0 ? active : twins).add(next);
            }
            if (active.size() + twins.size() == before) return;
            cache.reserve(active.size() + twins.size(), longest(), before);
            for (int slot = before; slot < active.size(); ) slot = prefill(slot);
            for (Sequence twin : twins) {
                cache.copy(slotOfPrompt(twin.prompt), active.size(), twin.cached());
                active.add(twin);
            }
        }

        /// Sends the latest requests back to the head of the queue until the cache can take one more token of each that stays. One always can.
        void makeRoom() {
            while ((long) active.size() * longest() > kvTokenBudget) {
                int latest = 0;
                for (int slot = 1; slot < active.size(); slot++) {
                    if (active.get(slot).index > active.get(latest).index) latest = slot;
                }
                waiting.addFirst(leave(latest));
            }
        }

        /// Positions that the longest active sequence has when its last token is decoded.
        int longest() {
            return active.stream().mapToInt(sequence -> sequence.length).max().orElse(0);
        }

        /// Takes the sequence in `slot` out of the batch; the last slot moves into the gap.
        Sequence leave(int slot) {
            Sequence sequence = active.get(slot);
            Sequence last = active.removeLast();
            if (last != sequence) {
                cache.copy(active.size(), slot, last.cached());
                active.set(slot, last);
            }
            return sequence;
        }

        int slotOfPrompt(int[] prompt) {
            for (int slot = 0; slot < active.size(); slot++) {
                if (Arrays.equals(active.get(slot).prompt, prompt)) return slot;
            }
            return -1;
        }

        /// Fills the slots from `first` on, as many as one pass takes, and returns the slot after them.
        int prefill(int first) {
            int width = 0, end = first;
            while (end < active.size()) {
                int wider = Math.max(width, active.get(end).cached());
                if (end > first && (long) wider * (end + 1 - first) > PREFILL_TOKENS) break;
                width = wider;
                end++;
            }
            int[] ids = new int[(end - first) * width];
            for (int slot = first; slot < end; slot++) {
                System.arraycopy(active.get(slot).tokens, 0, ids, (slot - first) * width, active.get(slot).cached());
            }
            int rows = end - first, columns = width;
            if (columns > 0) {
                Scope.run(() -> decoder.hidden(
                        Tensors.of(ids, rows, columns), Tensors.range(0, columns).unsqueeze(0), cache.prefill(first)));
            }
            return end;
        }

        /// Decodes the last token of every active sequence and appends the next.
        void step() {
            int rows = active.size();
            int[] ids = new int[rows];
            int[] positions = new int[rows];
            for (int slot = 0; slot < rows; slot++) {
                Sequence sequence = active.get(slot);
                ids[slot] = sequence.tokens[sequence.length - 1];
                positions[slot] = sequence.cached();
            }
            cache.reserve(rows, longest(), rows);
            Tensor hidden = decoder.hidden(Tensors.of(ids, rows, 1), Tensors.of(positions, rows, 1), cache.decode(positions));
            Tensor logits = decoder.logits(hidden).to(ScalarType.Float);
            double temperature = sampling.temperature() == 0 ? 1 : sampling.temperature();
            Tensor tempered = temperature == 1 ? logits : logits.div(new Scalar(temperature));
            MemorySegment rowsOfProbabilities = Tensors.bytes(tempered.softmax(-1));
            for (int slot = 0; slot < rows; slot++) {
                MemorySegment.copy(
                        rowsOfProbabilities,
                        ValueLayout.JAVA_FLOAT,
                        4L * slot * probabilities.length,
                        probabilities,
                        0,
                        probabilities.length);
                extend(active.get(slot));
            }
            removeFinished();
        }

        /// Appends the token that `probabilities` and the sequence's own random stream give.
        void extend(Sequence sequence) {
            int token;
            try {
                token = TokenChooser.choose(sampling, probabilities, sequence.random.nextDouble());
            } catch (IllegalArgumentException e) {
                throw Failure.failed(
                        "the model's logits for request %d, position %d are not finite: its weights or activations overflow"
                                .formatted(sequence.index, sequence.length),
                        e);
            }
            sequence.append(token, (float) Math.log(probabilities[token]));
            listener.token(sequence.index, token);
        }

        /// Takes finished sequences out of the batch.
        void removeFinished() {
            for (int slot = active.size() - 1; slot >= 0; slot--) {
                Sequence sequence = active.get(slot);
                StopReason stop = stop(sequence);
                if (stop == null) continue;
                Completion completion = sequence.completion(stop);
                completions[sequence.index] = completion;
                finished++;
                listener.completed(sequence.index, completion);
                leave(slot);
            }
        }

        @Nullable StopReason stop(Sequence sequence) {
            if (sampling.stopIds().contains(sequence.tokens[sequence.length - 1])) return StopReason.STOP_TOKEN;
            return sequence.length == sequence.limit ? StopReason.LENGTH : null;
        }

        @Override
        public void close() {
            cache.close();
        }
    }
}
