package rqat.train;

import java.util.ArrayList;
import java.util.List;
import java.util.function.LongFunction;
import rqat.data.TokenSequence;
import rqat.run.RandomStream;
import rqat.run.Seeds;

/// Sequences in a new random order every epoch, `batch` of them per step; a step may span two epochs. The order is a pure function of
/// seed and step, so a resumed run needs no cursor.
///
/// @param sequences the training set, in a fixed order
/// @param batch     sequences per optimiser step
public record ShuffledBatches(List<TokenSequence> sequences, int batch, long seed) implements LongFunction<List<TokenSequence>> {

    /// Checks that there is something to draw.
    public ShuffledBatches {
        if (sequences.isEmpty()) throw new IllegalArgumentException("no training sequence");
        if (batch < 1) throw new IllegalArgumentException("batch of %d sequences; expected at least 1".formatted(batch));
    }

    @Override
    public List<TokenSequence> apply(long step) {
        var result = new ArrayList<TokenSequence>(batch);
        long first = Math.multiplyExact(step, batch);
        long epoch = -1;
        int[] order = {};
        for (long i = first; i < first + batch; i++) {
            if (epoch != i / sequences.size()) {
                epoch = i / sequences.size();
                order = new RandomStream(Seeds.mix(seed, Seeds.ofString("epoch"), epoch)).permutation(sequences.size());
            }
            result.add(sequences.get(order[(int) (i % sequences.size())]));
        }
        return result;
    }
}
