package rqat.text.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import rqat.text.jinja.JinjaLexer.Kind;
import rqat.text.jinja.JinjaLexer.Token;
import rqat.text.jinja.JinjaNode.Arguments;
import rqat.text.jinja.JinjaNode.Expression;
import rqat.text.jinja.JinjaNode.Statement;

/// Recursive descent over the part of Jinja that chat templates use, with Jinja's precedence (from loosest to tightest): inline `if`, `or`,
/// `and`, `not`, comparisons, `+ -`, `~`, `* / // %`, `**`, signs, then attributes, items, calls, filters and tests.
/// Every other tag or construct is an error at its line.
final class JinjaParser {

    /// Nesting of blocks and brackets; published templates need about ten.
    private static final int MAXIMUM_DEPTH = 100;

    private static final Map<String, Object> CONSTANTS =
            Map.of("true", true, "True", true, "false", false, "False", false);
    private static final Set<String> RESERVED =
            Set.of("and", "or", "not", "in", "is", "if", "else", "elif", "for", "true", "false", "none", "True", "False", "None");

    private final List<Token> tokens;
    private int position;
    private int depth;
    private int loops;

    private JinjaParser(List<Token> tokens) {
        this.tokens = tokens;
    }

    /// The statements of `template`.
    static List<Statement> parse(String template) {
        JinjaParser parser = new JinjaParser(JinjaLexer.tokens(template));
        List<Statement> statements = parser.body(Set.of());
        parser.expect(Kind.END, "end of template");
        return statements;
    }

    // ---- statements

    /// Statements up to a block whose name is one of `ends` (left at its name), or the end of the template.
    private List<Statement> body(Set<String> ends) {
        enter();
        List<Statement> statements = new ArrayList<>();
        while (peek().kind() != Kind.END) {
            Token token = next();
            switch (token.kind()) {
                case TEXT -> statements.add(new JinjaNode.Text(token.line(), token.text()));
                case VARIABLE_BEGIN -> {
                    statements.add(new JinjaNode.Output(token.line(), tuple()));
                    expect(Kind.VARIABLE_END, "}}");
                }
                case BLOCK_BEGIN -> {
                    if (peek().kind() == Kind.NAME && ends.contains(peek().text())) {
                        depth--;
                        return statements;
                    }
                    statements.add(block());
                }
                default -> throw unexpected(token, "text or a tag");
            }
        }
        if (!ends.isEmpty()) {
            throw new JinjaError(peek().line(), "the template ends where one of " + ends.stream().sorted().toList()
                    + " is expected");
        }
        depth--;
        return statements;
    }

    private Statement block() {
        Token tag = expect(Kind.NAME, "the name of a tag");
        return switch (tag.text()) {
            case "if" -> conditional(tag.line());
            case "for" -> loop(tag.line());
            case "set" -> assignment(tag.line());
            case "macro" -> macro(tag.line());
            case "generation" -> {
                endBlock();
                yield new JinjaNode.Generation(tag.line(), scopedBody("endgeneration"));
            }
            case "break", "continue" -> {
                if (loops == 0) {
                    throw new JinjaError(tag.line(), "'" + tag.text() + "' outside a loop");
                }
                endBlock();
                yield tag.text().equals("break") ? new JinjaNode.Break(tag.line()) : new JinjaNode.Continue(tag.line());
            }
            default -> throw new JinjaError(tag.line(), "the tag '" + tag.text() + "' is not supported");
        };
    }

    private Statement conditional(int line) {
        Expression condition = tuple();
        endBlock();
        List<Statement> then = body(Set.of("elif", "else", "endif"));
        Token end = next();
        if (end.text().equals("elif")) {
            return new JinjaNode.If(line, condition, then, elseIf(end.line()));
        }
        endBlock();
        List<Statement> otherwise = List.of();
        if (end.text().equals("else")) {
            otherwise = body(Set.of("endif"));
            next();
            endBlock();
        }
        return new JinjaNode.If(line, condition, then, otherwise);
    }

    private List<Statement> elseIf(int line) {
        enter();
        List<Statement> otherwise = List.of(conditional(line));
        depth--;
        return otherwise;
    }

    private Statement loop(int line) {
        List<String> targets = targets();
        expectOperatorName("in");
        Expression items = tuple(false);
        Expression filter = skipName("if") ? expression() : null;
        endBlock();
        loops++;
        List<Statement> body = body(Set.of("else", "endfor"));
        loops--;
        List<Statement> otherwise = List.of();
        Token end = next();
        endBlock();
        if (end.text().equals("else")) {
            otherwise = body(Set.of("endfor"));
            next();
            endBlock();
        }
        return new JinjaNode.For(line, targets, items, filter, body, otherwise);
    }

    private Statement assignment(int line) {
        List<String> targets = targets();
        String attribute = null;
        if (targets.size() == 1 && skip(".")) {
            attribute = expect(Kind.NAME, "an attribute").text();
        }
        if (skip("=")) {
            Expression value = tuple();
            endBlock();
            return new JinjaNode.Assign(line, targets, attribute, value);
        }
        if (targets.size() > 1) {
            throw unexpected(peek(), "=");
        }
        Expression filters = filters(new JinjaNode.Name(line, JinjaNode.CAPTURED), false);
        endBlock();
        return new JinjaNode.Capture(line, targets.getFirst(), attribute, filters, scopedBody("endset"));
    }

    private Statement macro(int line) {
        String name = target();
        List<String> parameters = new ArrayList<>();
        List<Expression> defaults = new ArrayList<>();
        expect("(");
        while (!skip(")")) {
            if (!parameters.isEmpty()) {
                expect(",");
            }
            parameters.add(target());
            if (skip("=")) {
                defaults.add(expression());
            } else if (!defaults.isEmpty()) {
                throw unexpected(peek(), "a default, as the parameter before has one");
            }
        }
        endBlock();
        return new JinjaNode.Macro(line, name, parameters, defaults, scopedBody("endmacro"));
    }

    /// A body that a loop outside cannot be left from.
    private List<Statement> scopedBody(String end) {
        int outer = loops;
        loops = 0;
        List<Statement> body = body(Set.of(end));
        loops = outer;
        next();
        endBlock();
        return body;
    }

    private List<String> targets() {
        List<String> targets = new ArrayList<>();
        boolean parenthesis = skip("(");
        do {
            targets.add(target());
        } while (skip(","));
        if (parenthesis) {
            expect(")");
        }
        return targets;
    }

    private String target() {
        Token name = expect(Kind.NAME, "a variable");
        if (RESERVED.contains(name.text())) {
            throw unexpected(name, "a variable");
        }
        return name.text();
    }

    // ---- expressions

    private Expression tuple() {
        return tuple(true);
    }

    /// An expression, or several with commas between them: a tuple.
    private Expression tuple(boolean conditional) {
        int line = peek().line();
        Expression first = conditional ? expression() : or();
        if (!peek().is(Kind.OPERATOR, ",")) {
            return first;
        }
        List<Expression> items = new ArrayList<>(List.of(first));
        while (skip(",")) {
            if (Set.of(Kind.VARIABLE_END, Kind.BLOCK_END).contains(peek().kind()) || peek().is(Kind.OPERATOR, ")")) {
                break;
            }
            items.add(conditional ? expression() : or());
        }
        return new JinjaNode.Sequence(line, items, true);
    }

    private Expression expression() {
        enter();
        Expression value = or();
        while (peek().is(Kind.NAME, "if")) {
            int line = next().line();
            Expression condition = or();
            Expression otherwise = skipName("else") ? expression() : null;
            value = new JinjaNode.Conditional(line, condition, value, otherwise);
        }
        depth--;
        return value;
    }

    private Expression or() {
        Expression left = and();
        while (peek().is(Kind.NAME, "or")) {
            left = new JinjaNode.Binary(next().line(), "or", left, and());
        }
        return left;
    }

    private Expression and() {
        Expression left = not();
        while (peek().is(Kind.NAME, "and")) {
            left = new JinjaNode.Binary(next().line(), "and", left, not());
        }
        return left;
    }

    private Expression not() {
        if (!peek().is(Kind.NAME, "not")) {
            return comparison();
        }
        enter();
        Expression negated = new JinjaNode.Unary(next().line(), "not", not());
        depth--;
        return negated;
    }

    private Expression comparison() {
        int line = peek().line();
        Expression first = sum();
        List<String> operators = new ArrayList<>();
        List<Expression> operands = new ArrayList<>();
        while (true) {
            Token token = peek();
            if (token.kind() == Kind.OPERATOR && Set.of("==", "!=", "<", "<=", ">", ">=").contains(token.text())) {
                operators.add(next().text());
            } else if (token.is(Kind.NAME, "in")) {
                operators.add(next().text());
            } else if (token.is(Kind.NAME, "not") && tokens.get(position + 1).is(Kind.NAME, "in")) {
                next();
                next();
                operators.add("not in");
            } else {
                return operators.isEmpty() ? first : new JinjaNode.Comparison(line, first, operators, operands);
            }
            operands.add(sum());
        }
    }

    private Expression sum() {
        Expression left = concatenation();
        while (peek().is(Kind.OPERATOR, "+") || peek().is(Kind.OPERATOR, "-")) {
            Token operator = next();
            left = new JinjaNode.Binary(operator.line(), operator.text(), left, concatenation());
        }
        return left;
    }

    private Expression concatenation() {
        Expression left = product();
        while (peek().is(Kind.OPERATOR, "~")) {
            left = new JinjaNode.Binary(next().line(), "~", left, product());
        }
        return left;
    }

    private Expression product() {
        Expression left = power();
        while (peek().kind() == Kind.OPERATOR && Set.of("*", "/", "//", "%").contains(peek().text())) {
            Token operator = next();
            left = new JinjaNode.Binary(operator.line(), operator.text(), left, power());
        }
        return left;
    }

    private Expression power() {
        Expression left = unary(true);
        while (peek().is(Kind.OPERATOR, "**")) {
            left = new JinjaNode.Binary(next().line(), "**", left, unary(true));
        }
        return left;
    }

    private Expression unary(boolean withFilters) {
        enter();
        Token token = peek();
        Expression value = token.is(Kind.OPERATOR, "-") || token.is(Kind.OPERATOR, "+")
                ? new JinjaNode.Unary(token.line(), next().text(), unary(false))
                : primary();
        value = postfix(value);
        depth--;
        return withFilters ? filters(value, true) : value;
    }

    private Expression primary() {
        Token token = next();
        int line = token.line();
        return switch (token.kind()) {
            case STRING -> {
                StringBuilder text = new StringBuilder(token.text());
                while (peek().kind() == Kind.STRING) {
                    text.append(next().text());
                }
                yield new JinjaNode.Literal(line, text.toString());
            }
            case INTEGER -> new JinjaNode.Literal(line, integer(token));
            case FLOAT -> new JinjaNode.Literal(line, Double.parseDouble(token.text()));
            case NAME -> {
                if (CONSTANTS.containsKey(token.text())) {
                    yield new JinjaNode.Literal(line, CONSTANTS.get(token.text()));
                }
                if (token.text().equalsIgnoreCase("none") && RESERVED.contains(token.text())) {
                    yield new JinjaNode.Literal(line, null);
                }
                if (RESERVED.contains(token.text())) {
                    throw unexpected(token, "a value");
                }
                yield new JinjaNode.Name(line, token.text());
            }
            case OPERATOR -> switch (token.text()) {
                case "(" -> {
                    if (skip(")")) {
                        yield new JinjaNode.Sequence(line, List.of(), true);
                    }
                    Expression inner = tuple();
                    expect(")");
                    yield inner;
                }
                case "[" -> new JinjaNode.Sequence(line, list(), false);
                case "{" -> dictionary(line);
                default -> throw unexpected(token, "a value");
            };
            default -> throw unexpected(token, "a value");
        };
    }

    private static long integer(Token token) {
        try {
            return Long.parseLong(token.text());
        } catch (NumberFormatException e) {
            throw new JinjaError(token.line(), "the number " + token.text() + " is too large");
        }
    }

    private List<Expression> list() {
        List<Expression> items = new ArrayList<>();
        while (!skip("]")) {
            if (!items.isEmpty()) {
                expect(",");
                if (skip("]")) {
                    break;
                }
            }
            items.add(expression());
        }
        return items;
    }

    private Expression dictionary(int line) {
        List<Expression> keys = new ArrayList<>();
        List<Expression> values = new ArrayList<>();
        while (!skip("}")) {
            if (!keys.isEmpty()) {
                expect(",");
                if (skip("}")) {
                    break;
                }
            }
            keys.add(expression());
            expect(":");
            values.add(expression());
        }
        return new JinjaNode.Dictionary(line, keys, values);
    }

    private Expression postfix(Expression value) {
        while (true) {
            int line = peek().line();
            if (skip(".")) {
                Token name = next();
                value = switch (name.kind()) {
                    case NAME -> new JinjaNode.Attribute(line, value, name.text());
                    case INTEGER -> new JinjaNode.Item(line, value, new JinjaNode.Literal(line, integer(name)));
                    default -> throw unexpected(name, "an attribute");
                };
            } else if (skip("[")) {
                value = subscript(line, value);
            } else if (peek().is(Kind.OPERATOR, "(")) {
                value = new JinjaNode.Call(line, value, arguments());
            } else {
                return value;
            }
        }
    }

    private Expression subscript(int line, Expression target) {
        Expression start = peek().is(Kind.OPERATOR, ":") ? null : expression();
        if (start != null && skip("]")) {
            return new JinjaNode.Item(line, target, start);
        }
        expect(":");
        Expression stop = peek().is(Kind.OPERATOR, ":") || peek().is(Kind.OPERATOR, "]") ? null : expression();
        Expression step = skip(":") && !peek().is(Kind.OPERATOR, "]") ? expression() : null;
        expect("]");
        return new JinjaNode.Slice(line, target, start, stop, step);
    }

    /// `| filter` and, where `tests`, `is test`, any number of them.
    private Expression filters(Expression value, boolean tests) {
        while (true) {
            int line = peek().line();
            if (skip("|")) {
                String name = expect(Kind.NAME, "a filter").text();
                value = new JinjaNode.Filter(line, value, name, peek().is(Kind.OPERATOR, "(") ? arguments() : Arguments.NONE);
            } else if (tests && skipName("is")) {
                boolean negated = skipName("not");
                value = new JinjaNode.Test(line, value, expect(Kind.NAME, "a test").text(), testArguments(), negated);
            } else if (tests && peek().is(Kind.OPERATOR, "(")) {
                value = new JinjaNode.Call(line, value, arguments());
            } else {
                return value;
            }
        }
    }

    /// Arguments in parentheses, or one operand that follows the test's name directly (`is divisibleby 3`).
    private Arguments testArguments() {
        Token token = peek();
        if (token.is(Kind.OPERATOR, "(")) {
            return arguments();
        }
        boolean operand = switch (token.kind()) {
            case STRING, INTEGER, FLOAT -> true;
            case NAME -> !RESERVED.contains(token.text()) || token.text().matches("(?i)true|false|none");
            case OPERATOR -> token.text().equals("[") || token.text().equals("{");
            default -> false;
        };
        return operand ? new Arguments(List.of(postfix(primary())), List.of(), List.of()) : Arguments.NONE;
    }

    private Arguments arguments() {
        List<Expression> positional = new ArrayList<>();
        List<String> names = new ArrayList<>();
        List<Expression> named = new ArrayList<>();
        expect("(");
        while (!skip(")")) {
            if (!positional.isEmpty() || !names.isEmpty()) {
                expect(",");
                if (skip(")")) {
                    break;
                }
            }
            if (peek().kind() == Kind.NAME && tokens.get(position + 1).is(Kind.OPERATOR, "=")) {
                names.add(next().text());
                next();
                named.add(expression());
            } else if (names.isEmpty()) {
                positional.add(expression());
            } else {
                throw unexpected(peek(), "a named argument");
            }
        }
        return new Arguments(positional, names, named);
    }

    // ---- tokens

    private Token peek() {
        return tokens.get(position);
    }

    private Token next() {
        Token token = tokens.get(position);
        position = Math.min(position + 1, tokens.size() - 1);
        return token;
    }

    private boolean skip(String operator) {
        return skip(Kind.OPERATOR, operator);
    }

    private boolean skipName(String name) {
        return skip(Kind.NAME, name);
    }

    private boolean skip(Kind kind, String text) {
        boolean found = peek().is(kind, text);
        if (found) {
            next();
        }
        return found;
    }

    private void expect(String operator) {
        if (!skip(operator)) {
            throw unexpected(peek(), operator);
        }
    }

    private void expectOperatorName(String name) {
        if (!skipName(name)) {
            throw unexpected(peek(), name);
        }
    }

    private Token expect(Kind kind, String expected) {
        Token token = next();
        if (token.kind() != kind) {
            throw unexpected(token, expected);
        }
        return token;
    }

    private void endBlock() {
        expect(Kind.BLOCK_END, "%}");
    }

    private static JinjaError unexpected(Token token, String expected) {
        return new JinjaError(token.line(), "found '%s', expected %s".formatted(token.text(), expected));
    }

    private void enter() {
        if (++depth > MAXIMUM_DEPTH) {
            throw new JinjaError(peek().line(), "nested more than " + MAXIMUM_DEPTH + " deep");
        }
    }
}
