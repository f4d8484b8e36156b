package rqat.verify.mathematics;

import java.util.List;
import rqat.verify.mathematics.Expression.Constant;
import rqat.verify.mathematics.Expression.Number;
import rqat.verify.mathematics.Expression.Percent;
import rqat.verify.mathematics.Expression.Power;
import rqat.verify.mathematics.Expression.Product;
import rqat.verify.mathematics.Expression.Sum;
import rqat.verify.mathematics.Expression.Symbol;

/// A quotient of polynomials. Variables are generators; so is whatever is no rational operation (`\sqrt{2}`, `\sin x`, `\pi`), which may
/// obey further equations: then only equality is certain, not inequality.
///
/// @param free whether all generators are variables
record RationalFunction(Polynomial numerator, Polynomial denominator, boolean free) {

    /// The quotient that an expression is.
    ///
    /// @throws Unreadable when it is too large, or divides by zero
    static RationalFunction of(Expression expression, Budget budget) {
        budget.spend(2);
        return switch (expression) {
            case Number(Rational value, boolean _) -> of(Polynomial.constant(value), true);
            case Percent(Expression value) -> of(value, budget).times(of(Polynomial.constant(Rational.ONE.dividedBy(Rational.of(100), budget)), true), budget);
            case Symbol(String name, boolean real) -> of(Polynomial.generator(real ? name : name + "*"), true);
            case Sum(List<Expression> terms) -> {
                RationalFunction sum = of(terms.getFirst(), budget);
                for (Expression term : terms.subList(1, terms.size())) {
                    sum = sum.plus(of(term, budget), budget);
                }
                yield sum;
            }
            case Product(List<Expression> factors) -> {
                RationalFunction product = of(factors.getFirst(), budget);
                for (Expression factor : factors.subList(1, factors.size())) {
                    product = product.times(of(factor, budget), budget);
                }
                yield product;
            }
            case Power(Expression base, Number(Rational exponent, boolean _)) when exponent.isInteger() && exponent.numerator().bitLength() < 31 ->
                    of(base, budget).power(exponent.numerator().intValueExact(), budget);
            case Constant(String name) when name.equals("infinity") || name.equals("undefined") -> throw new Unreadable("not a number");
            default -> of(Polynomial.generator(expression.toString()), false);
        };
    }

    private static RationalFunction of(Polynomial polynomial, boolean free) {
        return new RationalFunction(polynomial, Polynomial.ONE, free);
    }

    private RationalFunction plus(RationalFunction other, Budget budget) {
        if (denominator.equals(other.denominator)) {
            return new RationalFunction(numerator.plus(other.numerator, budget), denominator, free && other.free);
        }
        return new RationalFunction(
                numerator.times(other.denominator, budget).plus(other.numerator.times(denominator, budget), budget),
                denominator.times(other.denominator, budget),
                free && other.free);
    }

    private RationalFunction times(RationalFunction other, Budget budget) {
        return new RationalFunction(
                numerator.times(other.numerator, budget), denominator.times(other.denominator, budget), free && other.free);
    }

    private RationalFunction power(int exponent, Budget budget) {
        if (exponent < 0) {
            if (numerator.isZero()) {
                throw new Unreadable("division by zero");
            }
            return new RationalFunction(denominator, numerator, free).power(Math.negateExact(exponent), budget);
        }
        return new RationalFunction(numerator.power(exponent, budget), denominator.power(exponent, budget), free);
    }

    /// Whether two quotients are formally the same.
    boolean isEqualTo(RationalFunction other, Budget budget) {
        return numerator.times(other.denominator, budget).equals(other.numerator.times(denominator, budget));
    }
}
