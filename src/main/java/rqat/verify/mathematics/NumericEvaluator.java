package rqat.verify.mathematics;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.Expression.Call;
import rqat.verify.mathematics.Expression.Constant;
import rqat.verify.mathematics.Expression.Number;
import rqat.verify.mathematics.Expression.Percent;
import rqat.verify.mathematics.Expression.Power;
import rqat.verify.mathematics.Expression.Product;
import rqat.verify.mathematics.Expression.Sum;
import rqat.verify.mathematics.Expression.Symbol;

/// The value of an expression at a point. The points are a fixed pseudo-random function of the names of the variables, so that a result
/// never depends on the run. An unknown function, an integral or an endless sum takes a value that is a fixed pseudo-random function of the
/// values of its arguments: equal ones agree, different ones do not.
final class NumericEvaluator {

    private static final int MAX_FACTORIAL = 5000;
    private static final int MAX_TERMS = 2000;
    private static final BigDecimal HALF = new BigDecimal("0.5");
    private static final MathContext KEY = new MathContext(35);
    private static final BigDecimal EULER_GAMMA = new BigDecimal("0.57721566490153286060651209008240243104215933593992359880576723488486772677766467");
    private static final ComplexDecimal E = ComplexDecimal.ONE.exponential();

    /// A point at which expressions are evaluated.
    enum Point {
        /// Every variable is positive.
        POSITIVE,
        /// Every real variable is negative.
        NEGATIVE,
        /// Signs by chance.
        MIXED,
        /// There are no variables: one makes the expression unreadable.
        NONE
    }

    /// Functions that are smooth at 0, or tend to something simple far from it.
    private static final Set<String> SMOOTH = Set.of(
            "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc", "sinh", "cosh", "tanh", "arcsinh", "arccosh",
            "arctanh");
    /// Beyond it a hyperbolic function is an exponential one in as many digits.
    private static final BigDecimal LARGE = BigDecimal.valueOf(40);

    private final Point point;
    private final Budget budget;
    private boolean lost;
    private final Map<Symbol, ComplexDecimal> bound = new HashMap<>();

    NumericEvaluator(Point point, Budget budget) {
        this.point = point;
        this.budget = budget;
    }

    /// An evaluator at which one variable has a value.
    NumericEvaluator(Symbol variable, ComplexDecimal value, Budget budget) {
        this(Point.NONE, budget);
        bound.put(variable, value);
    }

    /// The order of two real numbers without variables, where infinities are numbers; null when they have none.
    static @Nullable Integer compare(Expression a, Expression b, Budget budget) {
        if (a instanceof Number x && b instanceof Number y) {
            return x.value().minus(y.value(), budget).numerator().signum();
        }
        int left = infinity(a);
        int right = infinity(b);
        if (left != 0 || right != 0) {
            boolean comparable = (left != 0 || isReal(a, budget)) && (right != 0 || isReal(b, budget));
            return comparable ? Integer.compare(left, right) : null;
        }
        try {
            var evaluator = new NumericEvaluator(Point.NONE, budget);
            ComplexDecimal x = evaluator.value(a);
            ComplexDecimal y = evaluator.value(b);
            ComplexDecimal difference = x.minus(y);
            BigDecimal scale = x.modulus().add(y.modulus());
            if (!isNegligible(difference.im(), scale)) {
                return null;
            }
            return isNegligible(difference.re(), scale) ? Integer.valueOf(0) : Integer.valueOf(difference.re().signum());
        } catch (Unreadable e) {
            return null;
        }
    }

    private static boolean isReal(Expression expression, Budget budget) {
        try {
            ComplexDecimal value = new NumericEvaluator(Point.NONE, budget).value(expression);
            return isNegligible(value.im(), value.modulus());
        } catch (Unreadable e) {
            return false;
        }
    }

    private static int infinity(Expression expression) {
        if (!StatementParser.isInfinite(expression)) {
            return 0;
        }
        return expression instanceof Constant ? 1 : -1;
    }

    /// Whether a number is zero but for rounding, beside numbers of that size.
    static boolean isNegligible(BigDecimal value, BigDecimal scale) {
        int reference = scale.signum() == 0 ? 0 : ComplexDecimal.magnitude(scale);
        return value.signum() == 0 || ComplexDecimal.magnitude(value) < reference - ComplexDecimal.DIGITS + 10;
    }

    /// The value.
    ///
    /// @throws Unreadable       when there is none, or not at this point
    /// @throws Budget.Exhausted when it costs too many steps
    ComplexDecimal value(Expression expression) {
        budget.spend(8);
        return switch (expression) {
            case Number(Rational value, boolean _) -> ComplexDecimal.of(value);
            case Percent(Expression value) -> value(value).dividedBy(ComplexDecimal.of(BigDecimal.valueOf(100)));
            case Constant(String name) -> constant(name);
            case Symbol symbol -> bound.containsKey(symbol) ? bound.get(symbol) : variable(symbol);
            case Sum(List<Expression> terms) -> sum(terms.stream().map(this::value).toList());
            case Product(List<Expression> factors) -> factors.stream().map(this::value).reduce(ComplexDecimal.ONE, ComplexDecimal::times);
            case Power(Expression base, Expression exponent) -> power(value(base), exponent);
            case Call(String name, List<Expression> arguments) -> call(name, arguments);
            default -> throw new Unreadable("not a number");
        };
    }

    private ComplexDecimal sum(List<ComplexDecimal> terms) {
        ComplexDecimal sum = terms.stream().reduce(ComplexDecimal.ZERO, ComplexDecimal::plus);
        int last = ComplexDecimal.magnitude(sum.modulus()) - ComplexDecimal.DIGITS + 10;
        lost |= !sum.isZero() && terms.stream().anyMatch(term -> !term.isZero() && ComplexDecimal.magnitude(term.modulus()) < last);
        return sum;
    }

    /// Whether some term was too small beside its sum to be seen in the digits of the value.
    boolean lostDigits() {
        return lost;
    }

    private static ComplexDecimal constant(String name) {
        return switch (name) {
            case "pi" -> ComplexDecimal.of(ComplexDecimal.PI);
            case "e" -> E;
            case "i" -> ComplexDecimal.I;
            case "gamma" -> ComplexDecimal.of(EULER_GAMMA);
            default -> throw new Unreadable("not a number");
        };
    }

    private ComplexDecimal variable(Symbol symbol) {
        if (point == Point.NONE) {
            throw new Unreadable("a variable");
        }
        var random = new Random(mix(symbol.name().hashCode() * 31L + (symbol.real() ? 1 : 0) + 7919L * point.ordinal()));
        BigDecimal size = BigDecimal.valueOf(300_000_007L + random.nextInt(2_000_000_000), 9);
        boolean negative = point == Point.NEGATIVE || point == Point.MIXED && random.nextBoolean();
        BigDecimal re = negative ? size.negate() : size;
        return symbol.real() ? ComplexDecimal.of(re) : new ComplexDecimal(re, BigDecimal.valueOf(300_000_007L + random.nextInt(2_000_000_000), 9));
    }

    /// Spreads small differences over all bits (SplitMix64).
    private static long mix(long value) {
        long z = value + 0x9E3779B97F4A7C15L;
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }

    private ComplexDecimal power(ComplexDecimal base, Expression exponent) {
        if (exponent instanceof Number(Rational value, boolean _) && value.isInteger() && value.numerator().bitLength() < 31) {
            budget.spend(8 + (base.isReal() ? 40L : 160L) * value.numerator().bitLength());
            return base.power(value.numerator().intValueExact());
        }
        ComplexDecimal power = value(exponent);
        boolean root = power.isReal() && power.re().compareTo(HALF) == 0;
        boolean real = base.isReal() && base.re().signum() >= 0 && power.isReal();
        budget.spend(root && base.isReal() ? 150 : real ? 2000 : 4000);
        lost |= !power.isZero() && ComplexDecimal.magnitude(power.modulus()) < -(ComplexDecimal.DIGITS - 12);
        return base.power(power);
    }

    /// What a function costs in steps, for the series that it sums.
    private static int cost(String name, boolean real) {
        int cost = switch (name) {
            case "floor", "ceil", "mod", "max", "min", "gcd", "lcm", "factorial", "double factorial", "binomial" -> 30;
            case "abs" -> real ? 30 : 60;
            case "sin", "cos" -> 400;
            case "tan", "cot", "sec", "csc", "arctan", "arccot" -> 800;
            default -> 1500;
        };
        return real ? cost : 4 * cost;
    }

    private ComplexDecimal call(String name, List<Expression> arguments) {
        budget.spend(50);
        if (name.startsWith("function ") || name.startsWith("lim") || name.equals("int")) {
            return opaque(name, arguments);
        }
        if (name.equals("sum") || name.equals("prod")) {
            return series(name, arguments);
        }
        List<ComplexDecimal> values = arguments.stream().map(this::value).toList();
        budget.spend(cost(name, values.stream().allMatch(ComplexDecimal::isReal)));
        ComplexDecimal x = values.getFirst();
        lost |= SMOOTH.contains(name) && isExtreme(name, x);
        return switch (name) {
            case "sin" -> x.sine();
            case "cos" -> x.cosine();
            case "tan" -> x.sine().dividedBy(x.cosine());
            case "cot" -> x.cosine().dividedBy(x.sine());
            case "sec" -> ComplexDecimal.ONE.dividedBy(x.cosine());
            case "csc" -> ComplexDecimal.ONE.dividedBy(x.sine());
            case "arcsin" -> x.inverseSine();
            case "arccos" -> x.inverseCosine();
            case "arctan" -> x.inverseTangent();
            case "arccot" -> ComplexDecimal.ONE.dividedBy(x).inverseTangent();
            case "arcsec" -> ComplexDecimal.ONE.dividedBy(x).inverseCosine();
            case "arccsc" -> ComplexDecimal.ONE.dividedBy(x).inverseSine();
            case "sinh" -> x.hyperbolicSine();
            case "cosh" -> x.hyperbolicCosine();
            case "tanh" -> x.hyperbolicSine().dividedBy(x.hyperbolicCosine());
            case "arcsinh" -> x.inverseHyperbolicSine();
            case "arccosh" -> x.inverseHyperbolicCosine();
            case "arctanh" -> x.inverseHyperbolicTangent();
            case "log" -> x.logarithm().dividedBy(values.get(1).logarithm());
            case "abs" -> ComplexDecimal.of(x.modulus());
            case "root" -> root(x, values.get(1));
            case "floor" -> rounded(x, RoundingMode.FLOOR);
            case "ceil" -> rounded(x, RoundingMode.CEILING);
            case "mod" -> x.minus(values.get(1).times(rounded(x.dividedBy(values.get(1)), RoundingMode.FLOOR)));
            case "factorial" -> factorial(x);
            case "double factorial" -> doubleFactorial(x);
            case "binomial" -> binomial(x, values.get(1));
            case "max" -> values.stream().reduce((a, b) -> real(a).compareTo(real(b)) >= 0 ? a : b).orElseThrow();
            case "min" -> values.stream().reduce((a, b) -> real(a).compareTo(real(b)) <= 0 ? a : b).orElseThrow();
            case "gcd", "lcm" -> ComplexDecimal.of(new BigDecimal(values.stream()
                    .map(NumericEvaluator::requireInteger)
                    .reduce((a, b) -> name.equals("gcd") || a.signum() == 0 ? a.gcd(b) : a.multiply(b).abs().divide(a.gcd(b)))
                    .orElseThrow()));
            default -> throw new Unreadable("unknown function");
        };
    }

    /// Whether the value of a function at this argument is so near to a simple one (`\cos 10^{-40}` to 1, `\tanh 100` too) that its digits end
    /// before the difference.
    private static boolean isExtreme(String name, ComplexDecimal argument) {
        if (argument.isZero()) {
            return false;
        }
        int magnitude = ComplexDecimal.magnitude(argument.modulus());
        boolean inverse = name.startsWith("arc");
        boolean exponential = name.endsWith("h") && !inverse && argument.modulus().compareTo(LARGE) > 0;
        return magnitude < -(ComplexDecimal.DIGITS - 12) / 2 || exponential || inverse && magnitude > ComplexDecimal.DIGITS - 12;
    }

    private static BigDecimal real(ComplexDecimal value) {
        if (!value.isReal()) {
            throw new Unreadable("not real");
        }
        return value.re();
    }

    private static BigInteger requireInteger(ComplexDecimal value) {
        BigInteger integer = value.integer();
        if (integer == null || integer.bitLength() > 2000) {
            throw new Unreadable("not an integer");
        }
        return integer;
    }

    /// The real root where there is one.
    private static ComplexDecimal root(ComplexDecimal value, ComplexDecimal degree) {
        ComplexDecimal exponent = ComplexDecimal.ONE.dividedBy(degree);
        BigInteger n = degree.integer();
        boolean odd = n != null && n.testBit(0);
        return odd && value.isReal() && value.re().signum() < 0 ? value.negate().power(exponent).negate() : value.power(exponent);
    }

    private static ComplexDecimal rounded(ComplexDecimal value, RoundingMode mode) {
        BigInteger integer = value.integer();
        return ComplexDecimal.of(integer != null ? new BigDecimal(integer) : real(value).setScale(0, mode));
    }

    private ComplexDecimal factorial(ComplexDecimal value) {
        BigInteger integer = value.integer();
        if (integer == null || integer.signum() < 0 || integer.bitLength() > 30 || integer.intValueExact() > MAX_FACTORIAL) {
            // of a variable, or too large: still the same for the same argument
            return opaque("factorial", value);
        }
        int n = integer.intValueExact();
        budget.spend(4L * n);
        ComplexDecimal result = ComplexDecimal.ONE;
        for (int i = 2; i <= n; i++) {
            result = result.times(ComplexDecimal.of(BigDecimal.valueOf(i)));
        }
        return result;
    }

    /// The product of every second number down to 1 or 2.
    private ComplexDecimal doubleFactorial(ComplexDecimal value) {
        BigInteger integer = value.integer();
        if (integer == null || integer.signum() < 0 || integer.bitLength() > 30 || integer.intValueExact() > MAX_FACTORIAL) {
            return opaque("double factorial", value);
        }
        budget.spend(2L * integer.intValueExact());
        ComplexDecimal result = ComplexDecimal.ONE;
        for (int i = integer.intValueExact(); i > 1; i -= 2) {
            result = result.times(ComplexDecimal.of(BigDecimal.valueOf(i)));
        }
        return result;
    }

    private ComplexDecimal binomial(ComplexDecimal n, ComplexDecimal k) {
        BigInteger lower = k.integer();
        BigInteger upper = n.integer();
        if (upper != null && lower != null && lower.signum() >= 0 && upper.signum() >= 0) {
            if (lower.compareTo(upper) > 0) {
                return ComplexDecimal.ZERO;
            }
            lower = lower.min(upper.subtract(lower));
        }
        if (lower == null || lower.signum() < 0 || lower.bitLength() > 30 || lower.intValueExact() > MAX_FACTORIAL) {
            return opaque("binomial", n, k);
        }
        budget.spend(12L * lower.intValueExact());
        ComplexDecimal result = ComplexDecimal.ONE;
        for (int i = 0; i < lower.intValueExact(); i++) {
            ComplexDecimal index = ComplexDecimal.of(BigDecimal.valueOf(i));
            result = result.times(n.minus(index)).dividedBy(ComplexDecimal.of(BigDecimal.valueOf(i + 1)));
        }
        return result;
    }

    private ComplexDecimal series(String name, List<Expression> arguments) {
        boolean counted = arguments.get(1) instanceof Symbol;
        BigInteger start = counted ? integer(arguments.get(2)) : null;
        BigInteger end = counted ? integer(arguments.get(3)) : null;
        if (start == null || end == null) {
            return opaque(name, arguments);
        }
        Symbol variable = (Symbol) arguments.get(1);
        if (end.subtract(start).compareTo(BigInteger.valueOf(MAX_TERMS)) > 0) {
            throw new Unreadable("too many terms");
        }
        ComplexDecimal outer = bound.get(variable);
        ComplexDecimal result = name.equals("sum") ? ComplexDecimal.ZERO : ComplexDecimal.ONE;
        for (BigInteger i = start; i.compareTo(end) <= 0; i = i.add(BigInteger.ONE)) {
            bound.put(variable, ComplexDecimal.of(new BigDecimal(i)));
            ComplexDecimal term = value(arguments.getFirst());
            result = name.equals("sum") ? result.plus(term) : result.times(term);
        }
        if (outer == null) {
            bound.remove(variable);
        } else {
            bound.put(variable, outer);
        }
        return result;
    }

    private @Nullable BigInteger integer(Expression bound) {
        try {
            return new NumericEvaluator(Point.NONE, budget).value(bound).integer();
        } catch (Unreadable e) {
            return null;
        }
    }

    private ComplexDecimal opaque(String name, List<Expression> arguments) {
        var key = new StringBuilder(name);
        for (Expression argument : arguments) {
            key.append('|').append(StatementParser.isInfinite(argument) ? argument.toString() : key(value(argument)));
        }
        return pseudoRandom(key.toString());
    }

    private static ComplexDecimal opaque(String name, ComplexDecimal... values) {
        var key = new StringBuilder(name);
        for (ComplexDecimal value : values) {
            key.append('|').append(key(value));
        }
        return pseudoRandom(key.toString());
    }

    private static String key(ComplexDecimal value) {
        return value.re().round(KEY).stripTrailingZeros() + "," + value.im().round(KEY).stripTrailingZeros();
    }

    private static ComplexDecimal pseudoRandom(String key) {
        long high = 0;
        for (int i = 0; i < key.length(); i++) {
            high = mix(high + key.charAt(i));
        }
        return ComplexDecimal.of(BigDecimal.valueOf(1 + (high >>> 2), 18));
    }

    /// Applies a function to every variable of an expression.
    static Expression substitute(Expression expression, UnaryOperator<Symbol> replacement) {
        return switch (expression) {
            case Symbol symbol -> replacement.apply(symbol);
            case Sum(List<Expression> terms) -> new Sum(all(terms, replacement));
            case Product(List<Expression> factors) -> new Product(all(factors, replacement));
            case Power(Expression base, Expression exponent) -> new Power(substitute(base, replacement), substitute(exponent, replacement));
            case Call(String name, List<Expression> arguments) -> new Call(name, all(arguments, replacement));
            case Percent(Expression value) -> new Percent(substitute(value, replacement));
            case Expression.Relation(Expression.RelationKind kind, Expression left, Expression right) ->
                    new Expression.Relation(kind, substitute(left, replacement), substitute(right, replacement));
            default -> expression;
        };
    }

    private static List<Expression> all(List<Expression> expressions, UnaryOperator<Symbol> replacement) {
        return expressions.stream().map(expression -> substitute(expression, replacement)).toList();
    }
}
