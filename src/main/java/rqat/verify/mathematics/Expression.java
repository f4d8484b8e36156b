package rqat.verify.mathematics;

import java.util.ArrayList;
import java.util.List;

/// A formula or statement as written, hardly simplified; made by [StatementParser], compared by [StatementEquality].
///
/// Sums and products are flat, so the depth of a tree is bounded by the depth that the parser allows.
sealed interface Expression {

    /// One.
    Number ONE = new Number(Rational.ONE, false);
    /// Minus one.
    Number MINUS_ONE = new Number(Rational.of(-1), false);
    /// What division by zero gives; equal to nothing, not even itself.
    Constant UNDEFINED = new Constant("undefined");

    /// A rational number.
    ///
    /// @param decimal whether it was written with a decimal point, which makes it an approximation when compared with other numbers
    record Number(Rational value, boolean decimal) implements Expression {
        boolean isInteger() {
            return !decimal && value.isInteger();
        }

        Number negate() {
            return new Number(value.negate(), decimal);
        }
    }

    /// One of `pi`, `e`, `i`, `infinity`, `gamma` and [#UNDEFINED].
    record Constant(String name) implements Expression {}

    /// A variable.
    ///
    /// @param real whether it stands for a real number; variables that differ in this are different
    record Symbol(String name, boolean real) implements Expression {}

    /// Two or more terms.
    record Sum(List<Expression> terms) implements Expression {}

    /// Two or more factors.
    record Product(List<Expression> factors) implements Expression {}

    /// A power; also roots and quotients.
    record Power(Expression base, Expression exponent) implements Expression {}

    /// A function of its arguments, known (`sin`) or not (`f`); also sums over an index, integrals and limits.
    record Call(String name, List<Expression> arguments) implements Expression {}

    /// A number of hundredths.
    record Percent(Expression value) implements Expression {}

    /// A matrix by rows.
    record Matrix(int columns, List<Expression> entries) implements Expression {
        int rows() {
            return entries.size() / columns;
        }

        Expression at(int row, int column) {
            return entries.get(row * columns + column);
        }
    }

    /// Several values without order, kept in the order written.
    record FiniteSet(List<Expression> elements) implements Expression {}

    /// Several values with order.
    record Tuple(List<Expression> elements) implements Expression {}

    /// The numbers between two ends. `(a, b)` may also be meant as a pair.
    record Interval(Expression start, Expression end, boolean leftOpen, boolean rightOpen) implements Expression {
        boolean isOpen() {
            return leftOpen && rightOpen;
        }
    }

    /// `N`, `Z`, `Q`, `R`, `C`, `P`, or the empty set, written as an empty name.
    record NamedSet(String name) implements Expression {}

    /// What is done with two sets.
    enum SetOperator { UNION, INTERSECTION, DIFFERENCE }

    /// A set made of two sets.
    record Combination(SetOperator operator, Expression left, Expression right) implements Expression {}

    /// What a relation says.
    enum RelationKind {
        EQUAL, UNEQUAL, LESS, LESS_OR_EQUAL, GREATER, GREATER_OR_EQUAL;

        /// The kind that says the same with its sides exchanged.
        RelationKind flipped() {
            return switch (this) {
                case LESS -> GREATER;
                case LESS_OR_EQUAL -> GREATER_OR_EQUAL;
                case GREATER -> LESS;
                case GREATER_OR_EQUAL -> LESS_OR_EQUAL;
                case EQUAL, UNEQUAL -> this;
            };
        }
    }

    /// An equation or inequality.
    record Relation(RelationKind kind, Expression left, Expression right) implements Expression {
        /// The side that is zero when the sides are equal.
        Expression difference() {
            return Expression.difference(left, right);
        }
    }

    /// Relations that all hold, as `a < b < c` and `a = b = c` say.
    record Chain(List<Relation> relations) implements Expression {}

    static Number integer(long value) {
        return new Number(Rational.of(value), false);
    }

    static Expression negate(Expression expression) {
        return expression instanceof Number number ? number.negate() : product(List.of(MINUS_ONE, expression));
    }

    static Expression difference(Expression left, Expression right) {
        return sum(List.of(left, negate(right)));
    }

    static Expression sum(List<Expression> terms) {
        if (terms.size() == 1) {
            return terms.getFirst();
        }
        var flat = new ArrayList<Expression>();
        for (Expression term : terms) {
            if (term instanceof Sum(List<Expression> inner)) flat.addAll(inner); else flat.add(term);
        }
        return new Sum(List.copyOf(flat));
    }

    static Expression product(List<Expression> factors) {
        if (factors.size() == 1) {
            return factors.getFirst();
        }
        var flat = new ArrayList<Expression>();
        for (Expression factor : factors) {
            if (factor instanceof Product(List<Expression> inner)) flat.addAll(inner); else flat.add(factor);
        }
        return new Product(List.copyOf(flat));
    }

    /// A quotient; a fraction when both are integers.
    static Expression quotient(Expression numerator, Expression denominator, Budget budget) {
        if (denominator instanceof Number d && !d.decimal() && d.value().isZero()) {
            return UNDEFINED;
        }
        if (numerator instanceof Number n && denominator instanceof Number d && n.isInteger() && d.isInteger()) {
            return new Number(n.value().dividedBy(d.value(), budget), false);
        }
        return product(List.of(numerator, new Power(denominator, MINUS_ONE)));
    }

    static boolean isUndefined(Expression expression) {
        return expression.equals(UNDEFINED);
    }
}
