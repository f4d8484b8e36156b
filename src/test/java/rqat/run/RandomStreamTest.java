package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class RandomStreamTest {

    @Test
    void isTheSequenceOfSplitMix64() {
        for (long seed : new long[] {0, 1, -1, 42, Long.MIN_VALUE, 0x1234567890abcdefL}) {
            SplittableRandom reference = new SplittableRandom(seed);
            RandomStream stream = new RandomStream(seed);
            for (int i = 0; i < 100; i++) {
                assertThat(stream.nextLong()).isEqualTo(reference.nextLong());
            }
        }
    }

    @Test
    void seedAndPositionAreTheWholeState() {
        RandomStream stream = new RandomStream(7);
        stream.permutation(13);
        stream.nextGaussian();
        stream.nextInt(3);
        RandomStream resumed = new RandomStream(stream.seed(), stream.position());
        assertThat(resumed.nextLong()).isEqualTo(stream.nextLong());
        assertThat(resumed.nextGaussian()).isEqualTo(stream.nextGaussian());
    }

    @Test
    void boundedIntegersAreUniform() {
        RandomStream stream = new RandomStream(3);
        int[] counts = new int[7];
        int n = 70_000;
        for (int i = 0; i < n; i++) {
            counts[stream.nextInt(7)]++;
        }
        double chiSquare = Arrays.stream(counts).mapToDouble(c -> (c - n / 7.0) * (c - n / 7.0) / (n / 7.0)).sum();
        assertThat(chiSquare).as("6 degrees of freedom, 0.1 % point").isLessThan(22.46);
        assertThat(stream.nextInt(1)).isZero();
        assertThat(stream.nextInt(Integer.MAX_VALUE)).isBetween(0, Integer.MAX_VALUE - 1);
        assertThatThrownBy(() -> stream.nextInt(0)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void gaussiansHaveTheMomentsOfTheNormalDistribution() {
        RandomStream stream = new RandomStream(5);
        int n = 200_000;
        double[] sums = new double[4];
        for (int i = 0; i < n; i++) {
            double x = stream.nextGaussian();
            for (int k = 0; k < 4; k++) {
                sums[k] += Math.pow(x, k + 1) / n;
            }
        }
        assertThat(sums[0]).isCloseTo(0, within(0.01));
        assertThat(sums[1]).isCloseTo(1, within(0.02));
        assertThat(sums[2]).isCloseTo(0, within(0.04));
        assertThat(sums[3]).isCloseTo(3, within(0.1));
    }

    @Test
    void doublesLieInTheHalfOpenUnitInterval() {
        RandomStream stream = new RandomStream(9);
        double sum = 0;
        for (int i = 0; i < 100_000; i++) {
            double x = stream.nextDouble();
            assertThat(x).isGreaterThanOrEqualTo(0).isLessThan(1);
            sum += x;
        }
        assertThat(sum / 100_000).isCloseTo(0.5, within(0.005));
    }

    @Test
    void permutationsAreUniformAndComplete() {
        RandomStream stream = new RandomStream(11);
        int[] counts = new int[6];
        for (int i = 0; i < 6000; i++) {
            int[] order = stream.permutation(3);
            assertThat(order).containsExactlyInAnyOrder(0, 1, 2);
            counts[order[0] * 2 + (order[1] > order[2] ? 1 : 0)]++;
        }
        assertThat(IntStream.of(counts)).allMatch(c -> c > 850 && c < 1150);
        assertThat(stream.permutation(0)).isEmpty();
    }

    @Test
    void mixedSeedsDependOnEveryPartAndOnTheirOrder() {
        Set<Long> seen = new HashSet<>();
        for (long seed = -20; seed < 20; seed++) {
            seen.add(Seeds.mix(seed));
            for (long a = -20; a < 20; a++) {
                seen.add(Seeds.mix(seed, a));
                for (long b = -20; b < 20; b++) {
                    seen.add(Seeds.mix(seed, a, b));
                }
            }
        }
        assertThat(seen).hasSize(40 + 1600 + 64000);
    }

    @Test
    void oneBitOfInputChangesHalfTheBitsOfOutput() {
        double flipped = 0;
        for (int bit = 0; bit < 64; bit++) {
            flipped += Long.bitCount(Seeds.mix(1, 99) ^ Seeds.mix(1, 99 ^ (1L << bit))) / 64.0;
        }
        assertThat(flipped).isCloseTo(32, within(1.5));
    }

    /// Written down once: a change here changes every run ever made.
    @Test
    void derivedSeedsNeverChange() {
        assertThat(Seeds.mix(0)).isEqualTo(new SplittableRandom(0).nextLong());
        assertThat(Seeds.ofString("")).isEqualTo(Seeds.finish(0xcbf29ce484222325L));
        assertThat(Seeds.ofString("a")).isEqualTo(Seeds.finish(0xaf63dc4c8601ec8cL));
        long h = splitMix(1 + GAMMA);
        h = splitMix(h + GAMMA ^ splitMix(2 + GAMMA));
        h = splitMix(h + GAMMA ^ splitMix(3 + GAMMA));
        assertThat(Seeds.mix(1, 2, 3)).isEqualTo(h);
    }

    private static final long GAMMA = 0x9e3779b97f4a7c15L;

    /// The output function through the JDK: its first number of a seed is `f(seed + GAMMA)`.
    private static long splitMix(long z) {
        return new SplittableRandom(z - GAMMA).nextLong();
    }
}
