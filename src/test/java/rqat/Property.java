package rqat;

import rqat.run.RandomStream;
import rqat.run.Seeds;

/// Property tests: a check that must hold for random input. A failure names the seed of its case, and `-Dseed=...` repeats that one.
public final class Property {

    /// A check of one random case.
    @FunctionalInterface
    public interface Check {
        void run(RandomStream random) throws Exception;
    }

    private Property() {}

    /// Runs the check on `n` cases, the same ones every time.
    public static void forAll(int n, Check check) {
        String chosen = System.getProperty("seed");
        if (chosen != null) {
            runOne(Long.decode(chosen), check);
            return;
        }
        for (int i = 0; i < n; i++) {
            runOne(Seeds.mix(20260101, i), check);
        }
    }

    private static void runOne(long seed, Check check) {
        try {
            check.run(new RandomStream(seed));
        } catch (Throwable t) {
            throw new AssertionError("property failed; repeat with -Dseed=%d".formatted(seed), t);
        }
    }
}
