package rqat.verify.mathematics;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.Expression.Chain;
import rqat.verify.mathematics.Expression.Combination;
import rqat.verify.mathematics.Expression.FiniteSet;
import rqat.verify.mathematics.Expression.Interval;
import rqat.verify.mathematics.Expression.Matrix;
import rqat.verify.mathematics.Expression.NamedSet;
import rqat.verify.mathematics.Expression.Number;
import rqat.verify.mathematics.Expression.Percent;
import rqat.verify.mathematics.Expression.Product;
import rqat.verify.mathematics.Expression.Relation;
import rqat.verify.mathematics.Expression.RelationKind;
import rqat.verify.mathematics.Expression.Symbol;
import rqat.verify.mathematics.Expression.Tuple;
import rqat.verify.mathematics.NumericEvaluator.Point;

/// When an answer is the gold answer, in the order of Math-Verify's rules. Not symmetric: a gold number may be answered by an equation that
/// ends in it, a gold inequality by the interval of its solutions, but not the other way round, so that repeating the problem is no answer.
///
/// @param decimalPlaces where decimals are rounded before they are compared
/// @param strict        whether the names of variables matter
/// @param setByRelation whether a gold set may be answered by a relation that it solves
/// @param budget        what one comparison may cost
record StatementEquality(int decimalPlaces, boolean strict, boolean setByRelation, Budget budget) {

    private static final int MAX_MATCHED = 200;

    boolean equal(Expression written, Expression answered) {
        budget.spend(1);
        if (written instanceof Number a && answered instanceof Number b && a.value().equals(b.value())) {
            return true;
        }
        Expression gold = collapse(written);
        Expression answer = collapse(strict ? answered : renamed(answered, written));
        if (isEquation(answer) && !isEquation(gold)) {
            answer = last(answer).right();
        } else if (isAssignment(gold) && !isEquation(answer)) {
            gold = last(gold).right();
        }
        if (Expression.isUndefined(gold) || Expression.isUndefined(answer)) {
            return false;
        }
        if (isRelation(gold) && isSet(answer)) {
            return RealSet.solves(gold, answer, budget);
        }
        if (setByRelation && isSet(gold) && isRelation(answer)) {
            return RealSet.solves(answer, gold, budget);
        }
        if (gold.equals(answer)) {
            return true;
        }
        if (isRelation(gold) && isRelation(answer)) {
            return equalRelations(gold, answer);
        }
        if (isRelation(gold) || isRelation(answer)) {
            return false;
        }
        if (isSetOrTuple(gold) || isSetOrTuple(answer)) {
            return equalSets(gold, answer);
        }
        if (gold instanceof Symbol || answer instanceof Symbol) {
            return equalNames(gold, answer);
        }
        if (gold instanceof Matrix || answer instanceof Matrix) {
            return gold instanceof Matrix a && answer instanceof Matrix b && equalMatrices(a, b);
        }
        return equalNumbers(gold, answer);
    }

    // relations

    /// A chain of equations that begins with a name says what the name is in the end.
    private static Expression collapse(Expression expression) {
        return expression instanceof Chain(List<Relation> relations) && isAssignment(expression)
                ? new Relation(RelationKind.EQUAL, relations.getFirst().left(), relations.getLast().right())
                : expression;
    }

    private static boolean isRelation(Expression expression) {
        return expression instanceof Relation || expression instanceof Chain;
    }

    private static boolean isEquation(Expression expression) {
        return switch (expression) {
            case Relation relation -> relation.kind() == RelationKind.EQUAL;
            case Chain(List<Relation> relations) -> relations.stream().allMatch(relation -> relation.kind() == RelationKind.EQUAL);
            default -> false;
        };
    }

    private static boolean isAssignment(Expression expression) {
        return isEquation(expression) && StatementParser.isSymbolic(first(expression).left());
    }

    private static Relation first(Expression expression) {
        return expression instanceof Chain(List<Relation> relations) ? relations.getFirst() : (Relation) expression;
    }

    private static Relation last(Expression expression) {
        return expression instanceof Chain(List<Relation> relations) ? relations.getLast() : (Relation) expression;
    }

    private boolean equalRelations(Expression gold, Expression answer) {
        if (gold instanceof Chain(List<Relation> a) && answer instanceof Chain(List<Relation> b)) {
            for (int i = 0; i < Math.min(a.size(), b.size()); i++) {
                if (!equalRelations(a.get(i), b.get(i))) {
                    return false;
                }
            }
            return true;
        }
        if (!(gold instanceof Relation a) || !(answer instanceof Relation b)) {
            return false;
        }
        if (isScalar(a.left()) && isScalar(a.right()) && isScalar(b.left()) && isScalar(b.right())) {
            return a.kind() == b.kind() && equalNumbers(a.difference(), b.difference())
                    || a.kind().flipped() == b.kind() && equalNumbers(a.difference(), Expression.difference(b.right(), b.left()))
                    || a.kind() == RelationKind.EQUAL && b.kind() == RelationKind.EQUAL && sameSolutions(a, b);
        }
        return a.kind() == b.kind() && equal(a.left(), b.left()) && equal(a.right(), b.right());
    }

    /// Whether two equations in the same two or more variables have the same solutions. In one variable the reference does not look.
    private boolean sameSolutions(Relation a, Relation b) {
        var variables = new TreeMap<String, Symbol>();
        var others = new TreeMap<String, Symbol>();
        ExpressionEquality.collectVariables(a, variables);
        ExpressionEquality.collectVariables(b, others);
        return variables.size() > 1 && variables.equals(others) && ExpressionEquality.proportional(a.difference(), b.difference(), budget);
    }

    private static boolean isScalar(Expression expression) {
        return !isSetOrTuple(expression) && !isRelation(expression) && !(expression instanceof Matrix);
    }

    // sets and tuples

    private static boolean isSet(Expression expression) {
        return switch (expression) {
            case FiniteSet _, Interval _, Combination _, NamedSet _ -> true;
            default -> false;
        };
    }

    private static boolean isSetOrTuple(Expression expression) {
        return isSet(expression) || expression instanceof Tuple;
    }

    private boolean equalSets(Expression written, Expression answered) {
        Expression gold = isSetOrTuple(written) ? distinct(written) : new FiniteSet(List.of(written));
        Expression answer = isSetOrTuple(answered) ? distinct(answered) : new FiniteSet(List.of(answered));
        if (gold instanceof Interval a && answer instanceof Interval b) {
            return a.leftOpen() == b.leftOpen() && a.rightOpen() == b.rightOpen() && equal(a.start(), b.start()) && equal(a.end(), b.end());
        }
        List<Expression> goldElements = elements(gold);
        List<Expression> answerElements = elements(answer);
        if (goldElements != null && answerElements != null) {
            return equalElements(gold, goldElements, answer, answerElements);
        }
        if (isOpenInterval(gold) && answerElements != null) {
            return equalPair((Interval) gold, answerElements);
        }
        if (isOpenInterval(answer) && goldElements != null) {
            return goldElements.size() == 2 && equalElements(gold, goldElements, answer, List.of(((Interval) answer).start(), ((Interval) answer).end()));
        }
        if (gold instanceof Tuple || answer instanceof Tuple) {
            return false;
        }
        Boolean equal = RealSet.equal(gold, answer, budget);
        return equal != null ? equal : equalParts(gold, answer);
    }

    private boolean equalPair(Interval interval, List<Expression> elements) {
        return elements.size() == 2 && equal(interval.start(), elements.get(0)) && equal(interval.end(), elements.get(1));
    }

    private static boolean isOpenInterval(Expression expression) {
        return expression instanceof Interval interval && interval.isOpen();
    }

    private static @Nullable List<Expression> elements(Expression expression) {
        return switch (expression) {
            case FiniteSet(List<Expression> elements) -> elements;
            case Tuple(List<Expression> elements) -> elements;
            case NamedSet(String name) when name.isEmpty() -> List.of();
            default -> null;
        };
    }

    private static Expression distinct(Expression expression) {
        return expression instanceof FiniteSet(List<Expression> elements) ? new FiniteSet(elements.stream().distinct().toList()) : expression;
    }

    /// In order when the gold answer is a tuple and the answer a tuple or a list, which then is read as a tuple; else in any order.
    private boolean equalElements(Expression gold, List<Expression> goldElements, Expression answer, List<Expression> answerElements) {
        if (goldElements.size() != answerElements.size() || goldElements.size() > MAX_MATCHED) {
            return false;
        }
        if (gold instanceof Tuple) {
            for (int i = 0; i < goldElements.size(); i++) {
                if (!equal(goldElements.get(i), answerElements.get(i))) {
                    return false;
                }
            }
            return true;
        }
        var left = new ArrayList<>(answerElements);
        for (Expression element : goldElements) {
            int match = left.indexOf(element);
            for (int i = 0; match < 0 && i < left.size(); i++) {
                match = equal(element, left.get(i)) ? i : -1;
            }
            if (match < 0) {
                return false;
            }
            left.remove(match);
        }
        return true;
    }

    /// Unions and differences whose ends have variables: part by part.
    private boolean equalParts(Expression gold, Expression answer) {
        return gold instanceof Combination a && answer instanceof Combination b && a.operator() == b.operator()
                && equal(a.left(), b.left()) && equal(a.right(), b.right());
    }

    // names

    /// A variable beside another, or beside a product of variables that spell its name: `\text{odd}` and `odd`. Case is for the parser.
    private static boolean equalNames(Expression gold, Expression answer) {
        String a = spelling(gold);
        String b = spelling(answer);
        return a != null && a.equals(b);
    }

    private static @Nullable String spelling(Expression expression) {
        if (expression instanceof Symbol symbol) {
            return symbol.name();
        }
        if (ExpressionEquality.isLetterE(expression)) {
            return "e";
        }
        if (!(expression instanceof Product(List<Expression> factors))) {
            return null;
        }
        var spelling = new StringBuilder();
        for (Expression factor : factors) {
            if (factor instanceof Symbol symbol) {
                spelling.append(symbol.name());
            } else if (ExpressionEquality.isLetterE(factor)) {
                spelling.append('e');
            } else {
                return null;
            }
        }
        return spelling.toString();
    }

    /// The answer with its variables renamed to those of the gold answer, by order of name, when there are as many.
    private static Expression renamed(Expression answer, Expression gold) {
        var from = new TreeMap<String, Symbol>();
        var to = new TreeMap<String, Symbol>();
        ExpressionEquality.collectVariables(answer, from);
        ExpressionEquality.collectVariables(gold, to);
        if (from.size() != to.size()) {
            return answer;
        }
        Map<Symbol, Symbol> names = new LinkedHashMap<>();
        var targets = to.values().iterator();
        from.values().forEach(symbol -> names.put(symbol, targets.next()));
        return NumericEvaluator.substitute(answer, names::get);
    }

    // numbers

    private boolean equalMatrices(Matrix gold, Matrix answer) {
        if (gold.columns() != answer.columns() || gold.entries().size() != answer.entries().size()) {
            return false;
        }
        for (int i = 0; i < gold.entries().size(); i++) {
            if (!equalNumbers(gold.entries().get(i), answer.entries().get(i))) {
                return false;
            }
        }
        return true;
    }

    /// Exactly, but when one is a decimal and neither an integer, as both are when rounded.
    private boolean equalNumbers(Expression gold, Expression answer) {
        if (!isScalar(gold) || !isScalar(answer)) {
            return false;
        }
        if (!isDecimal(gold) && !isDecimal(answer) || isInteger(gold) || isInteger(answer)) {
            return ExpressionEquality.equal(gold, answer, budget);
        }
        BigDecimal a = rounded(gold);
        BigDecimal b = rounded(answer);
        return a != null && b != null && a.compareTo(b) == 0 || ExpressionEquality.equal(gold, answer, budget);
    }

    private static boolean isDecimal(Expression expression) {
        Expression number = expression instanceof Percent(Expression value) ? value : expression;
        return number instanceof Number(Rational _, boolean decimal) && decimal;
    }

    /// Whether an expression without decimals is an integer, as `\sqrt{16}` is.
    private boolean isInteger(Expression expression) {
        if (expression instanceof Number number) {
            return number.isInteger();
        }
        ExactNumber exact = hasDecimal(expression) ? null : ExpressionEquality.exact(expression, budget);
        return exact != null && exact.isInteger();
    }

    private static boolean hasDecimal(Expression expression) {
        return switch (expression) {
            case Number number -> number.decimal();
            case Percent(Expression value) -> hasDecimal(value);
            case Expression.Sum(List<Expression> terms) -> terms.stream().anyMatch(StatementEquality::hasDecimal);
            case Product(List<Expression> factors) -> factors.stream().anyMatch(StatementEquality::hasDecimal);
            case Expression.Power(Expression base, Expression exponent) -> hasDecimal(base) || hasDecimal(exponent);
            default -> false;
        };
    }

    private @Nullable BigDecimal rounded(Expression expression) {
        try {
            ComplexDecimal value = new NumericEvaluator(Point.NONE, budget).value(expression);
            return value.isReal() ? value.re().setScale(decimalPlaces, RoundingMode.HALF_EVEN) : null;
        } catch (Unreadable e) {
            return null;
        }
    }
}
