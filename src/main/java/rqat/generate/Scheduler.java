package rqat.generate;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.run.RandomStream;
import rqat.text.Detokenizer;

/// Continuous batching: requests come and go at any time, each with a sampling of its own, and share the rounds of one [StepModel]. A finished
/// sequence leaves the batch at once and the next waiting one enters, first come first served.
///
/// **Use.** One thread, the *stepping thread*, calls [#step] as long as it says that work is left; listeners hear of tokens on it. Any thread
/// may [#submit] a request and [Handle#cancel] it. A batch is all submissions and then steps to the end ([LocalGenerator]); a server has
///
///     while (true) {
///         while (scheduler.step()) {}
///         scheduler.await(); // until somebody submits; interrupt the thread to end it
///     }
///
/// on a thread of its own, and `submit` in the threads of its connections. `submit` refuses at once, with a message for whoever asked, what
/// the model cannot serve; how many requests may wait is the caller's to limit, by [#load].
///
/// **Equal request and seed give equal tokens**, whatever else runs: token `i` of a request is chosen by number `i` of its own random
/// stream from its own row. (Rows of batches of different shapes may differ in the last bits; that a random number falls between the two is as
/// improbable as they are close.)
///
/// **Admission.** Sequences are admitted by the length they have, not by the one they may reach: when the cache is full after all, the
/// latest request goes back to the head of the queue with its tokens and is filled in again when there is room, at the price of one pass over
/// them. Requests with one prompt that are in flight together share the computation of the prompt.
///
/// **Errors.** A row whose logits are not finite, or a listener that throws, ends that request by [RequestListener#failed], and no other.
/// When the model itself throws, every request fails, and [#step] throws on: the scheduler can only be closed then.
public final class Scheduler implements AutoCloseable {
    /// Positions beyond those they have that all sequences must have room for when one is admitted, so that none has to leave again at once.
    private static final int HEADROOM = 16;

    private final StepModel model;
    private final int maxBatch;

    /// Guards what other threads write: the next five fields.
    private final Object door = new Object();
    private final List<Sequence> submitted = new ArrayList<>();
    private final List<Sequence> cancelled = new ArrayList<>();
    private long submissions;
    private boolean closed;
    private Load load = new Load(0, 0, 0, 0, 0);

    private final Deque<Sequence> waiting = new ArrayDeque<>();
    /// `active.get(s)` is the sequence in slot `s` of the model.
    private final List<Sequence> active = new ArrayList<>();
    private long prompts;
    private long tokens;
    private long returns;

    /// A request that was submitted.
    public sealed interface Handle {
        /// Ends the request at the beginning of the next step, by [RequestListener#completed] with [StopReason#ABORTED]; does nothing when it
        /// has ended. Any thread.
        void cancel();
    }

    /// What a scheduler is doing and has done.
    ///
    /// @param running requests in the batch
    /// @param waiting requests that are not, or not any more
    /// @param prompts tokens of prompts that the model was given, again after a return, once where requests share them
    /// @param tokens  tokens chosen
    /// @param returns how often a request had to leave the batch for lack of room
    public record Load(int running, int waiting, long prompts, long tokens, long returns) {}

    /// A scheduler over `model`, which it owns from now on.
    ///
    /// @param maxBatch sequences in flight at most
    /// @throws Failure USAGE when that is not at least 1
    public Scheduler(StepModel model, int maxBatch) {
        this.model = model;
        this.maxBatch = checkedBatch(maxBatch);
    }

    static int checkedBatch(int maxBatch) {
        if (maxBatch < 1) throw Failure.usage("the batch of the generator is " + maxBatch + "; expected 1 or more");
        return maxBatch;
    }

    /// Puts a request at the end of the queue. Any thread. Messages count the submissions from 0.
    ///
    /// @throws Failure USAGE when the prompt is empty, leaves no room for a token in the model, the cache or the request's own limit (unless it
    ///                 is only to be scored, [Request.Details#prompt]), or has unknown ids;
    ///                 FAILED when the scheduler is closed
    public Handle submit(Request request, RequestListener listener) {
        synchronized (door) {
            if (closed) throw Failure.failed("the model is shutting down");
            var sequence = new Sequence(submissions, request, limit(submissions, request), listener);
            submissions++;
            submitted.add(sequence);
            door.notifyAll();
            return sequence;
        }
    }

    /// How long prompt and completion may become together.
    private int limit(long number, Request request) {
        int[] prompt = request.prompt();
        if (prompt.length == 0) throw Failure.usage("request %d has an empty prompt; give at least one token".formatted(number));
        int context = Math.min(model.maxPositions(), request.limit());
        int longest = request.details().prompt() ? context : context - 1;
        if (prompt.length > longest) {
            throw Failure.usage("the prompt of request %d has %d tokens; %s of %d leaves room for at most %d. Shorten it."
                    .formatted(number, prompt.length, context < model.maxPositions() ? "its limit" : "the model's context", context, longest));
        }
        for (int token : prompt) {
            if (token < 0 || token >= model.vocabularySize()) {
                throw Failure.usage("the prompt of request %d contains token %d; the model has tokens 0 to %d. Is this its tokenizer?"
                        .formatted(number, token, model.vocabularySize() - 1));
            }
        }
        int maxNewTokens = request.sampling().maxNewTokens();
        int limit = (int) Math.min((long) prompt.length + maxNewTokens, context);
        if (!model.fits(limit)) {
            throw Failure.usage(("request %d may grow to %d tokens (prompt %d, max new tokens %d) but the key-value cache has a budget of %d;"
                            + " raise the budget or lower max new tokens")
                    .formatted(number, limit, prompt.length, maxNewTokens, model.capacity()));
        }
        return limit;
    }

    /// Blocks until there is something to step for. The stepping thread.
    ///
    /// @throws InterruptedException when the thread is interrupted; nothing has changed
    public void await() throws InterruptedException {
        synchronized (door) {
            while (submitted.isEmpty() && cancelled.isEmpty() && load.running + load.waiting == 0) door.wait();
        }
    }

    /// What is being done, as of the last step. Any thread.
    public Load load() {
        synchronized (door) {
            return new Load(load.running, load.waiting + submitted.size(), load.prompts, load.tokens, load.returns);
        }
    }

    /// One round: lets waiting requests in and gives every active one its next token. The stepping thread.
    ///
    /// @return whether work is left
    public boolean step() {
        try {
            receive();
            admit();
            makeRoom();
            if (!active.isEmpty()) decode();
        } catch (RuntimeException | Error e) {
            end(sequence -> fail(sequence, Failure.failed("the model failed: " + e, e)));
            throw e;
        }
        synchronized (door) {
            load = new Load(active.size(), waiting.size(), prompts, tokens, returns);
            return !(active.isEmpty() && waiting.isEmpty() && submitted.isEmpty() && cancelled.isEmpty());
        }
    }

    /// Ends all requests that are left by [StopReason#ABORTED], refuses new ones, and closes the model. The stepping thread, or any after it.
    @Override
    public void close() {
        end(sequence -> complete(sequence, StopReason.ABORTED));
        model.close();
    }

    private void end(Consumer<Sequence> how) {
        synchronized (door) {
            closed = true;
            waiting.addAll(submitted);
            submitted.clear();
            cancelled.clear();
        }
        active.forEach(how);
        waiting.forEach(how);
        active.clear();
        waiting.clear();
    }

    /// Takes over what other threads asked for since the last step.
    private void receive() {
        List<Sequence> leaving;
        synchronized (door) {
            waiting.addAll(submitted);
            submitted.clear();
            if (cancelled.isEmpty()) return;
            leaving = List.copyOf(cancelled);
            cancelled.clear();
        }
        for (Sequence sequence : leaving) {
            complete(sequence, StopReason.ABORTED);
            waiting.remove(sequence);
        }
        removeEnded();
    }

    /// Lets waiting sequences in while batch and cache allow.
    private void admit() {
        int before = active.size();
        int[] lengths = active.stream().mapToInt(Sequence::comfortable).toArray();
        List<Sequence> twins = new ArrayList<>();
        while (!waiting.isEmpty() && lengths.length < maxBatch) {
            Sequence next = waiting.getFirst();
            lengths = Arrays.copyOf(lengths, lengths.length + 1);
            lengths[lengths.length - 1] = next.comfortable();
            if (!model.fits(lengths)) break;
            waiting.removeFirst();
            (next.mayShare() && slotOfPrompt(next) >= 0 ? twins : active).add(next);
        }
        var entries = new ArrayList<StepModel.Entry>();
        for (Sequence sequence : active.subList(before, active.size())) entries.add(sequence.entry(-1));
        for (Sequence twin : twins) {
            entries.add(twin.entry(slotOfPrompt(twin)));
            active.add(twin);
        }
        if (entries.isEmpty()) return;
        List<List<Choice>> scores = model.enter(entries);
        for (int i = 0; i < entries.size(); i++) {
            StepModel.Entry entry = entries.get(i);
            if (entry.like() < 0) prompts += entry.length();
            if (!entry.scored()) continue;
            List<Choice> choices = scores.get(i);
            Sequence sequence = active.get(before + i);
            sequence.scored = true;
            tell(sequence, listener -> listener.prompt(choices));
            if (sequence.length == sequence.limit) sequence.stop = StopReason.LENGTH;
        }
        removeEnded();
    }

    private int slotOfPrompt(Sequence sequence) {
        for (int slot = 0; slot < active.size(); slot++) {
            if (Arrays.equals(active.get(slot).request.prompt(), sequence.request.prompt())) return slot;
        }
        return -1;
    }

    /// Sends the latest requests back to the head of the queue until the cache can take one more token of each that stays. One always can.
    private void makeRoom() {
        while (!model.fits(active.stream().mapToInt(sequence -> sequence.length).toArray())) {
            int latest = 0;
            for (int slot = 1; slot < active.size(); slot++) {
                if (active.get(slot).number > active.get(latest).number) latest = slot;
            }
            waiting.addFirst(leave(latest));
            returns++;
        }
    }

    /// Takes the sequence in `slot` out of the batch; the last one moves into the gap.
    private Sequence leave(int slot) {
        model.leave(slot);
        Sequence sequence = active.get(slot);
        Sequence last = active.removeLast();
        if (last != sequence) active.set(slot, last);
        return sequence;
    }

    /// Decodes the last token of every active sequence and appends the next.
    private void decode() {
        int rows = active.size();
        int[] ids = new int[rows];
        var draws = new StepModel.Draw[rows];
        for (int slot = 0; slot < rows; slot++) {
            Sequence sequence = active.get(slot);
            ids[slot] = sequence.tokens[sequence.length - 1];
            draws[slot] = new StepModel.Draw(
                    sequence.request.sampling(), sequence.random.nextDouble(), sequence.request.details().alternatives());
        }
        @Nullable Choice[] choices = model.decode(ids, draws);
        for (int slot = 0; slot < rows; slot++) extend(active.get(slot), choices[slot]);
        removeEnded();
    }

    private void extend(Sequence sequence, @Nullable Choice choice) {
        if (choice == null) {
            fail(sequence, Failure.failed("the model's logits for request %d, position %d are not finite: its weights or activations overflow"
                    .formatted(sequence.number, sequence.length)));
            return;
        }
        tokens++;
        String text = sequence.append(choice);
        tell(sequence, listener -> listener.token(choice, text));
    }

    /// Tells of finished sequences and takes them and those that failed out of the batch.
    private void removeEnded() {
        for (int slot = active.size() - 1; slot >= 0; slot--) {
            Sequence sequence = active.get(slot);
            if (sequence.stop != null) complete(sequence, sequence.stop);
            if (sequence.ended) leave(slot);
        }
    }

    private static void complete(Sequence sequence, StopReason stop) {
        tell(sequence, listener -> listener.completed(sequence.completion(stop)));
        sequence.ended = true;
    }

    private static void tell(Sequence sequence, Consumer<RequestListener> what) {
        if (sequence.ended) return;
        try {
            what.accept(sequence.listener);
        } catch (RuntimeException e) {
            fail(sequence, e instanceof Failure failure ? failure : Failure.failed("request %d: its listener failed: %s".formatted(sequence.number, e), e));
        }
    }

    private static void fail(Sequence sequence, Failure failure) {
        if (sequence.ended) return;
        sequence.ended = true;
        try {
            sequence.listener.failed(failure);
        } catch (RuntimeException ignored) {
            // It has been told all there is to tell.
        }
    }

    /// One request, waiting or in flight.
    private final class Sequence implements Handle {
        final long number;
        final Request request;
        final RequestListener listener;
        final int limit;
        final RandomStream random;
        final @Nullable CompletionText text;
        /// Prompt and completion; an array of the prompt's own until there is more.
        int[] tokens;
        float[] logProbabilities = new float[16];
        int length;
        /// Whether the prompt's log-probabilities have been told.
        boolean scored;
        @Nullable StopReason stop;
        boolean ended;

        Sequence(long number, Request request, int limit, RequestListener listener) {
            this.number = number;
            this.request = request;
            this.listener = listener;
            this.limit = limit;
            this.random = new RandomStream(request.seed());
            this.text = request.details().text() == null ? null : new CompletionText(request.details().text().get(), request.sampling());
            this.tokens = request.prompt();
            this.length = tokens.length;
        }

        @Override
        public void cancel() {
            synchronized (door) {
                if (closed) return;
                cancelled.add(this);
                door.notifyAll();
            }
        }

        /// The length with its headroom.
        int comfortable() {
            return Math.min(limit, length + HEADROOM);
        }

        /// Whether all that is to be cached is the prompt, and nothing is to be told of it.
        boolean mayShare() {
            return length == request.prompt().length && !toBeScored();
        }

        private boolean toBeScored() {
            return request.details().prompt() && !scored;
        }

        StepModel.Entry entry(int like) {
            return new StepModel.Entry(tokens, length - 1, like, toBeScored(), request.details().alternatives());
        }

        /// Appends a token, decides whether it is the last, and returns the text that is certain with it.
        String append(Choice choice) {
            int prompt = request.prompt().length, place = length - prompt;
            if (length == tokens.length) tokens = Arrays.copyOf(tokens, (int) Math.min(limit, length + length / 2L + 16));
            if (place == logProbabilities.length) logProbabilities = Arrays.copyOf(logProbabilities, 2 * place);
            tokens[length++] = choice.token();
            logProbabilities[place] = choice.logProbability();
            if (request.sampling().stopIds().contains(choice.token())) {
                stop = StopReason.STOP_TOKEN;
                return text == null ? "" : text.rest();
            }
            String certain = text == null ? "" : text.push(choice.token());
            if (text != null && text.stopped()) {
                stop = StopReason.STOP_TEXT;
            } else if (length == limit) {
                stop = StopReason.LENGTH;
                if (text != null) certain += text.rest();
            }
            return certain;
        }

        Completion completion(StopReason reason) {
            int prompt = request.prompt().length;
            return new Completion(Arrays.copyOfRange(tokens, prompt, length), Arrays.copyOf(logProbabilities, length - prompt), reason);
        }
    }

    /// The text of a completion as it comes, up to a stop text.
    private static final class CompletionText {
        private final Detokenizer detokenizer;
        private final StopTexts stops;

        CompletionText(Detokenizer detokenizer, Sampling sampling) {
            this.detokenizer = detokenizer;
            this.stops = new StopTexts(sampling.stopTexts());
        }

        String push(int token) {
            return stops.push(detokenizer.push(token));
        }

        boolean stopped() {
            return stops.found();
        }

        /// What was held back, at the end.
        String rest() {
            return stops.push(detokenizer.finish()) + stops.rest();
        }
    }
}
