package rqat.verify.mathematics;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.Expression.Chain;
import rqat.verify.mathematics.Expression.Combination;
import rqat.verify.mathematics.Expression.FiniteSet;
import rqat.verify.mathematics.Expression.Interval;
import rqat.verify.mathematics.Expression.NamedSet;
import rqat.verify.mathematics.Expression.Relation;
import rqat.verify.mathematics.Expression.RelationKind;
import rqat.verify.mathematics.Expression.Symbol;
import rqat.verify.mathematics.NumericEvaluator.Point;

/// Sets of real numbers that are made of points and intervals with known ends, compared by asking for the membership of every end and of
/// numbers between the ends. For two unions of intervals that decides; for an inequality it finds every solution that is wider than the
/// gaps between the probes.
final class RealSet {

    private static final int PROBES = 7;
    private static final int MAX_ENDS = 60;

    private RealSet() {}

    /// Whether two sets have the same members; null when one is not such a set.
    static @Nullable Boolean equal(Expression a, Expression b, Budget budget) {
        try {
            var ends = new ArrayList<BigDecimal>();
            collectEnds(a, ends, budget);
            collectEnds(b, ends, budget);
            for (BigDecimal probe : probes(ends)) {
                if (contains(a, probe, budget) != contains(b, probe, budget)) {
                    return false;
                }
            }
            return true;
        } catch (Unreadable e) {
            return null;
        }
    }

    /// Whether a relation in one variable holds for the members of a set and for no other number. Equations are only probed at the ends of
    /// the set and between them.
    static boolean solves(Expression relation, Expression set, Budget budget) {
        var variables = new LinkedHashMap<String, Symbol>();
        List<Relation> relations = relation instanceof Chain(List<Relation> chain) ? chain : List.of((Relation) relation);
        // an unknown function of a variable is as good as a variable: 0 < f(x) < 1
        List<Relation> unwrapped = relations.stream()
                .map(part -> new Relation(part.kind(), unwrap(part.left()), unwrap(part.right())))
                .toList();
        unwrapped.forEach(part -> ExpressionEquality.collectVariables(part, variables));
        if (variables.size() != 1) {
            return false;
        }
        Symbol variable = variables.values().iterator().next();
        try {
            var ends = new ArrayList<BigDecimal>();
            collectEnds(set, ends, budget);
            for (Relation part : unwrapped) {
                for (Expression side : List.of(part.left(), part.right())) {
                    addEnd(side, ends, budget);
                }
            }
            for (BigDecimal probe : probes(ends)) {
                if (contains(set, probe, budget) != unwrapped.stream().allMatch(part -> holds(part, variable, probe, budget))) {
                    return false;
                }
            }
            return true;
        } catch (Unreadable e) {
            return false;
        }
    }

    private static Expression unwrap(Expression expression) {
        return switch (expression) {
            case Expression.Call(String name, List<Expression> _) when name.startsWith("function ") -> new Symbol(expression.toString(), true);
            case Expression.Sum(List<Expression> terms) -> new Expression.Sum(terms.stream().map(RealSet::unwrap).toList());
            case Expression.Product(List<Expression> factors) -> new Expression.Product(factors.stream().map(RealSet::unwrap).toList());
            default -> expression;
        };
    }

    private static boolean holds(Relation relation, Symbol variable, BigDecimal value, Budget budget) {
        var evaluator = new NumericEvaluator(variable, ComplexDecimal.of(value), budget);
        ComplexDecimal left;
        ComplexDecimal right;
        try {
            left = evaluator.value(relation.left());
            right = evaluator.value(relation.right());
        } catch (Unreadable e) {
            return false;
        }
        BigDecimal scale = left.modulus().add(right.modulus());
        ComplexDecimal difference = left.minus(right);
        if (!NumericEvaluator.isNegligible(difference.im(), scale)) {
            return relation.kind() == RelationKind.UNEQUAL;
        }
        int sign = NumericEvaluator.isNegligible(difference.re(), scale) ? 0 : difference.re().signum();
        return switch (relation.kind()) {
            case EQUAL -> sign == 0;
            case UNEQUAL -> sign != 0;
            case LESS -> sign < 0;
            case LESS_OR_EQUAL -> sign <= 0;
            case GREATER -> sign > 0;
            case GREATER_OR_EQUAL -> sign >= 0;
        };
    }

    private static void collectEnds(Expression set, List<BigDecimal> ends, Budget budget) {
        switch (set) {
            case FiniteSet(List<Expression> elements) -> elements.forEach(element -> ends.add(number(element, budget)));
            case Interval(Expression start, Expression end, boolean _, boolean _) -> {
                for (Expression side : List.of(start, end)) {
                    if (!StatementParser.isInfinite(side)) {
                        ends.add(number(side, budget));
                    }
                }
            }
            case Combination(Expression.SetOperator _, Expression left, Expression right) -> {
                collectEnds(left, ends, budget);
                collectEnds(right, ends, budget);
            }
            case NamedSet(String name) when name.isEmpty() || name.equals("R") -> { }
            default -> throw new Unreadable("not a set of intervals");
        }
        if (ends.size() > MAX_ENDS) {
            throw new Unreadable("too many intervals");
        }
    }

    private static void addEnd(Expression side, List<BigDecimal> ends, Budget budget) {
        try {
            ends.add(number(side, budget));
        } catch (Unreadable e) {
            // it has a variable in it
        }
    }

    private static BigDecimal number(Expression expression, Budget budget) {
        ComplexDecimal value = new NumericEvaluator(Point.NONE, budget).value(expression);
        if (!NumericEvaluator.isNegligible(value.im(), value.modulus())) {
            throw new Unreadable("not real");
        }
        return value.re();
    }

    /// Every end, and numbers close to it, between it and the next, and beyond the outermost.
    private static List<BigDecimal> probes(List<BigDecimal> ends) {
        var sorted = new ArrayList<>(ends.stream().sorted().toList());
        if (sorted.isEmpty()) {
            sorted.add(BigDecimal.ZERO);
        }
        sorted.addFirst(sorted.getFirst().subtract(BigDecimal.valueOf(1_000_003, 3)));
        sorted.addLast(sorted.getLast().add(BigDecimal.valueOf(1_000_003, 3)));
        var probes = new ArrayList<BigDecimal>();
        for (int i = 0; i < sorted.size(); i++) {
            BigDecimal end = sorted.get(i);
            probes.add(end);
            if (i + 1 < sorted.size()) {
                BigDecimal width = sorted.get(i + 1).subtract(end);
                // too close to be two: the same number from two expressions
                if (!NumericEvaluator.isNegligible(width, end.abs())) {
                    for (int j = 1; j < PROBES; j++) {
                        probes.add(end.add(width.multiply(BigDecimal.valueOf(j * 1427L, 4))));
                    }
                    probes.add(end.add(width.movePointLeft(6)));
                    probes.add(sorted.get(i + 1).subtract(width.movePointLeft(6)));
                }
            }
        }
        return probes;
    }

    private static boolean contains(Expression set, BigDecimal value, Budget budget) {
        budget.spend(2);
        return switch (set) {
            case FiniteSet(List<Expression> elements) -> elements.stream().anyMatch(element -> order(value, element, budget) == 0);
            case Interval(Expression start, Expression end, boolean leftOpen, boolean rightOpen) -> {
                int left = StatementParser.isInfinite(start) ? 1 : order(value, start, budget);
                int right = StatementParser.isInfinite(end) ? -1 : order(value, end, budget);
                yield (left > 0 || left == 0 && !leftOpen) && (right < 0 || right == 0 && !rightOpen);
            }
            case Combination(Expression.SetOperator operator, Expression left, Expression right) -> switch (operator) {
                case UNION -> contains(left, value, budget) || contains(right, value, budget);
                case INTERSECTION -> contains(left, value, budget) && contains(right, value, budget);
                case DIFFERENCE -> contains(left, value, budget) && !contains(right, value, budget);
            };
            case NamedSet(String name) -> name.equals("R");
            default -> throw new Unreadable("not a set of intervals");
        };
    }

    private static int order(BigDecimal value, Expression end, Budget budget) {
        BigDecimal difference = value.subtract(number(end, budget));
        return NumericEvaluator.isNegligible(difference, value.abs().add(BigDecimal.ONE)) ? 0 : difference.signum();
    }
}
