package rqat.engine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import rqat.model.ModelConfig;

/// Keys and values of all sequences, in pages of [#POSITIONS] positions that are taken when a sequence grows and given back when it ends (Kwon et al. 2023). Sequences that begin alike share the pages
/// that are full; a page that still grows belongs to one.
///
/// A page holds its positions of all blocks and heads, each as [CachedValues] says.
final class PagedCache implements AutoCloseable {
    /// Positions of a page.
    static final int POSITIONS = CachedValues.POSITIONS;

    private final ModelConfig config;
    private final CachedValues format;
    private final int budget;
    private final Arena arena = Arena.ofShared();
    private final List<MemorySegment> pages = new ArrayList<>();
    private final Deque<Integer> free = new ArrayDeque<>();
    private int[] owners = new int[16];

    /// The pages of one sequence.
    static final class Sequence {
        private int[] pages = new int[4];
        private int count;
        /// Positions that are cached.
        int length;
    }

    /// @param budget pages at most
    PagedCache(ModelConfig config, CacheFormat format, int budget) {
        this.config = config;
        this.format = new CachedValues(format, config.headDimension());
        this.budget = budget;
    }

    /// Bytes of a page.
    static long pageBytes(ModelConfig config, CacheFormat format) {
        return pageBytes(config, new CachedValues(format, config.headDimension()));
    }

    private static long pageBytes(ModelConfig config, CachedValues format) {
        return config.layers() * config.keyValueHeads() * format.bytes();
    }

    /// What a thread needs while it attends.
    final class Scratch {
        private float[] scores = {};
        private final CachedValues.Scratch values = new CachedValues.Scratch(config.headDimension(), arena);

        /// Makes room for `length` positions.
        void reserve(int length) {
            int room = pagesOf(length) * POSITIONS;
            if (scores.length < room) scores = new float[Math.max(room, 2 * scores.length)];
        }
    }

    int budget() {
        return budget;
    }

    /// Pages in use, each once.
    int used() {
        return pages.size() - free.size();
    }

    static int pagesOf(int length) {
        return (length + POSITIONS - 1) / POSITIONS;
    }

    /// Gives `sequence` pages for `length` positions.
    void reserve(Sequence sequence, int length) {
        while (sequence.count < pagesOf(length)) {
            if (sequence.count == sequence.pages.length) sequence.pages = Arrays.copyOf(sequence.pages, 2 * sequence.count);
            sequence.pages[sequence.count++] = take();
        }
    }

    private int take() {
        if (!free.isEmpty()) {
            int page = free.pop();
            owners[page] = 1;
            return page;
        }
        if (pages.size() == budget) throw new IllegalStateException("all %d pages of the key-value cache are in use".formatted(budget));
        pages.add(arena.allocate(pageBytes(config, format), 64));
        if (pages.size() > owners.length) owners = Arrays.copyOf(owners, 2 * owners.length);
        owners[pages.size() - 1] = 1;
        return pages.size() - 1;
    }

    /// A sequence that begins with the first `length` positions of `other`.
    Sequence fork(Sequence other, int length) {
        var sequence = new Sequence();
        sequence.pages = new int[Math.max(4, pagesOf(length))];
        for (int i = 0; i < length / POSITIONS; i++) {
            sequence.pages[i] = other.pages[i];
            owners[other.pages[i]]++;
        }
        sequence.count = length / POSITIONS;
        reserve(sequence, length);
        if (length % POSITIONS > 0) pages.get(sequence.pages[sequence.count - 1]).copyFrom(pages.get(other.pages[sequence.count - 1]));
        sequence.length = length;
        return sequence;
    }

    /// Gives the pages of a sequence back.
    void release(Sequence sequence) {
        for (int i = 0; i < sequence.count; i++) {
            if (--owners[sequence.pages[i]] == 0) free.push(sequence.pages[i]);
        }
        sequence.count = 0;
    }

    private long offset(int layer, int head) {
        return ((long) layer * config.keyValueHeads() + head) * format.bytes();
    }

    /// Stores key and value of one head at `position`, for which there is a page. One thread at a time for one head.
    void store(Sequence sequence, int layer, int head, int position, float[] keys, int keysAt, float[] values, int valuesAt) {
        format.store(pages.get(sequence.pages[position / POSITIONS]), offset(layer, head), position % POSITIONS, keys, keysAt, values, valuesAt);
    }

    /// Attention of one query over the first `length` positions: the mean of the values, weighted by the softmax of the products of keys with the query.
    ///
    /// @param query  already divided by the root of its dimension; from `at` on
    /// @param into   from `to` on; overwritten
    void attend(Sequence sequence, int layer, int head, int length, float[] query, int at, float[] into, int to, Scratch scratch) {
        float[] scores = scratch.scores;
        float querySum = Sums.of(query, at, config.headDimension());
        int dimension = config.headDimension(), count = pagesOf(length);
        long offset = offset(layer, head);
        for (int page = 0; page < count; page++) {
            format.scores(pages.get(sequence.pages[page]), offset, query, at, querySum, scores, page * POSITIONS, scratch.values);
        }
        VectorMath.exp(scores, 0, length, VectorMath.max(scores, 0, length));
        float total = Sums.of(scores, 0, length);
        Arrays.fill(into, to, to + dimension, 0);
        for (int page = 0; page < count; page++) {
            int from = page * POSITIONS;
            format.addValues(pages.get(sequence.pages[page]), offset, Math.min(POSITIONS, length - from), scores, from, into, to, scratch.values);
        }
        for (int i = 0; i < dimension; i++) into[to + i] /= total;
    }

    @Override
    public void close() {
        arena.close();
    }
}
