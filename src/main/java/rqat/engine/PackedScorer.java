package rqat.engine;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import rqat.Failure;
import rqat.generate.Choice;
import rqat.generate.Scorer;
import rqat.generate.TokenChooser;

/// Scores with the packed engine: sequences go through it one after another, in passes of [PackedDecoder#ROWS] tokens. Not for several threads at once.
public final class PackedScorer implements Scorer {
    /// Logits held at a time.
    private static final int LOGITS = 1 << 24;

    private final PackedModel model;

    /// A scorer over `model`, which stays the caller's.
    public PackedScorer(PackedModel model) {
        this.model = model;
    }

    @Override
    public List<float[]> score(List<int[]> sequences) {
        for (int i = 0; i < sequences.size(); i++) Scorer.check(i, sequences.get(i), model.config().maxPositions(), model.config().vocabularySize());
        int longest = sequences.stream().mapToInt(tokens -> tokens.length).max().orElse(1);
        var results = new ArrayList<float[]>(sequences.size());
        try (var cache = new PagedCache(model.config(), model.cache(), PagedCache.pagesOf(longest))) {
            var decoder = new PackedDecoder(model, cache);
            for (int[] tokens : sequences) {
                if (Thread.interrupted()) {
                    throw Failure.interrupted("interrupted after scoring %d of %d sequences".formatted(results.size(), sequences.size()));
                }
                var sequence = new PagedCache.Sequence();
                cache.reserve(sequence, tokens.length);
                float[] result = new float[tokens.length - 1];
                for (int from = 0; from < result.length; from += PackedDecoder.ROWS) {
                    int first = from, count = Math.min(PackedDecoder.ROWS, result.length - from);
                    var rows = new ArrayList<PackedDecoder.Row>(count);
                    for (int i = 0; i < count; i++) rows.add(new PackedDecoder.Row(tokens[from + i], sequence, from + i));
                    float[] hidden = decoder.hidden(rows);
                    int[] all = new int[count];
                    Arrays.setAll(all, i -> i);
                    score(model, decoder, hidden, all, (i, row) -> result[first + i] = row.logProbability(tokens[first + i + 1]));
                }
                cache.release(sequence);
                results.add(result);
            }
        }
        return results;
    }

    /// The logits of one row, with what makes them log-probabilities.
    record LogitsRow(float[] logits, int at, int count, float max, double logSum) {
        float logProbability(int token) {
            return (float) ((double) logits[at + token] - max - logSum);
        }

        /// The token with the most probable ones beside it.
        Choice choice(int token, int alternatives) {
            var others = new ArrayList<Choice.Alternative>(alternatives);
            if (alternatives > 0) {
                float[] values = new float[count];
                for (int i = 0; i < count; i++) values[i] = (float) Math.exp((double) logits[at + i] - max - logSum);
                for (int id : TokenChooser.mostProbable(values, alternatives)) others.add(new Choice.Alternative(id, logProbability(id)));
            }
            return new Choice(token, logProbability(token), others);
        }
    }

    /// Hears of rows in any order, from several threads.
    @FunctionalInterface
    interface RowReader {
        void read(int index, LogitsRow row);
    }

    /// Makes the logits of `rows` of `hidden`, some at a time.
    static void score(PackedModel model, PackedDecoder decoder, float[] hidden, int[] rows, RowReader reader) {
        int vocabulary = model.config().vocabularySize(), together = Math.max(1, LOGITS / decoder.logitsWidth());
        float[][] exponentials = new float[model.workers().threads()][];
        for (int from = 0; from < rows.length; from += together) {
            int first = from;
            int[] part = Arrays.copyOfRange(rows, from, Math.min(from + together, rows.length));
            float[] logits = decoder.logits(hidden, part);
            model.workers().run(part.length, (i, worker) -> {
                if (exponentials[worker] == null) exponentials[worker] = new float[decoder.logitsWidth()];
                reader.read(first + i, softmax(logits, i * decoder.logitsWidth(), vocabulary, 1, exponentials[worker]));
            });
        }
    }

    /// @param exponentials at least as long as a row of logits; its first `count` values become `exp((logit - max) / divisor)`
    static LogitsRow softmax(float[] logits, int at, int count, float divisor, float[] exponentials) {
        System.arraycopy(logits, at, exponentials, 0, count);
        if (divisor != 1) {
            for (int i = 0; i < count; i++) exponentials[i] /= divisor;
        }
        float max = VectorMath.max(exponentials, 0, count);
        VectorMath.exp(exponentials, 0, count, max);
        return new LogitsRow(logits, at, count, max, Math.log(Sums.wide(exponentials, 0, count)));
    }
}
