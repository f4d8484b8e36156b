package rqat.text;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.IntConsumer;

/// Byte-pair encoding of one piece of text (Sennrich, Haddow and Birch 2016, over bytes): start from the ids of the single bytes and keep
/// merging the adjacent pair that was learnt first, the leftmost one among equals, until no adjacent pair has a merge.
///
/// A heap over a linked list makes this `n log n`, because a single piece may be megabytes long.
final class BytePairEncoder {

    /// What an adjacent pair becomes; a lower `rank` was learnt earlier and is applied first.
    record Merge(int rank, int id) {}

    private static final int CACHED_PIECES = 1 << 16;
    private static final int CACHED_LENGTH = 64;

    private final Map<String, Integer> vocabulary;
    private final Map<Long, Merge> merges;
    private final int[] idOfByte = new int[256];
    private final int unknownId;
    private final boolean fuseUnknown;
    private final boolean ignoreMerges;
    private final Map<String, int[]> cache = new ConcurrentHashMap<>();

    /// `merges` is keyed by [#pair]; `unknownId` (-1 for none) stands for a byte that the vocabulary does not spell, and with
    /// `fuseUnknown` a run of such bytes is one token; with `ignoreMerges` a piece that is itself in the vocabulary is not taken apart.
    BytePairEncoder(
            Map<String, Integer> vocabulary,
            Map<Long, Merge> merges,
            int unknownId,
            boolean fuseUnknown,
            boolean ignoreMerges) {
        this.vocabulary = vocabulary;
        this.merges = merges;
        this.unknownId = unknownId;
        this.fuseUnknown = fuseUnknown;
        this.ignoreMerges = ignoreMerges;
        for (int b = 0; b < 256; b++) {
            idOfByte[b] = vocabulary.getOrDefault(String.valueOf(ByteAlphabet.character(b)), -1);
        }
    }

    /// The key of an adjacent pair of ids.
    static long pair(int left, int right) {
        // An odd multiplier makes the map below hash well; it is a bijection, so no two pairs share a key.
        return ((long) left << 32 | right) * 0x9E3779B97F4A7C15L;
    }

    /// Hands the ids of `piece` to `ids`, in order.
    void encode(String piece, IntConsumer ids) {
        int[] known = cache.get(piece);
        if (known == null) {
            known = merged(piece.getBytes(StandardCharsets.UTF_8));
            if (piece.length() <= CACHED_LENGTH && cache.size() < CACHED_PIECES) {
                cache.put(piece, known);
            }
        }
        for (int id : known) {
            ids.accept(id);
        }
    }

    private int[] merged(byte[] bytes) {
        if (ignoreMerges) {
            Integer whole = vocabulary.get(ByteAlphabet.spell(bytes));
            if (whole != null) {
                return new int[] {whole};
            }
        }
        int[] symbols = new int[bytes.length];
        int count = 0;
        boolean afterUnknown = false;
        for (byte b : bytes) {
            int id = idOfByte[b & 0xFF];
            boolean unknown = id < 0;
            if (!unknown) {
                symbols[count++] = id;
            } else if (unknownId >= 0 && !(fuseUnknown && afterUnknown)) {
                symbols[count++] = unknownId;
            }
            afterUnknown = unknown;
        }
        return merged(Arrays.copyOf(symbols, count));
    }

    private int[] merged(int[] symbols) {
        int count = symbols.length;
        int[] next = new int[count];
        int[] previous = new int[count];
        // Candidates as rank << 32 | position of the left symbol: the natural order is rank first, then leftmost.
        PriorityQueue<Long> candidates = new PriorityQueue<>(Math.max(1, count));
        for (int i = 0; i < count; i++) {
            next[i] = i + 1;
            previous[i] = i - 1;
            offer(candidates, symbols, i, i + 1);
        }
        Long candidate;
        while ((candidate = candidates.poll()) != null) {
            int left = candidate.intValue();
            int right = next[left];
            // A candidate is stale when either side has been merged away or changed since it was queued.
            Merge merge = symbols[left] < 0 || right >= count ? null : merges.get(pair(symbols[left], symbols[right]));
            if (merge == null || merge.rank != (int) (candidate >> 32)) {
                continue;
            }
            symbols[left] = merge.id;
            symbols[right] = -1;
            next[left] = next[right];
            if (next[left] < count) {
                previous[next[left]] = left;
            }
            offer(candidates, symbols, previous[left], left);
            offer(candidates, symbols, left, next[left]);
        }
        return Arrays.stream(symbols).filter(id -> id >= 0).toArray();
    }

    private void offer(PriorityQueue<Long> candidates, int[] symbols, int left, int right) {
        if (left >= 0 && right < symbols.length) {
            Merge merge = merges.get(pair(symbols[left], symbols[right]));
            if (merge != null) {
                candidates.add((long) merge.rank << 32 | left);
            }
        }
    }
}
