package rqat.eval;

/// Tail probabilities of the distributions that tests of this package compare with.
final class Distributions {
    private static final int MAXIMUM_TERMS = 10_000;
    private static final double SMALLEST = 1e-300;

    private Distributions() {}

    /// Student's t: the probability of a value at least as far from 0 as `t`, on either side: `I(x; df/2, 1/2)` with `x = df / (df + t^2)`.
    ///
    /// @param degreesOfFreedom above 0; infinity for the normal distribution's limit is not taken, give a large number
    static double studentTwoSided(double t, double degreesOfFreedom) {
        if (Double.isInfinite(t)) return 0;
        double a = degreesOfFreedom / 2;
        double x = degreesOfFreedom / (degreesOfFreedom + t * t);
        return incompleteBeta(x, a, 0.5);
    }

    /// A fair coin: the probability that `heads + tails` throws divide at least as unevenly, on either side:
    /// `min(1, 2 P(X <= min(heads, tails)))` with `P(X <= k) = I(1/2; n - k, k + 1)`. 1 when nothing was thrown.
    static double fairCoinTwoSided(long heads, long tails) {
        long fewer = Math.min(heads, tails);
        if (heads == tails) return 1;
        return Math.min(1, 2 * incompleteBeta(0.5, Math.max(heads, tails), fewer + 1.0));
    }

    /// The regularised incomplete beta function by its continued fraction (modified Lentz; Abramowitz and Stegun 26.5.8), which converges
    /// fast below the mean; above it the complement is taken.
    private static double incompleteBeta(double x, double a, double b) {
        if (x <= 0) return 0;
        if (x >= 1) return 1;
        if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
        double front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
        double c = 1;
        double d = 1 / guarded(1 - (a + b) * x / (a + 1));
        double fraction = d;
        for (int m = 1; m < MAXIMUM_TERMS; m++) {
            double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
            d = 1 / guarded(1 + even * d);
            c = guarded(1 + even / c);
            fraction *= d * c;
            double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
            d = 1 / guarded(1 + odd * d);
            c = guarded(1 + odd / c);
            fraction *= d * c;
            if (Math.abs(d * c - 1) < 1e-14) break;
        }
        return front * fraction;
    }

    private static double guarded(double value) {
        return Math.abs(value) < SMALLEST ? SMALLEST : value;
    }

    /// Stirling's series, after shifting the argument above 15, where its error is below 1e-14.
    private static double logGamma(double x) {
        double shift = 0;
        while (x < 15) shift += Math.log(x++);
        double inverse = 1 / (x * x);
        double series = (1 / 12.0 - inverse * (1 / 360.0 - inverse * (1 / 1260.0 - inverse * (1 / 1680.0 - inverse / 1188)))) / x;
        return (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2 + series - shift;
    }
}
