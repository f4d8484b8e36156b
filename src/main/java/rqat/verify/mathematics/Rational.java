package rqat.verify.mathematics;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;

/// An exact fraction in lowest terms with a positive denominator, of bounded size: an operation whose result needs more than
/// [#MAX_BITS] bits throws [Unreadable].
record Rational(BigInteger numerator, BigInteger denominator) {

    /// The longest numerator or denominator: 1,233 decimal digits.
    static final int MAX_BITS = 4096;

    static final Rational ZERO = new Rational(BigInteger.ZERO, BigInteger.ONE);
    static final Rational ONE = new Rational(BigInteger.ONE, BigInteger.ONE);

    static Rational of(long value) {
        return new Rational(BigInteger.valueOf(value), BigInteger.ONE);
    }

    /// Reduces and checks the size.
    static Rational of(BigInteger numerator, BigInteger denominator, Budget budget) {
        if (denominator.signum() == 0) {
            throw new Unreadable("division by zero");
        }
        long words = (Math.max(numerator.bitLength(), denominator.bitLength()) + 31) / 32;
        budget.spend(1 + words * words / 8);
        BigInteger divisor = numerator.gcd(denominator);
        divisor = denominator.signum() < 0 ? divisor.negate() : divisor;
        BigInteger n = numerator.divide(divisor);
        BigInteger d = denominator.divide(divisor);
        if (Math.max(n.bitLength(), d.bitLength()) > MAX_BITS) {
            throw new Unreadable("number too large");
        }
        return new Rational(n, d);
    }

    boolean isZero() {
        return numerator.signum() == 0;
    }

    boolean isInteger() {
        return denominator.equals(BigInteger.ONE);
    }

    Rational negate() {
        return new Rational(numerator.negate(), denominator);
    }

    Rational plus(Rational other, Budget budget) {
        return of(numerator.multiply(other.denominator).add(other.numerator.multiply(denominator)),
                denominator.multiply(other.denominator), budget);
    }

    Rational minus(Rational other, Budget budget) {
        return plus(other.negate(), budget);
    }

    Rational times(Rational other, Budget budget) {
        return of(numerator.multiply(other.numerator), denominator.multiply(other.denominator), budget);
    }

    Rational dividedBy(Rational other, Budget budget) {
        return of(numerator.multiply(other.denominator), denominator.multiply(other.numerator), budget);
    }

    /// This to an integer power; the size of the result is checked before it is computed.
    Rational power(int exponent, Budget budget) {
        if (exponent < 0) {
            return ONE.dividedBy(this, budget).power(Math.negateExact(exponent), budget);
        }
        if (exponent == 0 && isZero()) {
            throw new Unreadable("0^0");
        }
        long bits = (long) Math.max(numerator.bitLength() - 1, denominator.bitLength() - 1) * exponent;
        if (bits > MAX_BITS) {
            throw new Unreadable("power too large");
        }
        budget.spend(1 + bits / 32);
        return of(numerator.pow(exponent), denominator.pow(exponent), budget);
    }

    BigDecimal toDecimal(MathContext precision) {
        return new BigDecimal(numerator).divide(new BigDecimal(denominator), precision);
    }
}
