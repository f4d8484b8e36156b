package rqat.generate;

import java.util.Arrays;

/// Chooses one token from one row of probabilities. Plain Java: the result depends on the row and one random number only, never on what
/// else is in the batch.
///
/// Sampling is by inverse CDF over the kept tokens in the order of their ids: the first token at which the cumulative mass exceeds `u`
/// times the kept mass. Which tokens are kept is decided in the order of descending probability, equals by ascending id.
final class TokenChooser {
    private TokenChooser() {}

    /// The id chosen by `u` in [0, 1) from `probabilities`, the softmax of the tempered logits.
    ///
    /// @throws IllegalArgumentException when they are not numbers
    static int choose(Sampling sampling, float[] probabilities, double u) {
        if (sampling.temperature() == 0) return mostProbable(probabilities);
        if (sampling.topK() == 0 && sampling.topP() == 1) return pick(probabilities, u);
        int[] kept = kept(sampling, probabilities);
        float[] keptProbabilities = new float[kept.length];
        for (int i = 0; i < kept.length; i++) keptProbabilities[i] = probabilities[kept[i]];
        return kept[pick(keptProbabilities, u)];
    }

    private static int mostProbable(float[] probabilities) {
        int best = 0;
        for (int id = 1; id < probabilities.length; id++) {
            if (probabilities[id] > probabilities[best]) best = id;
        }
        if (!(probabilities[best] > 0)) throw new IllegalArgumentException("no token has a probability");
        return best;
    }

    private static int pick(float[] probabilities, double u) {
        double mass = 0;
        for (float probability : probabilities) mass += probability;
        if (!(mass > 0)) throw new IllegalArgumentException("no token has a probability");
        double target = u * mass;
        double cumulative = 0;
        int index = 0;
        // The mass is summed in the same order, so the cumulative mass ends at it exactly, and u < 1 ends the loop in time.
        while ((cumulative += probabilities[index]) <= target) index++;
        return index;
    }

    /// The ids that top-k and then top-p keep, ascending.
    private static int[] kept(Sampling sampling, float[] probabilities) {
        long[] candidates = sampling.topK() > 0
                ? largest(probabilities, Math.min(sampling.topK(), probabilities.length))
                : contenders(probabilities, sampling.topP());
        double mass = 0;
        if (sampling.topK() > 0) {
            for (long key : candidates) mass += probabilities[(int) key];
        } else {
            for (float probability : probabilities) mass += probability;
        }
        double cumulative = 0;
        int count = 0;
        while (count < candidates.length && (count == 0 || cumulative < sampling.topP() * mass)) {
            cumulative += probabilities[(int) candidates[count++]];
        }
        int[] ids = new int[count];
        for (int i = 0; i < count; i++) ids[i] = (int) candidates[i];
        Arrays.sort(ids);
        return ids;
    }

    /// Sorts ascending as "more probable first, then lower id first"; the id is the low half.
    private static long key(float probability, int id) {
        // The bits of non-negative floats are ordered as the floats are.
        return (long) ~Float.floatToRawIntBits(probability) << 32 | id;
    }

    /// The keys of the `k` most probable tokens, best first.
    private static long[] largest(float[] probabilities, int k) {
        long[] best = new long[k];
        Arrays.fill(best, Long.MAX_VALUE);
        for (int id = 0; id < probabilities.length; id++) {
            long key = key(probabilities[id], id);
            if (key >= best[k - 1]) continue;
            int place = -Arrays.binarySearch(best, key) - 1;
            System.arraycopy(best, place, best, place + 1, k - 1 - place);
            best[place] = key;
        }
        return best;
    }

    /// The keys, best first, of all tokens that can be among the most probable ones of mass `topP`. All tokens below `(1 - topP) / V` have
    /// less than `1 - topP` together, so the others suffice, and in a confident model they are few (half that bound leaves room for rounding).
    private static long[] contenders(float[] probabilities, double topP) {
        double floor = (1 - topP) / (2.0 * probabilities.length);
        long[] keys = new long[probabilities.length];
        int count = 0;
        for (int id = 0; id < probabilities.length; id++) {
            if (probabilities[id] >= floor) keys[count++] = key(probabilities[id], id);
        }
        keys = Arrays.copyOf(keys, count);
        Arrays.sort(keys);
        return keys;
    }
}
