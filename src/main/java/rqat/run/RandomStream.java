package rqat.run;

/// Pseudorandom numbers that are the same on every machine and Java version. Number `i` of a seed is `f(seed + (i + 1) * GAMMA)` with
/// the functions of [Seeds] (the sequence of SplitMix64), so seed and position are the whole state.
///
/// Two seeds that differ by a small multiple of `GAMMA` give overlapping streams: derive seeds by [Seeds#mix]. Not for several threads.
public final class RandomStream {

    private final long seed;
    private long position;

    /// The stream of a seed, from its beginning.
    public RandomStream(long seed) {
        this(seed, 0);
    }

    /// The stream of a seed, from number `position` on.
    public RandomStream(long seed, long position) {
        this.seed = seed;
        this.position = position;
    }

    public long seed() {
        return seed;
    }

    /// How many 64-bit numbers have been drawn; with the seed all there is to save.
    public long position() {
        return position;
    }

    /// 64 uniform bits.
    public long nextLong() {
        return Seeds.finish(seed + ++position * Seeds.GAMMA);
    }

    /// Uniform on the multiples of 2^-53 in [0, 1).
    public double nextDouble() {
        return (nextLong() >>> 11) * 0x1p-53;
    }

    /// Uniform in [0, bound), without bias: the high half of a 128-bit product, rejecting the few low halves that would favour some
    /// results (Lemire: Fast random integer generation in an interval, 2019).
    public int nextInt(int bound) {
        if (bound <= 0) {
            throw new IllegalArgumentException("bound " + bound);
        }
        long bits = nextLong();
        if (Long.compareUnsigned(bits * bound, bound) < 0) {
            long threshold = Long.remainderUnsigned(-bound, bound);
            while (Long.compareUnsigned(bits * bound, threshold) < 0) {
                bits = nextLong();
            }
        }
        return (int) Math.unsignedMultiplyHigh(bits, bound);
    }

    public boolean nextBoolean() {
        return nextLong() < 0;
    }

    /// Standard normal: the cosine half of Box and Muller's pair, two draws each, in strict arithmetic.
    public double nextGaussian() {
        double radius = Math.sqrt(-2 * StrictMath.log(1 - nextDouble()));
        return radius * StrictMath.cos(2 * Math.PI * nextDouble());
    }

    /// The numbers 0 to n-1 in uniformly random order (Fisher and Yates, from the end).
    public int[] permutation(int n) {
        int[] order = new int[n];
        for (int i = 0; i < n; i++) {
            order[i] = i;
        }
        for (int i = n - 1; i > 0; i--) {
            int j = nextInt(i + 1);
            int swapped = order[i];
            order[i] = order[j];
            order[j] = swapped;
        }
        return order;
    }
}
