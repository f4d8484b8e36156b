package rqat.verify.mathematics;

import java.math.BigInteger;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.Expression.Call;
import rqat.verify.mathematics.Expression.Constant;
import rqat.verify.mathematics.Expression.Matrix;
import rqat.verify.mathematics.Expression.Number;
import rqat.verify.mathematics.Expression.Percent;
import rqat.verify.mathematics.Expression.Power;
import rqat.verify.mathematics.Expression.Symbol;
import rqat.verify.mathematics.FormulaLexer.Kind;
import rqat.verify.mathematics.FormulaLexer.Token;

/// Reads expressions by recursive descent with a depth limit, in the grammar of latex2sympy2_extended (the parser behind Math-Verify):
///
///     expression = product { ("+" | "-") product }
///     product    = unary { ("*" | "/" | ":" | \mod) unary }
///     unary      = ("+" | "-") unary | postfix { postfix }            juxtaposition binds more tightly than a division sign
///     postfix    = power { "!" | "'" | degree }
///     power      = primary { "^" (atom | "{" expression "}") }        from the left: 2^3^2 is 64
///
/// A function without parentheses takes the product behind it up to the next function: `\sin 2x \cos y` is `\sin(2x) \cos(y)`.
final class FormulaParser {

    /// What the same characters mean.
    enum Dialect {
        /// As Math-Verify reads them: letters without case, the base of a number ignored, `:` a division sign, an integer beside a fraction
        /// a mixed number, `I` the imaginary unit and `i` a variable.
        REFERENCE,
        /// Letters with case, `i` the imaginary unit, odd roots of negative numbers real, and nothing that can be read in two ways.
        STRICT
    }

    private static final int MAX_DEPTH = 100;
    private static final int MAX_DIGITS = 1200;
    private static final int MAX_POWER_OF_TEN = 300;
    private static final Pattern NUMBER = Pattern.compile("\\d{1,100}(?:\\.\\d{1,100})?");
    /// Letters that are functions when a parenthesis follows.
    private static final Set<String> FUNCTION_LETTERS = Set.of("f", "g", "h", "F", "G", "H", "P");

    private static final Expression DEGREE = Expression.quotient(Expression.ONE, Expression.integer(180), new Budget());

    private final List<Token> tokens;
    private final Dialect dialect;
    private final boolean real;
    private final Budget budget;
    private int at;
    private int depth;
    private int bars;

    FormulaParser(List<Token> tokens, Dialect dialect, boolean real, Budget budget) {
        this.tokens = tokens;
        this.dialect = dialect;
        this.real = real;
        this.budget = budget;
    }

    boolean isReal() {
        return real;
    }

    // the cursor, shared with the statement parser

    int position() {
        return at;
    }

    void moveTo(int position) {
        at = position;
        depth = 0;
        bars = 0;
    }

    boolean atEnd() {
        return at == tokens.size();
    }

    boolean is(String sign) {
        return isAt(at, sign);
    }

    boolean isAt(int index, String sign) {
        return index < tokens.size() && tokens.get(index).is(sign);
    }

    boolean accept(String sign) {
        boolean accepted = is(sign);
        at += accepted ? 1 : 0;
        return accepted;
    }

    void expect(String sign) {
        if (!accept(sign)) {
            throw new Unreadable("missing " + sign);
        }
    }

    @Nullable Token peek() {
        return at < tokens.size() ? tokens.get(at) : null;
    }

    Token next() {
        if (at == tokens.size()) {
            throw new Unreadable("end of formula");
        }
        return tokens.get(at++);
    }

    void enter() {
        budget.spend(1);
        if (++depth > MAX_DEPTH) {
            throw new Unreadable("nested too deep");
        }
    }

    void leave() {
        depth--;
    }

    // expressions

    Expression expression() {
        enter();
        Expression first = product(true);
        if (!is("+") && !is("-")) {
            leave();
            return first;
        }
        var terms = new ArrayList<Expression>(List.of(first));
        while (is("+") || is("-")) {
            boolean minus = next().is("-");
            Expression term = product(true);
            terms.add(minus ? MatrixAlgebra.negate(term) : term);
        }
        leave();
        return MatrixAlgebra.sum(terms, budget);
    }

    private Expression product(boolean functions) {
        Expression left = unary(functions);
        while (true) {
            if (accept("*")) {
                left = multiply(left, unary(functions));
            } else if (is("/") || is(":") && dialect == Dialect.REFERENCE) {
                at++;
                left = divide(left, unary(functions));
            } else if (accept("\\mod")) {
                left = new Call("mod", List.of(left, unary(functions)));
            } else {
                return left;
            }
        }
    }

    private Expression multiply(Expression left, Expression right) {
        budget.spend(1 + (left instanceof Expression.Product(List<Expression> factors) ? factors.size() / 8 : 0));
        return MatrixAlgebra.product(left, right, budget);
    }

    private Expression divide(Expression left, Expression right) {
        if (right instanceof Matrix) {
            throw new Unreadable("division by a matrix");
        }
        return left instanceof Matrix ? multiply(left, new Power(right, Expression.MINUS_ONE)) : Expression.quotient(left, right, budget);
    }

    private Expression unary(boolean functions) {
        enter();
        Expression result;
        if (accept("-")) {
            result = MatrixAlgebra.negate(unary(functions));
        } else if (accept("+")) {
            result = unary(functions);
        } else {
            result = juxtaposition(functions);
        }
        leave();
        return result;
    }

    private Expression juxtaposition(boolean functions) {
        var items = new ArrayList<Expression>();
        items.add(postfix());
        while (startsPrimary(functions)) {
            boolean factorial = items.getLast() instanceof Call call && call.name().endsWith("factorial"); // `4!2!`
            if (dialect == Dialect.STRICT && isNumber(tokens.get(at)) && !factorial) {
                throw new Unreadable("a number behind a factor");
            }
            items.add(postfix());
        }
        // from the right, as an integer mixes with the fraction that the rest amounts to
        if (items.stream().anyMatch(Matrix.class::isInstance)) {
            return items.reversed().stream().reduce((right, left) -> multiply(left, right)).orElseThrow();
        }
        var factors = new ArrayDeque<Expression>();
        for (Expression item : items.reversed()) {
            Number mixed = factors.size() == 1 ? mixed(item, factors.getFirst()) : null;
            if (mixed != null) {
                factors.removeFirst();
            }
            factors.addFirst(mixed != null ? mixed : item);
        }
        return Expression.product(List.copyOf(factors));
    }

    private @Nullable Number mixed(Expression left, Expression right) {
        boolean numbers = left instanceof Number l && l.isInteger() && right instanceof Number r && !r.decimal() && r.value().numerator().signum() > 0;
        if (!numbers) {
            return null;
        }
        Rational whole = ((Number) left).value();
        Rational part = ((Number) right).value();
        if (dialect == Dialect.STRICT && (part.isInteger() || part.numerator().compareTo(part.denominator()) >= 0)) {
            return null;
        }
        boolean negative = whole.numerator().signum() < 0;
        return new Number(whole.plus(negative ? part.negate() : part, budget), false);
    }

    private boolean startsPrimary(boolean functions) {
        Token token = peek();
        if (token == null) {
            return false;
        }
        return switch (token.kind()) {
            case NUMBER, PERCENT, SCIENTIFIC, LETTER, ACCENT, BEGIN -> true;
            // \frac and \binom are no functions, and neither is e for a reader, but it is for the reference
            case FUNCTION -> functions || token.text().equals("frac") || token.text().equals("binom");
            case EXPONENTIAL -> functions || dialect == Dialect.STRICT;
            case SIGN -> switch (token.text()) {
                case "(", "[", "{", "\\{", "lvert", "lfloor", "lceil", "\\boxed", "\\phantom" -> true;
                case "|" -> bars == 0;
                default -> false;
            };
            case SET, END -> false;
        };
    }

    private static boolean isNumber(Token token) {
        return token.kind() == Kind.NUMBER || token.kind() == Kind.PERCENT || token.kind() == Kind.SCIENTIFIC;
    }

    private Expression postfix() {
        int entered = depth;
        Expression result = power();
        while (true) {
            if (accept("!")) {
                enter();
                boolean twice = dialect == Dialect.STRICT && accept("!");
                result = new Call(twice ? "double factorial" : "factorial", List.of(result));
                if (dialect == Dialect.STRICT && is("^") && !isAt(at + 1, "degree") && transposeEnd() == 0) {
                    at++;
                    result = new Power(result, superscript());
                }
            } else if (accept("'")) {
                result = MatrixAlgebra.transpose(result);
            } else if (is("^") && (isAt(at + 1, "degree") || isAt(at + 1, "{") && isAt(at + 2, "degree") && isAt(at + 3, "}"))) {
                at += isAt(at + 1, "{") ? 4 : 2;
                // The reference takes degrees for nothing.
                if (dialect == Dialect.STRICT) result = Expression.product(List.of(result, new Constant("pi"), DEGREE));
            } else if (dialect == Dialect.STRICT && accept("degree")) {
                result = Expression.product(List.of(result, new Constant("pi"), DEGREE));
            } else if (is("^") && transposeEnd() > 0) {
                at = transposeEnd();
                result = MatrixAlgebra.transpose(result);
            } else {
                depth = entered;
                return result;
            }
        }
    }

    /// The end of `^T`, `^{T}` or `^{\top}`, or 0.
    private int transposeEnd() {
        int braces = isAt(at + 1, "{") ? 1 : 0;
        int mark = at + 1 + braces;
        boolean transpose = mark < tokens.size() && (tokens.get(mark).text().equals("T") || tokens.get(mark).is("top"));
        return transpose && (braces == 0 || isAt(mark + 1, "}")) ? mark + 1 + braces : 0;
    }

    private Expression power() {
        int entered = depth;
        Expression base = primary();
        while (is("^") && !isAt(at + 1, "degree") && !(isAt(at + 1, "{") && isAt(at + 2, "degree")) && transposeEnd() == 0) {
            at++;
            enter();
            base = MatrixAlgebra.power(base, superscript(), budget);
        }
        depth = entered;
        return base;
    }

    private Expression superscript() {
        if (is("{")) {
            return braced();
        }
        Expression exponent = atom();
        if (exponent instanceof Symbol && is("^") && transposeEnd() == 0 && !isAt(at + 1, "degree")) {
            at++;
            enter();
            exponent = new Power(exponent, superscript());
        }
        return exponent;
    }

    private Expression braced() {
        expect("{");
        int outer = bars;
        bars = 0;
        Expression inside = expression();
        bars = outer;
        if (dialect == Dialect.STRICT && accept("\\choose")) {
            inside = new Call("binomial", List.of(inside, expression()));
        }
        expect("}");
        return inside;
    }

    /// An argument of `\frac` or `\sqrt`: braced, or in the strict dialect one atom.
    private Expression argument() {
        return is("{") || dialect == Dialect.REFERENCE ? braced() : atom();
    }

    private Expression primary() {
        enter();
        Expression result = switch (peek()) {
            case null -> throw new Unreadable("end of formula");
            case Token(Kind kind, String name) when kind == Kind.FUNCTION -> function(name);
            case Token(Kind kind, String _) when kind == Kind.BEGIN -> matrix();
            case Token(Kind kind, String open) when kind == Kind.SIGN -> group(open);
            case Token token when token.kind() == Kind.LETTER || token.kind() == Kind.ACCENT -> {
                at++;
                yield variable(token, true);
            }
            case Token _ -> atom();
        };
        leave();
        return result;
    }

    private Expression group(String open) {
        at++;
        String close = switch (open) {
            case "(" -> ")";
            case "[" -> "]";
            case "{" -> "}";
            case "\\{" -> "\\}";
            case "|" -> "|";
            case "lvert" -> "rvert";
            case "lfloor" -> "rfloor";
            case "lceil" -> "rceil";
            case "\\boxed", "\\phantom" -> {
                expect("{");
                yield "}";
            }
            default -> throw new Unreadable("no operand");
        };
        int outer = bars;
        bars = open.equals("|") ? 1 : 0;
        Expression inside = expression();
        bars = outer;
        if (open.equals("{") && accept("\\choose")) {
            Expression lower = expression();
            expect("}");
            return new Call("binomial", List.of(inside, lower));
        }
        expect(close);
        return switch (open) {
            case "|", "lvert" -> inside instanceof Matrix matrix ? MatrixAlgebra.determinant(matrix, budget) : new Call("abs", List.of(inside));
            case "lfloor" -> new Call("floor", List.of(inside));
            case "lceil" -> new Call("ceil", List.of(inside));
            default -> inside;
        };
    }

    private Expression atom() {
        Token token = next();
        return switch (token.kind()) {
            case NUMBER -> {
                if (is("_")) {
                    if (dialect == Dialect.STRICT) {
                        throw new Unreadable("a number with a base");
                    }
                    subscript();
                }
                yield number(token.text());
            }
            case PERCENT -> new Percent(number(token.text()));
            case SCIENTIFIC -> number(token.text());
            case EXPONENTIAL -> new Constant("e");
            case LETTER, ACCENT -> variable(token, false);
            default -> throw new Unreadable("no operand");
        };
    }

    private Expression variable(Token token, boolean mayBeApplied) {
        if (token.kind() == Kind.ACCENT && styledNumber(token) instanceof String digits) {
            return number(digits);
        }
        if (token.text().equals("infty")) {
            return new Constant("infinity");
        }
        String written = name(token) + subscript();
        String name = dialect == Dialect.REFERENCE ? written.toLowerCase(Locale.ROOT) : written;
        if (token.kind() == Kind.LETTER && token.text().equals(dialect == Dialect.REFERENCE ? "I" : "i") && written.length() == 1) {
            return new Constant("i");
        }
        if (name.equals("pi") || name.equals("gamma") && dialect == Dialect.REFERENCE) {
            return new Constant(name);
        }
        Expression applied = mayBeApplied && opensArguments() ? application(written) : null;
        return applied != null ? applied : new Symbol(name, real);
    }

    /// A variable with its subscript, perhaps to a power, as a statement names it.
    Expression name() {
        Expression atom = atom();
        return atom instanceof Symbol && accept("^") ? new Power(atom, superscript()) : atom;
    }

    /// The digits of a number that is written in a style, as in `\text{29}` and `\mathbf{29}`; null for anything else.
    private static @Nullable String styledNumber(Token token) {
        int colon = token.text().indexOf(':');
        String accent = token.text().substring(0, colon);
        String content = token.text().substring(colon + 1).strip();
        boolean style = accent.startsWith("text") || accent.startsWith("math") || accent.equals("mbox");
        return style && NUMBER.matcher(content).matches() ? content : null;
    }

    private String name(Token token) {
        if (token.kind() == Kind.LETTER) {
            return token.text();
        }
        int colon = token.text().indexOf(':');
        String accent = token.text().substring(0, colon);
        String content = token.text().substring(colon + 1).replace(" ", "");
        if (accent.contains("text") || accent.equals("mbox")) {
            return content.replace("(", "").replace(")", "");
        }
        String family = switch (accent) {
            case "bar", "overline" -> "bar";
            case "vec", "overrightarrow" -> "vec";
            case "tilde", "widetilde" -> "tilde";
            default -> accent.startsWith("math") ? "math" : accent;
        };
        return family + "{" + content + "}";
    }

    /// A subscript as part of a name; empty when there is none.
    private String subscript() {
        if (!accept("_")) {
            return "";
        }
        String inner;
        if (accept("{")) {
            var text = new StringBuilder();
            for (int open = 1; open > 0; ) {
                Token token = next();
                open += token.is("{") ? 1 : token.is("}") ? -1 : 0;
                text.append(open > 0 ? token.text() : "");
            }
            inner = text.toString();
        } else {
            Token token = next();
            if (token.kind() == Kind.SIGN) {
                throw new Unreadable("subscript");
            }
            inner = token.text();
        }
        return inner.length() > 1 ? "_{" + inner + "}" : "_" + inner;
    }

    /// `f(x)`: an unknown function, when a single atom or several arguments are in the parentheses behind a name; `x(x + 1)` is a product.
    /// Null, with nothing consumed, when it is something else.
    private @Nullable Expression application(String name) {
        if (dialect == Dialect.STRICT && !FUNCTION_LETTERS.contains(name)) {
            return null;
        }
        int start = at;
        int outerDepth = depth;
        int outerBars = bars;
        try {
            Expression exponent = accept("^") ? superscript() : null;
            String close = is("(") ? ")" : is("[") ? "]" : "";
            if (close.isEmpty()) {
                at = start;
                return null;
            }
            at++;
            bars = 0;
            var arguments = new ArrayList<Expression>();
            int inside = at;
            if (startsAtom()) {
                arguments.add(name());
            }
            if (arguments.isEmpty() || !is(close)) {
                arguments.clear();
                at = inside;
                if (!hasComma()) {
                    at = start;
                    bars = outerBars;
                    return null;
                }
                do {
                    arguments.add(expression());
                } while (accept(","));
            }
            expect(close);
            bars = outerBars;
            Expression call = new Call("function " + name, List.copyOf(arguments));
            return exponent == null ? call : new Power(call, exponent);
        } catch (Unreadable e) {
            at = start;
            depth = outerDepth;
            bars = outerBars;
            return null;
        }
    }

    /// Whether a parenthesis follows, perhaps behind a superscript.
    private boolean opensArguments() {
        int index = at;
        if (isAt(index, "^")) {
            index++;
            int open = 0;
            do {
                open += isAt(index, "{") ? 1 : isAt(index, "}") ? -1 : 0;
                index++;
            } while (open > 0 && index < tokens.size());
            budget.spend(1 + (index - at) / 8);
        }
        return isAt(index, "(") || isAt(index, "[");
    }

    private boolean startsAtom() {
        Token token = peek();
        return token != null && (isNumber(token) || token.kind() == Kind.LETTER || token.kind() == Kind.ACCENT);
    }

    /// Whether a comma follows before the bracket that is open here closes.
    private boolean hasComma() {
        int open = 0;
        for (int i = at; i < tokens.size() && open >= 0; i++) {
            budget.spend(i % 8 == 0 ? 1 : 0);
            Token token = tokens.get(i);
            if (token.kind() == Kind.SIGN) {
                switch (token.text()) {
                    case "(", "[", "{", "\\{" -> open++;
                    case ")", "]", "}", "\\}" -> open--;
                    case "," -> {
                        if (open == 0) {
                            return true;
                        }
                    }
                    default -> { }
                }
            }
        }
        return false;
    }

    // functions

    private Expression function(String name) {
        at++;
        return switch (name) {
            case "frac" -> {
                Expression numerator = argument();
                yield divide(numerator, argument());
            }
            case "binom" -> {
                Expression upper = argument();
                yield new Call("binomial", List.of(upper, argument()));
            }
            case "sqrt" -> root();
            case "sum", "prod" -> series(name);
            case "lim" -> limit();
            case "int" -> integral();
            case "max", "min", "gcd", "lcm" -> {
                Expression exponent = accept("^") ? superscript() : null;
                expect("(");
                var arguments = new ArrayList<Expression>();
                do {
                    arguments.add(expression());
                } while (accept(","));
                expect(")");
                Expression call = new Call(name, List.copyOf(arguments));
                yield exponent == null ? call : new Power(call, exponent);
            }
            default -> elementary(name);
        };
    }

    private Expression root() {
        Expression degree = Expression.integer(2);
        if (accept("[")) {
            degree = expression();
            expect("]");
        }
        Expression radicand = argument();
        if (dialect == Dialect.STRICT && !degree.equals(Expression.integer(2))) {
            return new Call("root", List.of(radicand, degree));
        }
        return new Power(radicand, Expression.quotient(Expression.ONE, degree, budget));
    }

    private Expression elementary(String name) {
        Expression base = null;
        Expression exponent = null;
        for (int i = 0; i < 2; i++) {
            if (base == null && accept("_")) {
                base = is("{") ? braced() : atom();
            } else if (exponent == null && accept("^")) {
                exponent = superscript();
            }
        }
        Expression argument;
        if (accept("(")) {
            int outer = bars;
            bars = 0;
            argument = expression();
            bars = outer;
            expect(")");
        } else {
            argument = product(false);
        }
        boolean inverse = exponent instanceof Number number && number.isInteger() && number.value().equals(Rational.of(-1))
                && Set.of("sin", "cos", "tan", "csc", "sec", "cot", "sinh", "cosh", "tanh").contains(name);
        Expression call = switch (name) {
            case "ln" -> new Call("log", List.of(argument, base != null ? base : new Constant("e")));
            case "log" -> new Call("log", List.of(argument, base != null ? base : Expression.integer(10)));
            case "exp" -> new Power(new Constant("e"), argument);
            case "det" -> {
                if (!(argument instanceof Matrix matrix)) {
                    throw new Unreadable("determinant of what is no matrix");
                }
                yield MatrixAlgebra.determinant(matrix, budget);
            }
            default -> new Call(inverse ? "arc" + name : name, List.of(argument));
        };
        return exponent == null || inverse ? call : new Power(call, exponent);
    }

    private Expression series(String name) {
        Expression variable = null;
        Expression start = null;
        Expression end = null;
        for (int i = 0; i < 2; i++) {
            if (accept("_")) {
                expect("{");
                variable = expression();
                expect("=");
                start = expression();
                expect("}");
            } else {
                expect("^");
                end = superscript();
            }
        }
        if (variable == null || start == null || end == null) {
            throw new Unreadable("bounds of a sum");
        }
        return new Call(name, List.of(product(true), variable, start, end));
    }

    private Expression limit() {
        expect("_");
        expect("{");
        Expression variable = atom();
        expect("→");
        Expression point = expression();
        String side = "";
        if (accept("^")) {
            expect("{");
            side = next().text();
            expect("}");
        }
        expect("}");
        return new Call("lim" + side, List.of(product(true), variable, point));
    }

    private Expression integral() {
        var arguments = new ArrayList<Expression>();
        Expression lower = null;
        Expression upper = null;
        for (int i = 0; i < 2; i++) {
            if (lower == null && accept("_")) {
                lower = is("{") ? braced() : atom();
            } else if (upper == null && accept("^")) {
                upper = superscript();
            }
        }
        arguments.add(expression());
        if (lower != null && upper != null) {
            arguments.add(lower);
            arguments.add(upper);
        } else if (lower != null || upper != null) {
            throw new Unreadable("bounds of an integral");
        }
        return new Call("int", List.copyOf(arguments));
    }

    private Expression matrix() {
        boolean determinant = next().text().equals("vmatrix");
        var entries = new ArrayList<Expression>();
        int columns = 0;
        int column = 0;
        while (true) {
            entries.add(expression());
            column++;
            if (accept("&")) {
                continue;
            }
            boolean rowEnds = accept("\\\\");
            if (columns > 0 && column != columns) {
                throw new Unreadable("rows of a matrix");
            }
            columns = column;
            column = 0;
            Token token = peek();
            if (token != null && token.kind() == Kind.END) {
                at++;
                var matrix = new Matrix(columns, List.copyOf(entries));
                return determinant ? MatrixAlgebra.determinant(matrix, budget) : matrix;
            }
            if (!rowEnds) {
                throw new Unreadable("end of a matrix");
            }
        }
    }

    private Number number(String written) {
        if (written.length() > MAX_DIGITS) {
            throw new Unreadable("number too long");
        }
        budget.spend(1 + (long) written.length() * written.length() / 1000);
        int exponentAt = written.indexOf('e');
        String mantissa = exponentAt < 0 ? written : written.substring(0, exponentAt);
        int point = mantissa.indexOf('.');
        String digits = point < 0 ? mantissa : mantissa.substring(0, point) + mantissa.substring(point + 1);
        int scale = point < 0 ? 0 : mantissa.length() - point - 1;
        Rational value = Rational.of(new BigInteger(digits), BigInteger.TEN.pow(scale), budget);
        if (exponentAt >= 0) {
            String exponent = written.substring(exponentAt + 1);
            if (exponent.length() > 4 || Math.abs(Integer.parseInt(exponent)) > MAX_POWER_OF_TEN) {
                throw new Unreadable("exponent too large");
            }
            value = value.times(Rational.of(10).power(Integer.parseInt(exponent), budget), budget);
        }
        return new Number(value, point >= 0 || exponentAt >= 0);
    }
}
