package rqat.verify.mathematics;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.Expression.Call;
import rqat.verify.mathematics.Expression.Chain;
import rqat.verify.mathematics.Expression.Combination;
import rqat.verify.mathematics.Expression.Constant;
import rqat.verify.mathematics.Expression.FiniteSet;
import rqat.verify.mathematics.Expression.Interval;
import rqat.verify.mathematics.Expression.NamedSet;
import rqat.verify.mathematics.Expression.Number;
import rqat.verify.mathematics.Expression.Power;
import rqat.verify.mathematics.Expression.Relation;
import rqat.verify.mathematics.Expression.RelationKind;
import rqat.verify.mathematics.Expression.SetOperator;
import rqat.verify.mathematics.Expression.Symbol;
import rqat.verify.mathematics.Expression.Tuple;
import rqat.verify.mathematics.FormulaLexer.Kind;
import rqat.verify.mathematics.FormulaLexer.Token;
import rqat.verify.mathematics.FormulaParser.Dialect;

/// Reads a whole answer: a list of expressions, relations, intervals, tuples and sets; a name with its values; or an operation on sets. As
/// in the reference, the first of three readings that fits the whole text wins:
///
///     named     = names ("=" | \in) values                 x = 1, 2, 3
///     list      = element { "," element } { ";" ... }      x = 1, y = 2
///     set       = [names ("=" | \in)] set { (\cup | \cap | \setminus) set }
///     element   = [expression] \pm expression | set | expression { relation expression }
final class StatementParser {

    private final FormulaParser formula;
    private final Budget budget;
    private final List<Token> tokens;
    /// For every opening bracket where it closes, or -1.
    private final int[] closes;

    private StatementParser(List<Token> tokens, Dialect dialect, boolean real, Budget budget) {
        this.tokens = tokens;
        this.budget = budget;
        this.formula = new FormulaParser(tokens, dialect, real, budget);
        this.closes = closes(tokens);
    }

    /// Reads an answer.
    ///
    /// @param real whether its variables are real
    /// @throws Unreadable       when it is not in the grammar
    /// @throws Budget.Exhausted when it costs too many steps
    static Expression parse(String latex, Dialect dialect, boolean real, Budget budget) {
        budget.spend(2 + latex.length() / 8);
        List<Token> tokens = FormulaLexer.read(latex);
        if (tokens.isEmpty()) {
            throw new Unreadable("empty");
        }
        String grouped = GroupedNumber.withoutSeparators(latex);
        if (grouped != null) {
            tokens = List.of(new Token(Kind.NUMBER, grouped));
            boolean negative = latex.strip().startsWith("-");
            Expression value = new StatementParser(tokens, dialect, real, budget).formula.expression();
            return negative ? Expression.negate(value) : value;
        }
        var parser = new StatementParser(tokens, dialect, real, budget);
        Expression named = parser.attempt(Reading.NAMED);
        if (named != null) {
            return named;
        }
        Expression list = parser.attempt(Reading.LIST);
        if (list != null) {
            return list;
        }
        Expression set = parser.attempt(Reading.SET);
        if (set != null) {
            return set;
        }
        throw new Unreadable("not in the grammar");
    }

    private enum Reading { NAMED, LIST, SET }

    private @Nullable Expression attempt(Reading reading) {
        formula.moveTo(0);
        try {
            Expression result = switch (reading) {
                case NAMED -> named();
                case LIST -> collect(groups(true));
                case SET -> setStatement();
            };
            return formula.atEnd() ? result : null;
        } catch (Unreadable e) {
            return null;
        }
    }

    private static int[] closes(List<Token> tokens) {
        var closes = new int[tokens.size()];
        var open = new ArrayList<Integer>();
        for (int i = 0; i < closes.length; i++) {
            closes[i] = -1;
            if (tokens.get(i).kind() == Kind.SIGN) {
                switch (tokens.get(i).text()) {
                    case "(", "[", "{", "\\{" -> open.add(i);
                    case ")", "]", "}", "\\}" -> {
                        if (!open.isEmpty()) {
                            closes[open.removeLast()] = i;
                        }
                    }
                    default -> { }
                }
            }
        }
        return closes;
    }

    // names and lists

    private Expression named() {
        Expression names = names();
        if (!formula.accept("=") && !formula.accept("∈")) {
            throw new Unreadable("not a name");
        }
        return new Relation(RelationKind.EQUAL, names, collect(groups(false)));
    }

    /// A variable, perhaps to a power, or several in parentheses.
    private Expression names() {
        if (!formula.accept("(")) {
            return name();
        }
        var names = new ArrayList<Expression>();
        do {
            names.add(name());
        } while (formula.accept(","));
        formula.expect(")");
        return names.size() == 1 ? names.getFirst() : new Tuple(List.copyOf(names));
    }

    private Expression name() {
        Token token = formula.peek();
        if (token == null || token.kind() != Kind.LETTER && token.kind() != Kind.ACCENT || token.text().equals("E")) {
            throw new Unreadable("not a name");
        }
        return formula.name();
    }

    /// The elements between commas, in the groups between semicolons.
    private List<List<Expression>> groups(boolean relations) {
        formula.enter();
        var groups = new ArrayList<List<Expression>>();
        do {
            var group = new ArrayList<Expression>();
            do {
                group.addAll(element(relations));
            } while (formula.accept(","));
            groups.add(group);
        } while (formula.accept(";"));
        formula.leave();
        return groups;
    }

    private Expression collect(List<List<Expression>> groups) {
        if (groups.size() == 1) {
            List<Expression> only = groups.getFirst();
            return only.size() == 1 ? only.getFirst() : new FiniteSet(List.copyOf(only));
        }
        if (groups.stream().allMatch(group -> group.size() == 1)) {
            return new FiniteSet(flatten(groups));
        }
        return new FiniteSet(groups.stream().<Expression>map(group -> new Tuple(List.copyOf(group))).toList());
    }

    private static List<Expression> flatten(List<List<Expression>> groups) {
        return groups.stream().flatMap(List::stream).toList();
    }

    private List<Expression> element(boolean relations) {
        if (isWholeSet()) {
            return List.of(setAtom());
        }
        if (formula.accept("±")) {
            Expression value = formula.expression();
            return List.of(Expression.negate(value), value);
        }
        Expression first = formula.expression();
        if (formula.accept("±")) {
            Expression value = formula.expression();
            return List.of(Expression.sum(List.of(first, value)), Expression.sum(List.of(first, Expression.negate(value))));
        }
        return List.of(relations ? relations(first) : first);
    }

    // relations

    private Expression relations(Expression first) {
        Expression result = first;
        while (true) {
            Token token = formula.peek();
            if (token == null || token.kind() != Kind.SIGN) {
                return result;
            }
            RelationKind kind = switch (token.text()) {
                case "=" -> RelationKind.EQUAL;
                case "≠" -> RelationKind.UNEQUAL;
                case "<" -> RelationKind.LESS;
                case "≤" -> RelationKind.LESS_OR_EQUAL;
                case ">" -> RelationKind.GREATER;
                case "≥" -> RelationKind.GREATER_OR_EQUAL;
                default -> null;
            };
            if (kind == null && !token.is("≈")) {
                return result;
            }
            formula.next();
            Expression right = formula.expression();
            if (kind == null) {
                // what something is about is kept only when it is a name that gets a value
                result = isSymbolic(result) ? right : result;
            } else {
                result = extend(result, kind, right);
            }
        }
    }

    private static Expression extend(Expression left, RelationKind kind, Expression right) {
        return switch (left) {
            case Relation relation -> new Chain(List.of(relation, new Relation(kind, relation.right(), right)));
            case Chain(List<Relation> relations) -> {
                var longer = new ArrayList<>(relations);
                longer.add(new Relation(kind, relations.getLast().right(), right));
                yield new Chain(List.copyOf(longer));
            }
            default -> new Relation(kind, left, right);
        };
    }

    /// Whether an expression is made of nothing but variables, as the left side of an assignment is: `x`, `f(x)`, `A/S`, `(p, q)`.
    static boolean isSymbolic(Expression expression) {
        return switch (expression) {
            case Symbol _ -> true;
            case Power(Expression base, Number exponent) when exponent.equals(Expression.MINUS_ONE) -> isSymbolic(base);
            case Power(Expression base, Expression exponent) -> isSymbolic(base) && isSymbolic(exponent);
            case Expression.Sum(List<Expression> terms) -> terms.stream().allMatch(StatementParser::isSymbolic);
            case Expression.Product(List<Expression> factors) -> factors.stream().allMatch(StatementParser::isSymbolic);
            case Expression.Call(String _, List<Expression> arguments) -> arguments.stream().allMatch(StatementParser::isSymbolic);
            case Tuple(List<Expression> elements) -> elements.stream().allMatch(StatementParser::isSymbolic);
            case FiniteSet(List<Expression> elements) -> elements.stream().allMatch(StatementParser::isSymbolic);
            case Relation(RelationKind _, Expression left, Expression right) -> isSymbolic(left) && isSymbolic(right);
            default -> false;
        };
    }

    // sets

    /// Whether a bracket or named set begins here that is an element by itself: a separator or the end follows its end.
    private boolean isWholeSet() {
        int start = formula.position();
        Token token = formula.peek();
        if (token == null) {
            return false;
        }
        if (token.kind() == Kind.SET) {
            return isElementEnd(start + 1);
        }
        int open = token.is("\\boxed") ? start + 1 : start;
        return open < closes.length && closes[open] >= 0 && isElementEnd(closes[open] + 1);
    }

    private boolean isElementEnd(int index) {
        if (index >= tokens.size()) {
            return true;
        }
        Token token = tokens.get(index);
        return token.kind() == Kind.SIGN && switch (token.text()) {
            case ",", ";", ")", "]", "}", "\\}" -> true;
            default -> false;
        };
    }

    private Expression setAtom() {
        Token open = formula.next();
        if (open.kind() == Kind.SET) {
            return new NamedSet(open.text());
        }
        if (open.is("\\boxed")) {
            formula.expect("{");
            Expression inside = collect(groups(true));
            formula.expect("}");
            return inside;
        }
        if (open.is("{") && formula.accept("}")) {
            return new NamedSet("");
        }
        int contentStart = formula.position();
        List<List<Expression>> groups = groups(true);
        List<Expression> elements = flatten(groups);
        if (open.is("{") && elements.size() == 1 && formula.accept("\\choose")) {
            Expression lower = collect(groups(true));
            formula.expect("}");
            return new Call("binomial", List.of(elements.getFirst(), lower));
        }
        Token close = formula.next();
        boolean round = open.is("(") || open.is("[");
        boolean roundClose = close.is(")") || close.is("]");
        if (round && roundClose && groups.size() == 1 && elements.size() == 2 && isPlain(elements) && writtenAsTwo(contentStart, formula.position() - 1)) {
            return interval(elements.get(0), elements.get(1), open.is("("), close.is(")"));
        }
        boolean matching = open.is("(") && close.is(")") || open.is("[") && close.is("]");
        boolean braces = open.is("{") && close.is("}") || open.is("\\{") && close.is("\\}");
        if (matching) {
            return elements.size() == 1 ? elements.getFirst() : new Tuple(elements);
        }
        if (braces) {
            return new FiniteSet(elements);
        }
        throw new Unreadable("brackets");
    }

    private static boolean isPlain(List<Expression> elements) {
        return elements.stream().noneMatch(element -> switch (element) {
            case Relation _, Chain _, FiniteSet _, Tuple _, Interval _, NamedSet _, Combination _ -> true;
            default -> false;
        });
    }

    /// Whether a comma, not a plus-minus sign, makes the two.
    private boolean writtenAsTwo(int from, int to) {
        int depth = 0;
        for (int i = from; i < to; i++) {
            Token token = tokens.get(i);
            if (token.kind() == Kind.SIGN) {
                switch (token.text()) {
                    case "(", "[", "{", "\\{" -> depth++;
                    case ")", "]", "}", "\\}" -> depth--;
                    case "±" -> {
                        if (depth == 0) return false;
                    }
                    default -> { }
                }
            }
        }
        return true;
    }

    /// Ends in the wrong order make a pair.
    private Expression interval(Expression start, Expression end, boolean leftOpen, boolean rightOpen) {
        if (!formula.isReal() && (hasVariables(start) || hasVariables(end))) {
            throw new Unreadable("an interval that is not real");
        }
        Integer order = NumericEvaluator.compare(end, start, budget);
        if (order != null && (leftOpen && rightOpen && order <= 0 || !leftOpen && !rightOpen && order < 0)) {
            return new Tuple(List.of(start, end));
        }
        if (order != null && order == 0 && !leftOpen && !rightOpen) {
            return new FiniteSet(List.of(start));
        }
        if (order != null && order <= 0) {
            return new NamedSet("");
        }
        return new Interval(start, end, leftOpen, rightOpen);
    }

    private static boolean hasVariables(Expression expression) {
        var variables = new HashMap<String, Symbol>();
        ExpressionEquality.collectVariables(expression, variables);
        return !variables.isEmpty();
    }

    private Expression setStatement() {
        int start = formula.position();
        try {
            Expression names = names();
            boolean out = formula.is("∉");
            if (!out && !formula.is("=") && !formula.is("∈")) {
                throw new Unreadable("not a name");
            }
            formula.next();
            return new Relation(out ? RelationKind.UNEQUAL : RelationKind.EQUAL, names, setStatement());
        } catch (Unreadable e) {
            formula.moveTo(start);
            return combination(SetOperator.DIFFERENCE);
        }
    }

    /// Differences of unions of intersections.
    private Expression combination(SetOperator operator) {
        formula.enter();
        String sign = switch (operator) {
            case DIFFERENCE -> "∖";
            case UNION -> "∪";
            case INTERSECTION -> "∩";
        };
        Expression result = operand(operator);
        while (formula.accept(sign)) {
            Expression right = operand(operator);
            result = operator == SetOperator.DIFFERENCE
                    ? new Combination(operator, result, right)
                    : new Combination(operator, withoutOrder(result), withoutOrder(right));
        }
        formula.leave();
        return result;
    }

    private Expression operand(SetOperator operator) {
        return switch (operator) {
            case DIFFERENCE -> combination(SetOperator.UNION);
            case UNION -> combination(SetOperator.INTERSECTION);
            case INTERSECTION -> setGroup();
        };
    }

    private static Expression withoutOrder(Expression set) {
        return set instanceof Tuple(List<Expression> elements) ? new FiniteSet(elements) : set;
    }

    private Expression setGroup() {
        int start = formula.position();
        Token token = formula.peek();
        if (token == null) {
            throw new Unreadable("end of formula");
        }
        boolean set = token.kind() == Kind.SET || start < closes.length && closes[start] >= 0 || token.is("\\boxed");
        if (!set) {
            throw new Unreadable("not a set");
        }
        if (token.is("(") && containsSetOperator(start + 1, closes[start])) {
            formula.next();
            Expression inside = combination(SetOperator.DIFFERENCE);
            formula.expect(")");
            return inside;
        }
        return setAtom();
    }

    private boolean containsSetOperator(int from, int to) {
        budget.spend(1 + (to - from) / 8);
        return tokens.subList(from, to).stream().anyMatch(token -> token.is("∪") || token.is("∩") || token.is("∖"));
    }

    /// Whether an expression is an infinity or its negative, which an interval may end at.
    static boolean isInfinite(Expression expression) {
        return expression.equals(new Constant("infinity")) || expression.equals(Expression.negate(new Constant("infinity")));
    }
}
