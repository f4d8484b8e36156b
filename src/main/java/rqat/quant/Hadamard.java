package rqat.quant;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Hadamard matrices: square matrices H of +1 and -1 with `H H^T = n I`. Divided by `sqrt(n)` they are rotations that spread an outlier in
/// one channel over all of them.
///
/// `H_n = H_K (x) S_m` for `n = K m`, with S_m the Sylvester matrix of a power of two m and H_K of one of three constructions, tried in
/// this order; chi is the Legendre symbol modulo a prime q:
///
///  - Paley's first, `K = q + 1`, q = 3 modulo 4: `I + S` with `S[0][j] = -1`, `S[i][0] = 1`, `S[i][j] = chi(i - j)`
///  - Paley's second, `K = 2 (q + 1)`, q = 1 modulo 4: blocks `[[C + I, C - I], [C - I, -C - I]]` of the conference matrix C
///  - Williamson's, `K = 52`: four symmetric circulants of order 13 as a quaternion
///
/// K is the smallest such order that leaves a power of two, except that a multiple of 40 takes `H_40 = S_2 (x) H_20`. That is the choice of
/// QuaRot's tables (Ashkboos et al. 2024, arXiv:2404.00456) and these are its matrices, entry by entry; the constructions also give orders
/// that it has no table for, such as 76 (and 9728 = 76 * 128). Not covered of its tables: 156 and 172.
public final class Hadamard {
    /// First rows of Williamson's circulants of order 13.
    private static final String[] WILLIAMSON_13 = {"+-+--++++--+-", "+---++++++---", "++-+--++--+-+", "+----+--+----"};
    /// Where they go, 1 to 4, and with which sign.
    private static final int[][] QUATERNION = {{1, 2, 3, 4}, {-2, 1, -4, 3}, {-3, 4, 1, -2}, {-4, -3, 2, 1}};

    private Hadamard() {}

    /// Whether [#matrix] knows a matrix of this order.
    public static boolean exists(int order) {
        return baseOrder(order) != 0;
    }

    /// The matrix of this order, `[n, n]`, float64, on the device of `place`.
    ///
    /// @throws Failure USAGE when there is no construction for it
    public static Tensor matrix(Place place, int order) {
        int base = requiredBaseOrder(order);
        return Tensors.of(place.as(ScalarType.Double), entries(base, order / base), order, order);
    }

    /// The rotation `x -> H x / sqrt(n)` of vectors of n elements, in float64: `H_n` is the Kronecker product of two of its kind of nearly
    /// equal size, which makes it two small products instead of a large one.
    ///
    /// @throws Failure as [#matrix]
    public static KroneckerTransform transform(Place place, int order) {
        int left = requiredBaseOrder(order);
        while (2L * left <= order / left) left *= 2;
        return new KroneckerTransform(transposedRotation(place, left), transposedRotation(place, order / left));
    }

    private static Tensor transposedRotation(Place place, int order) {
        return Scope.keep(() -> matrix(place, order).t().contiguous().div_(new Scalar(Math.sqrt(order))));
    }

    /// The K of `order = K * 2^j`; 0 when no construction is known.
    private static int baseOrder(int order) {
        if (order < 1) return 0;
        int odd = order >> Integer.numberOfTrailingZeros(order);
        if (odd == 1) return 1;
        if (odd == 5 && order % 40 == 0) return 40;
        for (long base = 4L * odd; base <= order; base *= 2) {
            if (order % base == 0 && (paleyFirst((int) base) || paleySecond((int) base) || base == 52)) return (int) base;
        }
        return 0;
    }

    private static int requiredBaseOrder(int order) {
        int base = baseOrder(order);
        if (base != 0) return base;
        throw Failure.usage(("no Hadamard matrix of order %d is known here; rotations need widths of 2^j, or 2^j times one of 12, 20, 28, 36, 44,"
                        + " 52, 60, 68, 76, 84, 108, 124, 140, ... Choose a method without rotations (gptq, awq, flatquant)")
                .formatted(order));
    }

    /// `H_base (x) S_power`, row major.
    private static double[] entries(int base, int power) {
        int order = base * power;
        double[] result = new double[order * order];
        for (int i = 0; i < order; i++) {
            for (int j = 0; j < order; j++) {
                boolean negative = Integer.bitCount((i % power) & (j % power)) % 2 == 1;
                int entry = entry(base, i / power, j / power);
                result[i * order + j] = negative ? -entry : entry;
            }
        }
        return result;
    }

    private static int entry(int base, int i, int j) {
        if (base == 1) return 1;
        if (base == 40) return (i / 20 & j / 20) == 1 ? -entry(20, i % 20, j % 20) : entry(20, i % 20, j % 20);
        if (paleyFirst(base)) {
            if (i == j) return 1;
            return i == 0 ? -1 : j == 0 ? 1 : legendre(i - j, base - 1);
        }
        if (paleySecond(base)) {
            int half = base / 2;
            int row = i % half, column = j % half;
            boolean lower = i >= half, right = j >= half;
            if (row == column) return lower || right ? -1 : 1;
            int conference = row == 0 || column == 0 ? 1 : legendre(column - row, half - 1);
            return lower && right ? -conference : conference;
        }
        int block = QUATERNION[i / 13][j / 13];
        int sign = WILLIAMSON_13[Math.abs(block) - 1].charAt(Math.floorMod(j - i, 13)) == '+' ? 1 : -1;
        return block > 0 ? sign : -sign;
    }

    private static boolean paleyFirst(int order) {
        return order % 4 == 0 && isPrime(order - 1);
    }

    private static boolean paleySecond(int order) {
        return order % 4 == 0 && (order / 2 - 1) % 4 == 1 && isPrime(order / 2 - 1);
    }

    private static boolean isPrime(int number) {
        if (number < 2) return false;
        for (int divisor = 2; (long) divisor * divisor <= number; divisor++) {
            if (number % divisor == 0) return false;
        }
        return true;
    }

    /// 1 for a non-zero square modulo the odd prime q, -1 for any other number that q does not divide (Euler's criterion).
    private static int legendre(int number, int q) {
        long power = 1;
        long base = Math.floorMod(number, q);
        for (int exponent = (q - 1) / 2; exponent > 0; exponent /= 2) {
            if (exponent % 2 == 1) power = power * base % q;
            base = base * base % q;
        }
        return power == 1 ? 1 : -1;
    }
}
