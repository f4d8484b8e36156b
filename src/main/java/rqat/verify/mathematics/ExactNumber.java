package rqat.verify.mathematics;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// An exact real number of the form `q1 sqrt(n1) + q2 sqrt(n2) + ...` with rational `q` and distinct square-free integers `n >= 1`.
/// Square roots of distinct square-free integers are linearly independent over the rationals, so two such numbers are equal exactly
/// when their maps are. What leaves this form (nested roots, cube roots of non-cubes) or its size limits throws [Unreadable].
///
/// @param terms square-free radicand to non-zero coefficient; empty for zero
record ExactNumber(SortedMap<Long, Rational> terms) {

    private static final int MAX_TERMS = 16;
    private static final int MAX_EXPONENT = 8192;
    private static final int MAX_ROOT = 64;
    /// Square-free parts are found by trial division up to the cube root, so this bounds one root to 1e5 divisions.
    private static final long MAX_RADICAND = 1_000_000_000_000_000L;
    /// Decimals are compared at 6 places; numbers whose coefficients are longer than this are only compared exactly.
    private static final int MAX_DECIMAL_BITS = 512;
    private static final MathContext DECIMAL = new MathContext(200);

    static ExactNumber of(Rational value) {
        return ofRoot(value, 1);
    }

    private static ExactNumber ofRoot(Rational coefficient, long radicand) {
        var terms = new TreeMap<Long, Rational>();
        if (!coefficient.isZero()) {
            terms.put(radicand, coefficient);
        }
        return new ExactNumber(terms);
    }

    boolean isRational() {
        return terms.isEmpty() || terms.size() == 1 && terms.containsKey(1L);
    }

    boolean isInteger() {
        return isRational() && rational().isInteger();
    }

    /// The value as a fraction.
    Rational rational() {
        if (!isRational()) {
            throw new Unreadable("irrational where a fraction is needed");
        }
        return terms.getOrDefault(1L, Rational.ZERO);
    }

    ExactNumber negate() {
        var result = new TreeMap<Long, Rational>();
        terms.forEach((radicand, coefficient) -> result.put(radicand, coefficient.negate()));
        return new ExactNumber(result);
    }

    ExactNumber plus(ExactNumber other, Budget budget) {
        var result = new TreeMap<>(terms);
        other.terms.forEach((radicand, coefficient) -> add(result, radicand, coefficient, budget));
        return new ExactNumber(result);
    }

    ExactNumber times(ExactNumber other, Budget budget) {
        var result = new TreeMap<Long, Rational>();
        for (Map.Entry<Long, Rational> a : terms.entrySet()) {
            for (Map.Entry<Long, Rational> b : other.terms.entrySet()) {
                // sqrt(m) sqrt(n) = g sqrt(m/g n/g) with g = gcd(m, n), and m/g n/g is square-free again
                long common = gcd(a.getKey(), b.getKey());
                long radicand = multiply(a.getKey() / common, b.getKey() / common);
                Rational coefficient = a.getValue().times(b.getValue(), budget).times(Rational.of(common), budget);
                add(result, radicand, coefficient, budget);
            }
        }
        return new ExactNumber(result);
    }

    /// Division by zero, by one term, or by two terms through their conjugate.
    ExactNumber dividedBy(ExactNumber divisor, Budget budget) {
        if (divisor.terms.isEmpty()) {
            throw new Unreadable("division by zero");
        }
        if (divisor.terms.size() > 2) {
            throw new Unreadable("division by a sum of more than two roots");
        }
        if (divisor.terms.size() == 1) {
            // 1 / (q sqrt(n)) = sqrt(n) / (q n)
            long radicand = divisor.terms.firstKey();
            Rational coefficient = Rational.ONE.dividedBy(
                    divisor.terms.get(radicand).times(Rational.of(radicand), budget), budget);
            return times(ofRoot(coefficient, radicand), budget);
        }
        // 1 / (u + v) = (u - v) / (u^2 - v^2), whose denominator is a fraction
        ExactNumber first = ofRoot(divisor.terms.get(divisor.terms.firstKey()), divisor.terms.firstKey());
        ExactNumber second = ofRoot(divisor.terms.get(divisor.terms.lastKey()), divisor.terms.lastKey());
        ExactNumber conjugate = first.plus(second.negate(), budget);
        return times(conjugate, budget).dividedBy(divisor.times(conjugate, budget), budget);
    }

    /// This to the power of a fraction `p/q`: repeated multiplication and, for `q > 1`, the root of a rational.
    ExactNumber power(Rational exponent, Budget budget) {
        if (exponent.numerator().bitLength() > 31 || exponent.denominator().bitLength() > 31) {
            throw new Unreadable("exponent too large");
        }
        ExactNumber power = power(exponent.numerator().intValueExact(), budget);
        return exponent.isInteger() ? power : power.root(exponent.denominator().intValueExact(), budget);
    }

    private ExactNumber power(int exponent, Budget budget) {
        if (Math.abs((long) exponent) > MAX_EXPONENT) {
            throw new Unreadable("exponent too large");
        }
        if (isRational()) {
            return of(rational().power(exponent, budget));
        }
        ExactNumber base = exponent < 0 ? of(Rational.ONE).dividedBy(this, budget) : this;
        ExactNumber result = of(Rational.ONE);
        for (int bit = 31 - Integer.numberOfLeadingZeros(Math.abs(exponent)); bit >= 0; bit--) {
            result = result.times(result, budget);
            result = (Math.abs(exponent) >> bit & 1) == 1 ? result.times(base, budget) : result;
        }
        return result;
    }

    /// The root of a rational: any square root of a moderate number, higher roots only when they are rational.
    ExactNumber root(int degree, Budget budget) {
        Rational value = rational();
        if (degree < 2 || degree > MAX_ROOT || value.numerator().signum() < 0 && degree % 2 == 0) {
            throw new Unreadable("root");
        }
        if (degree == 2) {
            return squareRoot(value, budget);
        }
        BigInteger magnitude = integerRoot(value.numerator().abs(), degree, budget);
        BigInteger denominator = integerRoot(value.denominator(), degree, budget);
        BigInteger numerator = value.numerator().signum() < 0 ? magnitude.negate() : magnitude;
        return of(Rational.of(numerator, denominator, budget));
    }

    private static ExactNumber squareRoot(Rational value, Budget budget) {
        // sqrt(a/b) = sqrt(a b) / b
        BigInteger product = value.numerator().multiply(value.denominator());
        budget.spend(1 + (long) product.bitLength() * product.bitLength() / 16_384);
        BigInteger[] root = product.sqrtAndRemainder();
        if (root[1].signum() == 0) {
            return of(Rational.of(root[0], value.denominator(), budget));
        }
        if (product.compareTo(BigInteger.valueOf(MAX_RADICAND)) > 0) {
            throw new Unreadable("radicand too large");
        }
        long rest = product.longValueExact();
        long outside = 1;
        long inside = 1;
        for (long p = 2; p * p * p <= rest; p++) {
            while (rest % (p * p) == 0) {
                outside *= p;
                rest /= p * p;
            }
            if (rest % p == 0) {
                inside *= p;
                rest /= p;
            }
            if (p % 16 == 0) {
                budget.spend(1);
            }
        }
        // No prime up to its cube root divides the rest: it is 1, a prime, a product of two primes or a square.
        long square = (long) Math.sqrt(rest);
        if (square * square == rest) {
            outside *= square;
        } else {
            inside *= rest;
        }
        return ofRoot(Rational.of(BigInteger.valueOf(outside), value.denominator(), budget), inside);
    }

    /// The exact integer root by bisection.
    private static BigInteger integerRoot(BigInteger value, int degree, Budget budget) {
        BigInteger low = BigInteger.ZERO;
        BigInteger high = BigInteger.ONE.shiftLeft(value.bitLength() / degree + 1);
        while (low.compareTo(high) < 0) {
            budget.spend(1 + value.bitLength() / 8);
            BigInteger middle = low.add(high).shiftRight(1);
            int order = middle.pow(degree).compareTo(value);
            if (order == 0) {
                return middle;
            }
            if (order < 0) {
                low = middle.add(BigInteger.ONE);
            } else {
                high = middle;
            }
        }
        throw new Unreadable("irrational root");
    }

    /// The value rounded half-even to that many decimal places, or null when it is too large to be worth it.
    @Nullable BigDecimal rounded(int places, Budget budget) {
        BigDecimal sum = BigDecimal.ZERO;
        for (Map.Entry<Long, Rational> term : terms.entrySet()) {
            Rational q = term.getValue();
            if (Math.max(q.numerator().bitLength(), q.denominator().bitLength()) > MAX_DECIMAL_BITS) {
                return null;
            }
            budget.spend(2000);
            sum = sum.add(q.toDecimal(DECIMAL).multiply(BigDecimal.valueOf(term.getKey()).sqrt(DECIMAL)));
        }
        return sum.setScale(places, RoundingMode.HALF_EVEN);
    }

    private static void add(TreeMap<Long, Rational> terms, long radicand, Rational coefficient, Budget budget) {
        Rational sum = terms.getOrDefault(radicand, Rational.ZERO).plus(coefficient, budget);
        if (sum.isZero()) {
            terms.remove(radicand);
        } else {
            terms.put(radicand, sum);
        }
        if (terms.size() > MAX_TERMS) {
            throw new Unreadable("too many roots");
        }
    }

    private static long multiply(long a, long b) {
        if (Math.multiplyHigh(a, b) != 0 || a * b < 0 || a * b > MAX_RADICAND) {
            throw new Unreadable("radicand too large");
        }
        return a * b;
    }

    private static long gcd(long a, long b) {
        while (b != 0) {
            long rest = a % b;
            a = b;
            b = rest;
        }
        return a;
    }
}
