package rqat.generate;

import java.util.ArrayList;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// Chooses one token from one row of probabilities. Plain Java: the result depends on the row and one random number only, never on what
/// else is in the batch.
///
/// Which tokens are kept is decided in the order of descending probability, equals by ascending id, so the last that is kept says it all.
/// Sampling is by inverse CDF over the kept tokens in the order of their ids: the first token at which the cumulative mass exceeds `u`
/// times the kept mass.
public final class TokenChooser {
    /// Low bits of a float that do not matter to its bucket in [#nucleus]: those of one bucket differ by up to 12 per cent.
    private static final int SHIFT = 20;
    private static final int BUCKETS = (Float.floatToRawIntBits(1) >>> SHIFT) + 1;

    private static final int[] NOTHING = {};

    private TokenChooser() {}

    /// The choice that `draw` makes from `probabilities`, the softmax of the tempered logits; null when they are not numbers.
    public static @Nullable Choice choose(StepModel.Draw draw, float[] probabilities) {
        int token;
        try {
            token = choose(draw.sampling(), probabilities, draw.uniform());
        } catch (IllegalArgumentException e) {
            return null;
        }
        var alternatives = new ArrayList<Choice.Alternative>(draw.alternatives());
        for (int id : mostProbable(probabilities, draw.alternatives())) {
            alternatives.add(new Choice.Alternative(id, (float) Math.log(probabilities[id])));
        }
        return new Choice(token, (float) Math.log(probabilities[token]), alternatives);
    }

    /// The ids of the `count` most probable tokens, the most probable first, equals by ascending id.
    public static int[] mostProbable(float[] probabilities, int count) {
        return count == 0 ? NOTHING : Arrays.stream(best(probabilities, count)).mapToInt(key -> (int) key).toArray();
    }

    /// The id chosen by `u` in [0, 1) from `probabilities`, the softmax of the tempered logits.
    ///
    /// @throws IllegalArgumentException when they are not numbers
    static int choose(Sampling sampling, float[] probabilities, double u) {
        if (sampling.temperature() == 0) return mostProbable(probabilities);
        if (sampling.topK() > 0) return pick(probabilities, largest(probabilities, sampling), u);
        return pick(probabilities, sampling.topP() == 1 ? Long.MAX_VALUE : nucleus(probabilities, sampling.topP()), u);
    }

    private static int mostProbable(float[] probabilities) {
        int best = 0;
        for (int id = 1; id < probabilities.length; id++) {
            if (probabilities[id] > probabilities[best]) best = id;
        }
        if (!(probabilities[best] > 0)) throw new IllegalArgumentException("no token has a probability");
        return best;
    }

    /// Chooses among the tokens whose key is not above `last`.
    private static int pick(float[] probabilities, long last, double u) {
        double mass = 0;
        for (int id = 0; id < probabilities.length; id++) {
            if (key(probabilities[id], id) <= last) mass += probabilities[id];
        }
        if (!(mass > 0)) throw new IllegalArgumentException("no token has a probability");
        double target = u * mass;
        double cumulative = 0;
        int id = 0;
        // The mass is summed in the same order, so the cumulative mass ends at it exactly, and u < 1 ends the loop in time.
        while (true) {
            if (key(probabilities[id], id) <= last && (cumulative += probabilities[id]) > target) return id;
            id++;
        }
    }

    /// Sorts ascending as "more probable first, then lower id first"; the id is the low half.
    private static long key(float probability, int id) {
        // The bits of non-negative floats are ordered as the floats are.
        return (long) ~Float.floatToRawIntBits(probability) << 32 | id;
    }

    /// The key of the last token that top-k and then top-p keep.
    private static long largest(float[] probabilities, Sampling sampling) {
        long[] best = best(probabilities, sampling.topK());
        double mass = 0;
        for (long key : best) mass += probabilities[(int) key];
        return reaching(probabilities, best, 0, sampling.topP() * mass);
    }

    /// The keys of the `count` most probable tokens, sorted.
    private static long[] best(float[] probabilities, int count) {
        long[] best = new long[Math.min(count, probabilities.length)];
        Arrays.fill(best, Long.MAX_VALUE);
        for (int id = 0; id < probabilities.length; id++) {
            long key = key(probabilities[id], id);
            if (key >= best[best.length - 1]) continue;
            int place = -Arrays.binarySearch(best, key) - 1;
            System.arraycopy(best, place, best, place + 1, best.length - 1 - place);
            best[place] = key;
        }
        return best;
    }

    /// The key of the last of the most probable tokens that together have the share `topP` of the mass. Only the tokens between whose
    /// probabilities the share is reached are sorted: a vocabulary has a hundred thousand.
    private static long nucleus(float[] probabilities, double topP) {
        double[] masses = new double[BUCKETS];
        double mass = 0;
        for (float probability : probabilities) {
            masses[bucket(probability)] += probability;
            mass += probability;
        }
        double target = topP * mass;
        double cumulative = 0;
        int bucket = BUCKETS - 1;
        while (bucket > 0 && cumulative + masses[bucket] < target) cumulative += masses[bucket--];
        long[] keys = new long[probabilities.length];
        int count = 0;
        for (int id = 0; id < probabilities.length; id++) {
            if (bucket(probabilities[id]) == bucket) keys[count++] = key(probabilities[id], id);
        }
        keys = Arrays.copyOf(keys, count);
        Arrays.sort(keys);
        return reaching(probabilities, keys, cumulative, target);
    }

    private static int bucket(float probability) {
        return Math.min(Float.floatToRawIntBits(probability) >>> SHIFT, BUCKETS - 1);
    }

    /// The first of `keys`, sorted, with which the mass, `cumulative` before them, reaches `target`; if none does, the last.
    private static long reaching(float[] probabilities, long[] keys, double cumulative, double target) {
        for (long key : keys) {
            cumulative += probabilities[(int) key];
            if (cumulative >= target) return key;
        }
        return keys.length == 0 ? Long.MIN_VALUE : keys[keys.length - 1];
    }
}
