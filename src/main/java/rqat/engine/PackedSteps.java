package rqat.engine;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.generate.Choice;
import rqat.generate.StepModel;
import rqat.generate.TokenChooser;

/// The packed engine, a step at a time. Sequences that enter go through it together, as many tokens at a time as a pass takes, whosever they are; those that begin alike share pages of the cache.
///
/// Equal request and seed give equal bits, whatever else runs and on however many threads.
public final class PackedSteps implements StepModel {
    private final PackedModel model;
    private final PagedCache cache;
    private final PackedDecoder decoder;
    private final List<PagedCache.Sequence> slots = new ArrayList<>();
    private final float[][] exponentials;
    private final float[][] probabilities;

    /// Steps of `model`, which stays the caller's.
    ///
    /// @param capacity positions that the cache may hold, over all sequences; in whole pages of [PagedCache#POSITIONS]
    public PackedSteps(PackedModel model, long capacity) {
        this.model = model;
        this.cache = new PagedCache(model.config(), model.cache(), (int) Math.min(capacity / PagedCache.POSITIONS, Integer.MAX_VALUE / PagedCache.POSITIONS));
        this.decoder = new PackedDecoder(model, cache);
        this.exponentials = new float[model.workers().threads()][decoder.logitsWidth()];
        this.probabilities = new float[model.workers().threads()][model.config().vocabularySize()];
    }

    /// Steps with a cache of as many positions as fit in `cacheGib` GiB.
    public static PackedSteps within(PackedModel model, double cacheGib) {
        return new PackedSteps(model, PagedCache.POSITIONS * (long) (cacheGib * (1L << 30) / PagedCache.pageBytes(model.config(), model.cache())));
    }

    @Override
    public int vocabularySize() {
        return model.config().vocabularySize();
    }

    @Override
    public int maxPositions() {
        return model.config().maxPositions();
    }

    @Override
    public long capacity() {
        return (long) cache.budget() * PagedCache.POSITIONS;
    }

    @Override
    public boolean fits(int... lengths) {
        return Arrays.stream(lengths).mapToLong(PagedCache::pagesOf).sum() <= cache.budget();
    }

    @Override
    public List<List<Choice>> enter(List<Entry> entries) {
        var scores = new ArrayList<List<Choice>>(entries.size());
        var pass = new Pass(scores);
        for (int i = 0; i < entries.size(); i++) {
            Entry entry = entries.get(i);
            scores.add(List.of());
            if (entry.like() >= 0) {
                // What it is like may be in the pass that is being filled.
                pass.run();
                slots.add(cache.fork(slots.get(entry.like()), entry.length()));
                continue;
            }
            var sequence = new PagedCache.Sequence();
            cache.reserve(sequence, entry.length());
            slots.add(sequence);
            if (entry.scored()) scores.set(i, new ArrayList<>(java.util.Collections.nCopies(entry.length(), null)));
            for (int position = 0; position < entry.length(); position++) pass.add(entry, i, sequence, position);
        }
        pass.run();
        return scores;
    }

    /// Tokens of prompts that go through the decoder together.
    private final class Pass {
        private final List<List<Choice>> scores;
        private final List<PackedDecoder.Row> rows = new ArrayList<>();
        private final List<Scored> scored = new ArrayList<>();

        /// A row whose next token is to be scored.
        private record Scored(Entry entry, int index, int row, int position) {}

        Pass(List<List<Choice>> scores) {
            this.scores = scores;
        }

        void add(Entry entry, int index, PagedCache.Sequence sequence, int position) {
            if (entry.scored()) scored.add(new Scored(entry, index, rows.size(), position));
            rows.add(new PackedDecoder.Row(entry.tokens()[position], sequence, position));
            if (rows.size() == PackedDecoder.ROWS) run();
        }

        void run() {
            if (rows.isEmpty()) return;
            float[] hidden = decoder.hidden(rows);
            PackedScorer.score(model, decoder, hidden, scored.stream().mapToInt(Scored::row).toArray(), (i, row) -> {
                Scored of = scored.get(i);
                scores.get(of.index).set(of.position, row.choice(of.entry.tokens()[of.position + 1], of.entry.alternatives()));
            });
            rows.clear();
            scored.clear();
        }
    }

    @Override
    public @Nullable Choice[] decode(int[] tokens, Draw[] draws) {
        var choices = new @Nullable Choice[tokens.length];
        for (int from = 0; from < tokens.length; from += PackedDecoder.ROWS) {
            int first = from, count = Math.min(PackedDecoder.ROWS, tokens.length - from);
            var rows = new ArrayList<PackedDecoder.Row>(count);
            int[] all = new int[count];
            for (int i = 0; i < count; i++) {
                PagedCache.Sequence sequence = slots.get(from + i);
                cache.reserve(sequence, sequence.length + 1);
                rows.add(new PackedDecoder.Row(tokens[from + i], sequence, sequence.length));
                all[i] = i;
            }
            float[] logits = decoder.logits(decoder.hidden(rows), all);
            model.workers().run(count, (i, worker) -> choices[first + i] = choose(logits, i * decoder.logitsWidth(), draws[first + i], worker));
        }
        return choices;
    }

    private @Nullable Choice choose(float[] logits, int at, Draw draw, int worker) {
        float[] row = probabilities[worker];
        PackedScorer.softmax(logits, at, row.length, (float) draw.sampling().divisor(), exponentials[worker]);
        double sum = Sums.wide(exponentials[worker], 0, row.length);
        for (int i = 0; i < row.length; i++) row[i] = (float) (exponentials[worker][i] / sum);
        return TokenChooser.choose(draw, row);
    }

    @Override
    public void leave(int slot) {
        cache.release(slots.get(slot));
        PagedCache.Sequence last = slots.removeLast();
        if (slot < slots.size()) slots.set(slot, last);
    }

    @Override
    public void close() {
        cache.close();
    }
}
