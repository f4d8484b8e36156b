package rqat.verify.mathematics;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;

/// A complex number with [#DIGITS] decimal digits, and the elementary functions on it (principal values). Precise enough that two different
/// answers do not look equal by chance; what has no value, or one too large to be worth it, throws [Unreadable].
record ComplexDecimal(BigDecimal re, BigDecimal im) {

    /// Significant digits of a result; some more are carried.
    static final int DIGITS = 50;

    private static final MathContext PRECISION = new MathContext(DIGITS + 20);
    /// The largest argument of the exponential function.
    private static final BigDecimal MAX_EXPONENT = BigDecimal.valueOf(100_000);
    /// The largest argument of the trigonometric functions; beyond it the digits of pi run out.
    private static final BigDecimal MAX_ANGLE = BigDecimal.TEN.pow(20);
    private static final int MAX_MAGNITUDE = 100_000;
    private static final int MAX_INTEGER_POWER = 100_000;

    static final ComplexDecimal ZERO = of(BigDecimal.ZERO);
    static final ComplexDecimal ONE = of(BigDecimal.ONE);
    static final ComplexDecimal I = new ComplexDecimal(BigDecimal.ZERO, BigDecimal.ONE);
    static final BigDecimal PI = new BigDecimal(
            "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651");
    private static final BigDecimal TWO = BigDecimal.TWO;
    private static final BigDecimal TWO_PI = PI.multiply(TWO);
    /// Binary places of a fixed-point number, and how many of them count beside the first: more than the digits that are carried.
    private static final int FRACTION_BITS = 416;
    private static final int TERM_BITS = 240;
    private static final int HALVINGS = 8;
    private static final BigDecimal FIXED_ONE = new BigDecimal(BigInteger.ONE.shiftLeft(FRACTION_BITS));
    private static final BigInteger LN_2 = naturalLogarithmOfTwo();
    private static final BigDecimal LN_10 = newtonLogarithm(BigDecimal.TEN);

    static ComplexDecimal of(BigDecimal value) {
        return new ComplexDecimal(value, BigDecimal.ZERO);
    }

    static ComplexDecimal of(Rational value) {
        return of(value.toDecimal(PRECISION));
    }

    boolean isZero() {
        return re.signum() == 0 && im.signum() == 0;
    }

    boolean isReal() {
        return im.signum() == 0;
    }

    ComplexDecimal plus(ComplexDecimal other) {
        return new ComplexDecimal(re.add(other.re, PRECISION), im.add(other.im, PRECISION));
    }

    ComplexDecimal minus(ComplexDecimal other) {
        return new ComplexDecimal(re.subtract(other.re, PRECISION), im.subtract(other.im, PRECISION));
    }

    ComplexDecimal negate() {
        return new ComplexDecimal(re.negate(), im.negate());
    }

    ComplexDecimal times(ComplexDecimal other) {
        if (isReal() && other.isReal()) {
            return bounded(of(re.multiply(other.re, PRECISION)));
        }
        return bounded(new ComplexDecimal(
                re.multiply(other.re, PRECISION).subtract(im.multiply(other.im, PRECISION), PRECISION),
                re.multiply(other.im, PRECISION).add(im.multiply(other.re, PRECISION), PRECISION)));
    }

    ComplexDecimal dividedBy(ComplexDecimal other) {
        if (other.isZero()) {
            throw new Unreadable("division by zero");
        }
        if (other.isReal()) {
            return bounded(new ComplexDecimal(re.divide(other.re, PRECISION), im.divide(other.re, PRECISION)));
        }
        BigDecimal square = other.re.multiply(other.re, PRECISION).add(other.im.multiply(other.im, PRECISION), PRECISION);
        ComplexDecimal product = times(new ComplexDecimal(other.re, other.im.negate()));
        return new ComplexDecimal(product.re.divide(square, PRECISION), product.im.divide(square, PRECISION));
    }

    private static ComplexDecimal bounded(ComplexDecimal value) {
        if (magnitude(value.re) > MAX_MAGNITUDE || magnitude(value.im) > MAX_MAGNITUDE) {
            throw new Unreadable("number too large");
        }
        return value;
    }

    /// The power of ten of the leading digit, for non-zero numbers.
    static int magnitude(BigDecimal value) {
        return value.signum() == 0 ? 0 : value.precision() - value.scale();
    }

    /// The absolute value.
    BigDecimal modulus() {
        return isReal() ? re.abs() : root(re.multiply(re, PRECISION).add(im.multiply(im, PRECISION), PRECISION));
    }

    ComplexDecimal squareRoot() {
        if (isReal()) {
            BigDecimal root = root(re.abs());
            return re.signum() < 0 ? new ComplexDecimal(BigDecimal.ZERO, root) : of(root);
        }
        return logarithm().dividedBy(of(TWO)).exponential();
    }

    /// To an integer power by squaring.
    ComplexDecimal power(int exponent) {
        if (Math.abs((long) exponent) > MAX_INTEGER_POWER) {
            throw new Unreadable("exponent too large");
        }
        ComplexDecimal result = ONE;
        for (int bit = 31 - Integer.numberOfLeadingZeros(Math.abs(exponent)); bit >= 0; bit--) {
            result = result.times(result);
            result = (Math.abs(exponent) >> bit & 1) == 1 ? result.times(this) : result;
        }
        return exponent < 0 ? ONE.dividedBy(result) : result;
    }

    /// To any power, by the principal logarithm. Zero has only positive powers; `0^0` is 1.
    ComplexDecimal power(ComplexDecimal exponent) {
        if (exponent.isReal() && isInteger(exponent.re) && exponent.re.abs().compareTo(BigDecimal.valueOf(MAX_INTEGER_POWER)) <= 0) {
            return power(exponent.re.setScale(0, RoundingMode.HALF_EVEN).intValueExact());
        }
        if (isZero()) {
            if (exponent.re.signum() <= 0) {
                throw new Unreadable("zero to a negative power");
            }
            return ZERO;
        }
        if (exponent.isReal() && exponent.re.compareTo(new BigDecimal("0.5")) == 0) {
            return squareRoot();
        }
        return exponent.times(logarithm()).exponential();
    }

    static boolean isInteger(BigDecimal value) {
        return value.signum() == 0 || value.stripTrailingZeros().scale() <= 0;
    }

    ComplexDecimal exponential() {
        BigDecimal scale = exponential(re);
        return isReal() ? of(scale) : of(scale).times(new ComplexDecimal(cosine(im), sine(im)));
    }

    ComplexDecimal logarithm() {
        if (isZero()) {
            throw new Unreadable("logarithm of zero");
        }
        return new ComplexDecimal(logarithm(modulus()), argument());
    }

    private BigDecimal argument() {
        if (isReal()) {
            return re.signum() < 0 ? PI.round(PRECISION) : BigDecimal.ZERO;
        }
        if (re.signum() == 0) {
            BigDecimal quarter = PI.divide(TWO, PRECISION);
            return im.signum() < 0 ? quarter.negate() : quarter;
        }
        BigDecimal angle = arctangent(im.divide(re, PRECISION));
        return re.signum() > 0 ? angle : im.signum() < 0 ? angle.subtract(PI, PRECISION) : angle.add(PI, PRECISION);
    }

    ComplexDecimal sine() {
        if (isReal()) {
            return of(sine(re));
        }
        ComplexDecimal turned = times(I);
        return turned.exponential().minus(turned.negate().exponential()).dividedBy(I.times(of(TWO)));
    }

    ComplexDecimal cosine() {
        if (isReal()) {
            return of(cosine(re));
        }
        ComplexDecimal turned = times(I);
        return turned.exponential().plus(turned.negate().exponential()).dividedBy(of(TWO));
    }

    ComplexDecimal hyperbolicSine() {
        return exponential().minus(negate().exponential()).dividedBy(of(TWO));
    }

    ComplexDecimal hyperbolicCosine() {
        return exponential().plus(negate().exponential()).dividedBy(of(TWO));
    }

    ComplexDecimal inverseSine() {
        // -i ln(i z + sqrt(1 - z^2))
        ComplexDecimal root = ONE.minus(times(this)).squareRoot();
        ComplexDecimal result = times(I).plus(root).logarithm().times(I.negate());
        return isReal() && re.abs().compareTo(BigDecimal.ONE) <= 0 ? of(result.re) : result;
    }

    ComplexDecimal inverseCosine() {
        return of(PI.divide(TWO, PRECISION)).minus(inverseSine());
    }

    ComplexDecimal inverseTangent() {
        if (isReal()) {
            return of(arctangent(re));
        }
        ComplexDecimal turned = times(I);
        return ONE.minus(turned).logarithm().minus(ONE.plus(turned).logarithm()).times(I).dividedBy(of(TWO));
    }

    ComplexDecimal inverseHyperbolicSine() {
        return plus(times(this).plus(ONE).squareRoot()).logarithm();
    }

    ComplexDecimal inverseHyperbolicCosine() {
        return plus(minus(ONE).squareRoot().times(plus(ONE).squareRoot())).logarithm();
    }

    ComplexDecimal inverseHyperbolicTangent() {
        return ONE.plus(this).logarithm().minus(ONE.minus(this).logarithm()).dividedBy(of(TWO));
    }

    // real functions: the series are summed in binary fixed point, which costs a fraction of decimal arithmetic

    /// The non-negative square root.
    private static BigDecimal root(BigDecimal x) {
        if (x.signum() == 0) {
            return BigDecimal.ZERO;
        }
        int zeros = Math.max(0, 2 * (PRECISION.getPrecision() + 2) - x.precision());
        zeros += (x.scale() + zeros) % 2 == 0 ? 0 : 1;
        BigInteger square = x.unscaledValue().multiply(BigInteger.TEN.pow(zeros));
        return new BigDecimal(square.sqrt(), (x.scale() + zeros) / 2).round(PRECISION);
    }

    private static BigInteger fixed(BigDecimal x) {
        return x.multiply(FIXED_ONE).toBigInteger();
    }

    private static BigDecimal decimal(BigInteger fixed) {
        return new BigDecimal(fixed).divide(FIXED_ONE, PRECISION);
    }

    /// The product of two fixed-point numbers.
    private static BigInteger product(BigInteger a, BigInteger b) {
        return a.multiply(b).shiftRight(FRACTION_BITS);
    }

    /// Whether a term no longer counts beside its sum.
    private static boolean isNothing(BigInteger term, BigInteger sum) {
        return term.bitLength() < Math.max(2, sum.bitLength() - TERM_BITS);
    }

    /// `2 (1/3 + 1/(3 3^3) + 1/(5 3^5) + ...)`
    private static BigInteger naturalLogarithmOfTwo() {
        BigInteger nine = BigInteger.valueOf(9);
        BigInteger power = BigInteger.ONE.shiftLeft(FRACTION_BITS + 1).divide(BigInteger.valueOf(3));
        BigInteger sum = power;
        for (int n = 3; power.signum() != 0; n += 2) {
            power = power.divide(nine);
            sum = sum.add(power.divide(BigInteger.valueOf(n)));
        }
        return sum;
    }

    /// By taking out powers of two, then halving the argument until the series converges in a few terms, then squaring.
    private static BigDecimal exponential(BigDecimal x) {
        if (x.abs().compareTo(MAX_EXPONENT) > 0) {
            throw new Unreadable("exponent too large");
        }
        BigInteger argument = fixed(x);
        BigInteger powerOfTwo = argument.divide(LN_2);
        BigInteger reduced = argument.subtract(powerOfTwo.multiply(LN_2)).shiftRight(HALVINGS);
        BigInteger term = BigInteger.ONE.shiftLeft(FRACTION_BITS);
        BigInteger sum = term;
        for (int n = 1; !isNothing(term, sum); n++) {
            term = product(term, reduced).divide(BigInteger.valueOf(n));
            sum = sum.add(term);
        }
        for (int i = 0; i < HALVINGS; i++) {
            sum = product(sum, sum);
        }
        int power = powerOfTwo.intValueExact();
        BigDecimal scale = TWO.pow(Math.abs(power), PRECISION);
        return power < 0 ? decimal(sum).divide(scale, PRECISION) : decimal(sum).multiply(scale, PRECISION);
    }

    private static BigDecimal logarithm(BigDecimal x) {
        int power = magnitude(x);
        BigDecimal mantissa = x.scaleByPowerOfTen(-power);
        return newtonLogarithm(mantissa).add(LN_10.multiply(BigDecimal.valueOf(power), PRECISION), PRECISION);
    }

    /// Halley's iteration from the double result; three steps triple its 16 digits more often than needed.
    private static BigDecimal newtonLogarithm(BigDecimal x) {
        BigDecimal y = new BigDecimal(Math.log(x.doubleValue()));
        for (int i = 0; i < 2; i++) {
            BigDecimal power = exponential(y);
            y = y.add(TWO.multiply(x.subtract(power, PRECISION), PRECISION).divide(x.add(power, PRECISION), PRECISION), PRECISION);
        }
        return y;
    }

    private static BigDecimal sine(BigDecimal x) {
        return series(reducedAngle(x), 1);
    }

    private static BigDecimal cosine(BigDecimal x) {
        return series(reducedAngle(x), 0);
    }

    private static BigDecimal reducedAngle(BigDecimal x) {
        if (x.abs().compareTo(MAX_ANGLE) > 0) {
            throw new Unreadable("angle too large");
        }
        BigDecimal turns = x.divide(TWO_PI, PRECISION).setScale(0, RoundingMode.HALF_EVEN);
        return x.subtract(turns.multiply(TWO_PI)).round(PRECISION);
    }

    /// `x^n/n! - x^(n+2)/(n+2)! + ...`
    private static BigDecimal series(BigDecimal x, int first) {
        if (first == 1 && magnitude(x) < -DIGITS) {
            // what is below the precision of the angle is zero: sin(pi)
            return magnitude(x) < -DIGITS - 10 ? BigDecimal.ZERO : x;
        }
        BigInteger angle = fixed(x);
        BigInteger square = product(angle, angle).negate();
        BigInteger term = first == 1 ? angle : BigInteger.ONE.shiftLeft(FRACTION_BITS);
        BigInteger sum = term;
        for (int n = first; !isNothing(term, sum); n += 2) {
            term = product(term, square).divide(BigInteger.valueOf((long) (n + 1) * (n + 2)));
            sum = sum.add(term);
        }
        BigDecimal result = decimal(sum);
        return magnitude(result) < -DIGITS - 10 ? BigDecimal.ZERO : result;
    }

    /// By halving the angle four times, then the series.
    private static BigDecimal arctangent(BigDecimal x) {
        if (x.abs().compareTo(BigDecimal.ONE) > 0) {
            BigDecimal quarter = PI.divide(TWO, PRECISION);
            BigDecimal rest = arctangent(BigDecimal.ONE.divide(x, PRECISION));
            return (x.signum() < 0 ? quarter.negate() : quarter).subtract(rest, PRECISION);
        }
        if (magnitude(x) < -DIGITS) {
            return x;
        }
        BigInteger one = BigInteger.ONE.shiftLeft(FRACTION_BITS);
        BigInteger reduced = fixed(x);
        for (int i = 0; i < 4; i++) {
            BigInteger hypotenuse = one.add(product(reduced, reduced)).shiftLeft(FRACTION_BITS).sqrt();
            reduced = reduced.shiftLeft(FRACTION_BITS).divide(one.add(hypotenuse));
        }
        BigInteger square = product(reduced, reduced).negate();
        BigInteger power = reduced;
        BigInteger sum = reduced;
        for (int n = 3; !isNothing(power, sum); n += 2) {
            power = product(power, square);
            sum = sum.add(power.divide(BigInteger.valueOf(n)));
        }
        return decimal(sum.shiftLeft(4));
    }

    /// The integer that this is, within the precision; null for none.
    @org.jspecify.annotations.Nullable BigInteger integer() {
        BigInteger nearest = re.setScale(0, RoundingMode.HALF_EVEN).toBigInteger();
        boolean near = magnitude(re.subtract(new BigDecimal(nearest))) < -DIGITS + 15 || re.subtract(new BigDecimal(nearest)).signum() == 0;
        boolean real = im.signum() == 0 || magnitude(im) < -DIGITS + 15;
        return near && real ? nearest : null;
    }
}
