package rqat.verify.mathematics;

import java.math.BigInteger;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.LatexTokens.Kind;
import rqat.verify.mathematics.LatexTokens.Token;

/// Evaluates an arithmetic expression exactly, by recursive descent with a depth limit:
///
///     number   = sum [scale word | percent word] [units]
///     sum      = [sign] term { sign term }
///     term     = factor { ["*" | "/"] factor }
///     factor   = primary [ "^" [sign] factor ] { "%" }
///     primary  = NUMBER | mixed | "(" sum ")" | "{" sum "}" | \frac primary primary | \sqrt ["[" sum "]"] primary
///     mixed    = NUMBER \frac NUMBER NUMBER | NUMBER NUMBER "/" NUMBER          (a proper fraction behind an integer)
///
/// Units are the words behind the number: anything inside `\text{}`, and a few plain words. They are dropped, as in Math-Verify.
final class NumberParser {

    private static final int MAX_DEPTH = 200;
    private static final int MAX_DIGITS = 1300;

    /// Unit words that are recognised without `\text{}`. Single letters are variables.
    private static final Set<String> UNITS = Set.of(
            "mm", "cm", "dm", "km", "mg", "kg", "ml", "mL", "kmh", "mph", "kph", "sec", "secs", "min", "mins", "hr", "hrs", "ft", "lb", "lbs",
            "oz", "meter", "meters", "metre", "metres", "centimeter", "centimeters", "kilometer", "kilometers", "inch", "inches", "foot",
            "feet", "yard", "yards", "mile", "miles", "gram", "grams", "kilogram", "kilograms", "pound", "pounds", "ounce", "ounces", "ton",
            "tons", "liter", "liters", "litre", "litres", "gallon", "gallons", "second", "seconds", "minute", "minutes", "hour", "hours",
            "day", "days", "week", "weeks", "month", "months", "year", "years", "degree", "degrees", "radian", "radians", "cent", "cents",
            "dollar", "dollars", "euro", "euros", "yuan", "rupees", "unit", "units", "square", "squared", "sq", "cubic", "cubed", "point",
            "points", "time", "times", "way", "ways", "people", "student", "students", "children", "apple", "apples", "per");

    /// Words that change the value when dropped: operations, parts, multiples, and what makes a number a guess or a bound.
    private static final Set<String> NOT_UNITS = Set.of(
            "not", "no", "less", "more", "least", "most", "about", "or", "to", "maybe", "perhaps", "roughly", "plus", "minus", "negative", "over", "divided",
            "multiplied", "modulo", "mod", "choose", "factorial", "root", "power", "log", "base", "double", "doubled", "triple", "tripled", "twice", "half", "halves",
            "halved", "third", "thirds", "quarter", "quarters", "fourth", "fourths", "fifth", "fifths", "sixth", "sixths", "seventh", "sevenths", "eighth", "eighths",
            "ninth", "ninths", "tenth", "tenths", "twelfth", "twelfths", "hundredth", "hundredths", "thousandth", "thousandths", "millionth", "millionths", "dozen",
            "dozens", "score", "gross", "tens", "hundreds", "thousands", "millions", "billions", "inverse", "reciprocal", "opposite", "conjugate", "complement",
            "negated", "infinity", "infinite", "pi", "fold", "ths", "nth", "nths", "greater", "fewer", "above", "below", "between",
            "through", "until", "up", "except", "excluding", "but", "without", "nor", "neither", "never", "none", "wrong", "incorrect", "false", "undefined", "impossible");

    /// What a single upright letter may be: a unit of length, mass, time, volume or another of physics. Any other is a variable, `\mathrm{i}` too.
    private static final Set<String> UNIT_LETTERS = Set.of("m", "g", "s", "h", "l", "t", "d", "L", "A", "V", "W", "N", "J", "K", "C", "F", "T", "B", "M", "G", "k", "c", "p");

    /// Words that belong to a unit behind it (`cm squared`) and change the value of a number.
    private static final Set<String> POWERS = Set.of("squared", "cubed");

    private final List<Token> tokens;
    private final Budget budget;
    private boolean decimal;
    private int depth;
    private int at;

    private NumberParser(List<Token> tokens, Budget budget) {
        this.tokens = tokens;
        this.budget = budget;
    }

    /// The number, or null when the tokens are something else.
    static Answer.@Nullable Number parse(List<Token> tokens, Budget budget) {
        try {
            var parser = new NumberParser(tokens, budget);
            ExactNumber value = parser.number();
            return new Answer.Number(value, parser.decimal);
        } catch (Unreadable e) {
            return null;
        }
    }

    private ExactNumber number() {
        ExactNumber value = sum();
        if (peek() != null && peek().isWord() && POWERS.contains(peek().text().toLowerCase(Locale.ROOT))) {
            value = value.power(Rational.of(tokens.get(at++).text().equalsIgnoreCase("squared") ? 2 : 3), budget);
        }
        Rational scale = scale(peek());
        if (scale != null) {
            at++;
            value = value.times(ExactNumber.of(scale), budget);
        }
        units();
        if (at < tokens.size()) {
            throw new Unreadable("trailing tokens");
        }
        return value;
    }

    private static @Nullable Rational scale(@Nullable Token word) {
        if (word == null || !word.isWord()) {
            return null;
        }
        return switch (word.text().toLowerCase(Locale.ROOT)) {
            case "percent", "percentage", "pct", "hundredth", "hundredths" -> fraction(100);
            case "half", "halves" -> fraction(2);
            case "third", "thirds" -> fraction(3);
            case "quarter", "quarters", "fourth", "fourths" -> fraction(4);
            case "fifth", "fifths" -> fraction(5);
            case "sixth", "sixths" -> fraction(6);
            case "seventh", "sevenths" -> fraction(7);
            case "eighth", "eighths" -> fraction(8);
            case "ninth", "ninths" -> fraction(9);
            case "tenth", "tenths" -> fraction(10);
            case "twelfth", "twelfths" -> fraction(12);
            case "thousandth", "thousandths" -> fraction(1_000);
            case "millionth", "millionths" -> fraction(1_000_000);
            case "dozen", "dozens" -> Rational.of(12);
            case "hundred" -> Rational.of(100);
            case "thousand" -> Rational.of(1_000);
            case "million" -> Rational.of(1_000_000);
            case "billion" -> Rational.of(1_000_000_000);
            case "trillion" -> Rational.of(1_000_000_000_000L);
            default -> null;
        };
    }

    private static Rational fraction(int denominator) {
        return new Rational(BigInteger.ONE, BigInteger.valueOf(denominator));
    }

    private void units() {
        Token first = peek();
        if (first == null || !(first.isWord() || first.is("("))) {
            return;
        }
        int start = at;
        while (at < tokens.size()) {
            Token token = tokens.get(at++);
            if (token.is("^")) {
                primaryExponent();
            } else if (token.isWord()) {
                String word = token.text().toLowerCase(Locale.ROOT);
                boolean unit = token.kind() == Kind.WORD || UNITS.contains(token.text()) || UNITS.contains(word);
                boolean power = at - 1 == start && POWERS.contains(word);
                boolean variable = token.kind() == Kind.WORD && token.text().length() == 1 && !UNIT_LETTERS.contains(token.text()) && !tokenIs(at, ".");
                if (!unit || power || variable || NOT_UNITS.contains(word) || scale(token) != null) {
                    throw new Unreadable("not a unit");
                }
            } else if (!(token.is("/") || token.is("*") || token.is(".") || token.is("-") || token.is("(") || token.is(")"))) {
                throw new Unreadable("not a unit");
            }
        }
    }

    /// The power of a unit, as in `cm^2` or `s^{-1}`.
    private void primaryExponent() {
        accept("-");
        primary();
    }

    private ExactNumber sum() {
        enter();
        ExactNumber value = signedTerm();
        while (peek() != null && (peek().is("+") || peek().is("-"))) {
            value = value.plus(signedTerm(), budget);
        }
        depth--;
        return value;
    }

    private ExactNumber signedTerm() {
        boolean negative = sign();
        ExactNumber value = term();
        return negative ? value.negate() : value;
    }

    /// Reads any number of signs; true when they amount to a minus.
    private boolean sign() {
        boolean negative = false;
        while (true) {
            if (accept("-") || acceptWord("negative") || acceptWord("minus")) {
                negative = !negative;
            } else if (!accept("+")) {
                return negative;
            }
        }
    }

    private ExactNumber term() {
        ExactNumber value = factor();
        while (true) {
            if (accept("*")) {
                value = value.times(signedFactor(), budget);
            } else if (peek() != null && peek().is("/") && !wordAt(at + 1)) {
                at++;
                value = value.dividedBy(signedFactor(), budget);
            } else if (startsFactor()) {
                value = value.times(factor(), budget);
            } else {
                return value;
            }
        }
    }

    /// A factor behind an explicit operator may carry a sign, as in `2 * -3`.
    private ExactNumber signedFactor() {
        boolean negative = sign();
        ExactNumber value = factor();
        return negative ? value.negate() : value;
    }

    /// Whether the next token continues a product without a sign. A number does not: `2 3` is not 6.
    private boolean startsFactor() {
        Token next = peek();
        return next != null && (next.is("\\frac") || next.is("\\sqrt") || (next.is("(") || next.is("{")) && !wordAt(at + 1));
    }

    private boolean wordAt(int index) {
        return index < tokens.size() && tokens.get(index).isWord();
    }

    private ExactNumber factor() {
        enter();
        ExactNumber value = primary();
        if (accept("^")) {
            boolean negative = sign();
            Rational exponent = factor().rational();
            value = value.power(negative ? exponent.negate() : exponent, budget);
        }
        while (accept("%")) {
            value = value.dividedBy(ExactNumber.of(Rational.of(100)), budget);
        }
        depth--;
        return value;
    }

    private ExactNumber primary() {
        enter();
        Token token = peek();
        if (token == null) {
            throw new Unreadable("end of expression");
        }
        at++;
        ExactNumber value;
        if (token.kind() == Kind.NUMBER) {
            value = ExactNumber.of(literal(token.text()).plus(properFraction(token.text()), budget));
        } else if (token.is("(") || token.is("{")) {
            value = sum();
            expect(token.is("(") ? ")" : "}");
        } else if (token.is("\\frac")) {
            ExactNumber numerator = primary();
            value = numerator.dividedBy(primary(), budget);
        } else if (token.is("\\sqrt")) {
            int degree = 2;
            if (accept("[")) {
                Rational index = sum().rational();
                expect("]");
                degree = index.isInteger() && index.numerator().bitLength() < 31 ? index.numerator().intValueExact() : 0;
            }
            value = primary().root(degree, budget);
        } else {
            throw new Unreadable("not a number");
        }
        depth--;
        return value;
    }

    /// The proper fraction of a mixed number, consumed; zero when what follows the integer is something else.
    private Rational properFraction(String integer) {
        if (!isInteger(integer)) {
            return Rational.ZERO;
        }
        boolean command = tokenIs(at, "\\frac");
        int numeratorEnd = command ? argumentEnd(at + 1) : argumentEnd(at);
        boolean slash = !command && numeratorEnd > 0 && tokenIs(numeratorEnd, "/");
        int denominatorEnd = numeratorEnd > 0 && (command || slash) ? argumentEnd(slash ? numeratorEnd + 1 : numeratorEnd) : -1;
        if (denominatorEnd < 0) {
            return Rational.ZERO;
        }
        Rational numerator = argument(numeratorEnd);
        Rational denominator = argument(denominatorEnd);
        if (numerator.isZero() || numerator.numerator().compareTo(denominator.numerator()) >= 0) {
            return Rational.ZERO;
        }
        at = denominatorEnd;
        return numerator.dividedBy(denominator, budget);
    }

    /// The end of an integer, in braces or not, that begins here; -1 when there is none.
    private int argumentEnd(int from) {
        if (tokenIs(from, "{")) {
            return isIntegerAt(from + 1) && tokenIs(from + 2, "}") ? from + 3 : -1;
        }
        return isIntegerAt(from) ? from + 1 : -1;
    }

    /// The integer that ends here, in braces or not.
    private Rational argument(int end) {
        return literal(tokens.get(tokenIs(end - 1, "}") ? end - 2 : end - 1).text());
    }

    private boolean isIntegerAt(int index) {
        return index < tokens.size() && tokens.get(index).kind() == Kind.NUMBER && isInteger(tokens.get(index).text());
    }

    private static boolean isInteger(String number) {
        return number.chars().allMatch(c -> c >= '0' && c <= '9');
    }

    /// The value of a number token: `digits[.digits][(repeating)][e[-]digits]`.
    private Rational literal(String written) {
        if (written.length() > MAX_DIGITS) {
            throw new Unreadable("number too long");
        }
        budget.spend(1 + (long) written.length() * written.length() / 1000);
        int exponentAt = written.indexOf('e');
        String mantissa = exponentAt < 0 ? written : written.substring(0, exponentAt);
        int repeatAt = mantissa.indexOf('(');
        String repeat = repeatAt < 0 ? "" : mantissa.substring(repeatAt + 1, mantissa.length() - 1);
        String plain = repeatAt < 0 ? mantissa : mantissa.substring(0, repeatAt);
        int point = plain.indexOf('.');
        int places = point < 0 ? 0 : plain.length() - point - 1;
        String digits = point < 0 ? plain : plain.substring(0, point) + plain.substring(point + 1);
        BigInteger unscaled = digits.isEmpty() ? BigInteger.ZERO : new BigInteger(digits);
        BigInteger scale = BigInteger.TEN.pow(places);
        Rational value;
        if (repeat.isEmpty()) {
            decimal |= point >= 0;
            value = Rational.of(unscaled, scale, budget);
        } else {
            // 0.1(6) = (16 - 1) / 90, exact, so it does not count as a rounded decimal
            BigInteger nines = BigInteger.TEN.pow(repeat.length()).subtract(BigInteger.ONE);
            value = Rational.of(unscaled.multiply(nines).add(new BigInteger(repeat)), scale.multiply(nines), budget);
        }
        if (exponentAt < 0) {
            return value;
        }
        String exponent = written.substring(exponentAt + 1);
        if (exponent.length() > 5) {
            throw new Unreadable("exponent too large");
        }
        return value.times(Rational.of(10).power(Integer.parseInt(exponent), budget), budget);
    }

    private @Nullable Token peek() {
        return at < tokens.size() ? tokens.get(at) : null;
    }

    private boolean tokenIs(int index, String symbol) {
        return index < tokens.size() && tokens.get(index).is(symbol);
    }

    private boolean accept(String symbol) {
        boolean accepted = tokenIs(at, symbol);
        at += accepted ? 1 : 0;
        return accepted;
    }

    private boolean acceptWord(String word) {
        boolean accepted = at < tokens.size() && tokens.get(at).isWord() && tokens.get(at).text().equalsIgnoreCase(word);
        at += accepted ? 1 : 0;
        return accepted;
    }

    private void expect(String symbol) {
        if (!accept(symbol)) {
            throw new Unreadable("missing " + symbol);
        }
    }

    private void enter() {
        budget.spend(1);
        if (++depth > MAX_DEPTH) {
            throw new Unreadable("nested too deep");
        }
    }
}
