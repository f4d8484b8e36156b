package rqat.verify.mathematics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.math.BigInteger;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ExactNumberTest {

    private final Budget budget = new Budget();

    private ExactNumber root(long n) {
        return ExactNumber.of(Rational.of(n)).root(2, budget);
    }

    /// Every square root up to 2,000 against brute force: the largest square that divides it comes out, and the rest is square-free.
    @Test
    void squareRootsAreFullyReduced() {
        for (int n = 1; n <= 2_000; n++) {
            int outside = 1;
            for (int k = 1; k * k <= n; k++) {
                outside = n % (k * k) == 0 ? k : outside;
            }
            ExactNumber root = ExactNumber.of(Rational.of(n)).root(2, new Budget());
            assertThat(root.terms()).containsExactlyEntriesOf(
                    new java.util.TreeMap<>(java.util.Map.of((long) (n / (outside * outside)), Rational.of(outside))));
        }
    }

    /// Beyond the cube root the rest may be a prime, a product of two primes or a square of one; all three are decided.
    @Test
    void largePrimeFactorsAreDecided() {
        long p = 9_999_991;
        long q = 9_999_973;
        assertThat(root(p * q).terms()).containsOnlyKeys(p * q);
        assertThat(root(p * p)).isEqualTo(ExactNumber.of(Rational.of(p)));
        assertThat(root(2 * p * p)).isEqualTo(root(2).times(ExactNumber.of(Rational.of(p)), budget));
    }

    /// Field laws on random sums of two roots, and agreement with floating point.
    @Test
    void arithmeticAgreesWithItself() {
        for (int seed = 0; seed < 300; seed++) {
            var random = new Random(seed);
            var fresh = new Budget();
            ExactNumber a = sample(random, fresh);
            ExactNumber b = sample(random, fresh);
            if (b.terms().isEmpty() || b.terms().size() > 2) {
                continue;
            }
            ExactNumber quotient = a.dividedBy(b, fresh);
            assertThat(quotient.times(b, fresh)).as("seed %d", seed).isEqualTo(a);
            assertThat(a.plus(b, fresh).power(Rational.of(2), fresh)).as("seed %d", seed)
                    .isEqualTo(a.times(a, fresh).plus(b.times(b, fresh), fresh).plus(a.times(b, fresh).times(ExactNumber.of(Rational.of(2)), fresh), fresh));
            assertThat(quotient.rounded(6, fresh).doubleValue()).as("seed %d", seed)
                    .isCloseTo(value(a) / value(b), within(1e-6 + 1e-9 * Math.abs(value(a) / value(b))));
        }
    }

    private static ExactNumber sample(Random random, Budget budget) {
        ExactNumber sum = ExactNumber.of(Rational.ZERO);
        for (int i = 0; i < 2; i++) {
            Rational q = Rational.of(BigInteger.valueOf(random.nextInt(19) - 9), BigInteger.valueOf(1 + random.nextInt(9)), budget);
            sum = sum.plus(ExactNumber.of(q).times(ExactNumber.of(Rational.of(1 + random.nextInt(30))).root(2, budget), budget), budget);
        }
        return sum;
    }

    private static double value(ExactNumber number) {
        return number.terms().entrySet().stream()
                .mapToDouble(term -> term.getValue().numerator().doubleValue() / term.getValue().denominator().doubleValue() * Math.sqrt(term.getKey()))
                .sum();
    }
}
