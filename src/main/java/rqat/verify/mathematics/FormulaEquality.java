package rqat.verify.mathematics;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.Answer.Sequence;
import rqat.verify.mathematics.Answer.Text;
import rqat.verify.mathematics.Expression.Chain;
import rqat.verify.mathematics.Expression.Combination;
import rqat.verify.mathematics.Expression.FiniteSet;
import rqat.verify.mathematics.Expression.Interval;
import rqat.verify.mathematics.Expression.NamedSet;
import rqat.verify.mathematics.Expression.Power;
import rqat.verify.mathematics.Expression.Relation;
import rqat.verify.mathematics.Expression.Tuple;
import rqat.verify.mathematics.FormulaParser.Dialect;

/// Compares answers that are no plain numbers as formulas, in the strict dialect and only with their like: a value with a value, a relation
/// with a relation, a set with a set; and an inequality that is asked for with the set of its solutions. Words are no formulas: `listen` is not `silent`.
final class FormulaEquality {

    /// As many letters in a row are a word.
    private static final int WORD = 4;
    private static final int DECIMAL_PLACES = 6;

    private FormulaEquality() {}

    /// What an answer is as a formula, or null when it is none.
    static @Nullable Expression formula(Answer answer, Budget budget) {
        return switch (answer) {
            case Answer.Number(ExactNumber value, boolean decimal) -> number(value, decimal);
            case Text text when !text.isWords() && !hasWord(text.normalised()) -> parse(text.normalised(), budget);
            case Sequence sequence -> sequence(sequence, budget);
            case Answer.Named(String name, Answer value) -> equation(name, value, budget);
            default -> null;
        };
    }

    private static @Nullable Expression equation(String name, Answer value, Budget budget) {
        Expression left = parse(name, budget);
        Expression right = left == null ? null : formula(value, budget);
        boolean values = right != null && kind(left) == Kind.VALUE && kind(right) == Kind.VALUE;
        return values ? new Relation(Expression.RelationKind.EQUAL, left, right) : null;
    }

    /// Whether a text is a value without unknowns, one that can be calculated.
    static boolean isConstant(Text text, Budget budget) {
        Expression formula = formula(text, budget);
        if (formula == null || kind(formula) != Kind.VALUE) {
            return false;
        }
        var variables = new HashMap<String, Expression.Symbol>();
        ExpressionEquality.collectVariables(formula, variables);
        return variables.isEmpty();
    }

    /// An interval, a tuple, or the set that a bare list is.
    private static @Nullable Expression sequence(Sequence sequence, Budget budget) {
        var elements = new ArrayList<Expression>();
        for (Answer element : sequence.elements()) {
            Expression value = formula(element, budget);
            if (value == null || kind(value) != Kind.VALUE) {
                return null;
            }
            elements.add(value);
        }
        if (sequence.isUnordered()) {
            return new FiniteSet(List.copyOf(elements));
        }
        return elements.size() == 2
                ? new Interval(elements.get(0), elements.get(1), sequence.open().equals("("), sequence.close().equals(")"))
                : new Tuple(List.copyOf(elements));
    }

    static boolean equal(Answer gold, Answer answer, Budget budget) {
        Expression a = formula(gold, budget);
        Expression b = a == null ? null : formula(answer, budget);
        if (a == null || b == null || kind(a) != kind(b) && !(isInequality(a) && kind(b) == Kind.SET)) {
            return false;
        }
        try {
            return new StatementEquality(DECIMAL_PLACES, true, false, budget).equal(a, b);
        } catch (Unreadable e) {
            return false;
        }
    }

    private static @Nullable Expression parse(String latex, Budget budget) {
        try {
            return StatementParser.parse(latex, Dialect.STRICT, true, budget);
        } catch (Unreadable e) {
            return null;
        }
    }

    private static Expression number(ExactNumber value, boolean decimal) {
        var terms = new ArrayList<Expression>();
        for (Map.Entry<Long, Rational> term : value.terms().entrySet()) {
            var coefficient = new Expression.Number(term.getValue(), decimal);
            terms.add(term.getKey() == 1
                    ? coefficient
                    : Expression.product(List.of(coefficient, new Power(Expression.integer(term.getKey()), HALF))));
        }
        return terms.isEmpty() ? new Expression.Number(Rational.ZERO, decimal) : Expression.sum(terms);
    }

    private static final Expression HALF = new Expression.Number(Rational.of(2).power(-1, new Budget()), false);

    private enum Kind { VALUE, RELATION, SET, TUPLE }

    private static Kind kind(Expression expression) {
        return switch (expression) {
            case Relation _, Chain _ -> Kind.RELATION;
            case FiniteSet _, Interval _, Combination _, NamedSet _ -> Kind.SET;
            case Tuple _ -> Kind.TUPLE;
            default -> Kind.VALUE;
        };
    }

    private static boolean isInequality(Expression expression) {
        List<Relation> relations = expression instanceof Chain(List<Relation> chain) ? chain
                : expression instanceof Relation relation ? List.of(relation) : List.of();
        return !relations.isEmpty() && relations.stream().noneMatch(relation -> relation.kind() == Expression.RelationKind.EQUAL);
    }

    private static boolean hasWord(String text) {
        int run = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '\\') {
                // a command, not a word, with the name of what it begins or ends
                boolean environment = text.startsWith("\\begin{", i) || text.startsWith("\\end{", i);
                while (i + 1 < text.length() && (Character.isLetter(text.charAt(i + 1)) || environment && text.charAt(i + 1) != '}')) {
                    i++;
                }
                run = 0;
            } else {
                run = Character.isLetter(c) ? run + 1 : 0;
            }
            if (run >= WORD) {
                return true;
            }
        }
        return false;
    }
}
