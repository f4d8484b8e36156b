package rqat.verify.mathematics;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.Expression.Constant;
import rqat.verify.mathematics.Expression.Number;
import rqat.verify.mathematics.Expression.Percent;
import rqat.verify.mathematics.Expression.Power;
import rqat.verify.mathematics.Expression.Product;
import rqat.verify.mathematics.Expression.Sum;
import rqat.verify.mathematics.Expression.Symbol;
import rqat.verify.mathematics.NumericEvaluator.Point;

/// Whether two expressions have the same value: first exactly (sums of square roots, then quotients of polynomials), and where these do not
/// decide by their values at three points with 50 digits. The exact steps cannot err; at the points two different answers agree by chance
/// about as often as 50 random digits do.
final class ExpressionEquality {

    private ExpressionEquality() {}

    static boolean equal(Expression a, Expression b, Budget budget) {
        if (Expression.isUndefined(a) || Expression.isUndefined(b)) {
            return false;
        }
        if (a instanceof Number(Rational x, boolean _) && b instanceof Number(Rational y, boolean _)) {
            return x.equals(y);
        }
        if (a.equals(b)) {
            return true;
        }
        ExactNumber first = exact(a, budget);
        ExactNumber second = first == null ? null : exact(b, budget);
        if (first != null && second != null) {
            return first.equals(second);
        }
        Boolean formal = formallyEqual(a, b, budget);
        return formal != null ? formal : equalAtPoints(a, b, budget);
    }

    /// The value as a sum of square roots, or null when it is something else.
    static @Nullable ExactNumber exact(Expression expression, Budget budget) {
        try {
            return exactNumber(expression, budget);
        } catch (Unreadable e) {
            return null;
        }
    }

    private static ExactNumber exactNumber(Expression expression, Budget budget) {
        budget.spend(1);
        return switch (expression) {
            case Number(Rational value, boolean _) -> ExactNumber.of(value);
            case Percent(Expression value) -> exactNumber(value, budget).dividedBy(ExactNumber.of(Rational.of(100)), budget);
            case Sum(List<Expression> terms) -> {
                ExactNumber sum = exactNumber(terms.getFirst(), budget);
                for (Expression term : terms.subList(1, terms.size())) {
                    sum = sum.plus(exactNumber(term, budget), budget);
                }
                yield sum;
            }
            case Product(List<Expression> factors) -> {
                ExactNumber product = exactNumber(factors.getFirst(), budget);
                for (Expression factor : factors.subList(1, factors.size())) {
                    product = product.times(exactNumber(factor, budget), budget);
                }
                yield product;
            }
            // odd roots of negative numbers are complex here, not real
            case Power(Expression base, Number(Rational exponent, boolean _)) -> {
                ExactNumber value = exactNumber(base, budget);
                if (!exponent.isInteger() && (!value.isRational() || value.rational().numerator().signum() < 0)) {
                    throw new Unreadable("root of a negative number");
                }
                yield value.power(exponent, budget);
            }
            default -> throw new Unreadable("not a sum of square roots");
        };
    }

    /// Null when it cannot be told.
    private static @Nullable Boolean formallyEqual(Expression a, Expression b, Budget budget) {
        try {
            RationalFunction x = RationalFunction.of(a, budget);
            RationalFunction y = RationalFunction.of(b, budget);
            if (x.denominator().isZero() || y.denominator().isZero()) {
                return false;
            }
            boolean equal = x.isEqualTo(y, budget);
            return equal || x.free() && y.free() ? Boolean.valueOf(equal) : null;
        } catch (Unreadable e) {
            return null;
        }
    }

    /// Whether the values agree at every point where both exist, and both exist somewhere. Without variables all points are one.
    private static boolean equalAtPoints(Expression a, Expression b, Budget budget) {
        var variables = new HashMap<String, Symbol>();
        collectVariables(a, variables);
        collectVariables(b, variables);
        int compared = 0;
        for (Point point : variables.isEmpty() ? List.of(Point.POSITIVE) : List.of(Point.POSITIVE, Point.NEGATIVE, Point.MIXED)) {
            var first = new NumericEvaluator(point, budget);
            var second = new NumericEvaluator(point, budget);
            ComplexDecimal x = valueAt(a, first);
            ComplexDecimal y = valueAt(b, second);
            if ((x == null) != (y == null)) {
                return false;
            }
            if (x != null && y != null) {
                if (!NumericEvaluator.isNegligible(x.minus(y).modulus(), x.modulus().add(y.modulus()))) {
                    return false;
                }
                // `1 + e^{-200}` looks like 1 in these digits; what is formally the same has been found the same before.
                if (first.lostDigits() || second.lostDigits()) {
                    return false;
                }
                compared++;
            }
        }
        return compared > 0;
    }

    private static @Nullable ComplexDecimal valueAt(Expression expression, NumericEvaluator evaluator) {
        try {
            return evaluator.value(expression);
        } catch (Unreadable e) {
            return null;
        }
    }

    /// Whether two differences are zero for the same values of their variables: one is the other times a non-zero number, when both are
    /// brought to a common denominator.
    static boolean proportional(Expression a, Expression b, Budget budget) {
        try {
            return RationalFunction.of(a, budget).numerator().isProportionalTo(RationalFunction.of(b, budget).numerator(), budget);
        } catch (Unreadable e) {
            return false;
        }
    }

    /// The variables of an expression.
    static void collectVariables(Expression expression, Map<String, Symbol> variables) {
        NumericEvaluator.substitute(expression, symbol -> {
            variables.put(symbol.name(), symbol);
            return symbol;
        });
    }

    /// Whether an expression is the variable or the number e.
    static boolean isLetterE(Expression expression) {
        return expression.equals(new Constant("e"));
    }
}
