package rqat.verify.mathematics;

import java.math.BigInteger;
import java.util.List;
import rqat.verify.mathematics.Expression.Number;
import rqat.verify.mathematics.Expression.Power;

/// Reads plain arithmetic as a programming language does: `2*(3+4)/5`, powers from the right, no product without a sign.
final class ArithmeticParser {

    private static final int MAX_DEPTH = 100;

    private final String text;
    private final Budget budget;
    private int at;
    private int depth;

    private ArithmeticParser(String text, Budget budget) {
        this.text = text;
        this.budget = budget;
    }

    /// The expression.
    ///
    /// @throws Unreadable when it is not one
    static Expression parse(String text, Budget budget) {
        var parser = new ArithmeticParser(text.strip(), budget);
        Expression result = parser.sum();
        if (parser.at < parser.text.length()) {
            throw new Unreadable("trailing characters");
        }
        return result;
    }

    private Expression sum() {
        Expression result = product();
        while (true) {
            if (accept('+')) {
                result = Expression.sum(List.of(result, product()));
            } else if (accept('-')) {
                result = Expression.difference(result, product());
            } else {
                return result;
            }
        }
    }

    private Expression product() {
        Expression result = signed();
        while (true) {
            budget.spend(1);
            if (accept('*')) {
                result = Expression.product(List.of(result, signed()));
            } else if (accept('/')) {
                result = Expression.quotient(result, signed(), budget);
            } else {
                return result;
            }
        }
    }

    private Expression signed() {
        if (++depth > MAX_DEPTH) {
            throw new Unreadable("nested too deep");
        }
        Expression result;
        if (accept('-')) {
            result = Expression.negate(signed());
        } else if (accept('+')) {
            result = signed();
        } else {
            result = power();
        }
        depth--;
        return result;
    }

    private Expression power() {
        Expression base = primary();
        return accept('^') || acceptDoubled() ? new Power(base, signed()) : base;
    }

    private boolean acceptDoubled() {
        boolean doubled = text.startsWith("**", at);
        at += doubled ? 2 : 0;
        return doubled;
    }

    private Expression primary() {
        if (accept('(')) {
            Expression inside = sum();
            if (!accept(')')) {
                throw new Unreadable("missing )");
            }
            return inside;
        }
        skipSpace();
        int start = at;
        while (at < text.length() && CandidateFinder.isDigit(text.charAt(at))) {
            at++;
        }
        String whole = text.substring(start, at);
        String fraction = "";
        boolean decimal = at < text.length() && text.charAt(at) == '.';
        if (decimal) {
            int point = ++at;
            while (at < text.length() && CandidateFinder.isDigit(text.charAt(at))) {
                at++;
            }
            fraction = text.substring(point, at);
        }
        boolean padded = whole.length() > 1 && whole.charAt(0) == '0' && !decimal && !whole.chars().allMatch(c -> c == '0');
        if (whole.isEmpty() && fraction.isEmpty() || padded) {
            throw new Unreadable("no number");
        }
        budget.spend(1 + (long) (at - start) * (at - start) / 1000);
        Rational value = Rational.of(new BigInteger(whole + fraction), BigInteger.TEN.pow(fraction.length()), budget);
        return new Number(value, decimal);
    }

    private boolean accept(char c) {
        skipSpace();
        boolean accepted = at < text.length() && text.charAt(at) == c && !(c == '*' && text.startsWith("**", at));
        at += accepted ? 1 : 0;
        return accepted;
    }

    private void skipSpace() {
        while (at < text.length() && CandidateFinder.isSpace(text.charAt(at))) {
            at++;
        }
    }
}
