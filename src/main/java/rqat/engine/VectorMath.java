package rqat.engine;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/// Elementwise functions, each value by the same operations whatever its place.
final class VectorMath {
    private static final float LOG2E = 1.44269504f, LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
    /// Adding it rounds to an integer, half to even.
    private static final float ROUNDER = 0x1.8p23f;
    /// Beyond these the result would not be a normal number.
    private static final float LARGEST = 88.3762626f, SMALLEST = -87.3365447f;

    private VectorMath() {}

    /// `exp(x)`, within two units of the last place; the largest and smallest normal result beyond its range (Cephes' `expf`).
    static FloatVector exp(FloatVector x) {
        x = x.min(LARGEST).max(SMALLEST);
        FloatVector power = x.fma(FloatVector.broadcast(Kernels.FLOATS, LOG2E), FloatVector.broadcast(Kernels.FLOATS, ROUNDER)).sub(ROUNDER);
        FloatVector rest = power.fma(FloatVector.broadcast(Kernels.FLOATS, -LN2_HIGH), x);
        rest = power.fma(FloatVector.broadcast(Kernels.FLOATS, -LN2_LOW), rest);
        FloatVector sum = FloatVector.broadcast(Kernels.FLOATS, 1.9875691500e-4f);
        sum = sum.fma(rest, FloatVector.broadcast(Kernels.FLOATS, 1.3981999507e-3f));
        sum = sum.fma(rest, FloatVector.broadcast(Kernels.FLOATS, 8.3334519073e-3f));
        sum = sum.fma(rest, FloatVector.broadcast(Kernels.FLOATS, 4.1665795894e-2f));
        sum = sum.fma(rest, FloatVector.broadcast(Kernels.FLOATS, 1.6666665459e-1f));
        sum = sum.fma(rest, FloatVector.broadcast(Kernels.FLOATS, 5.0000001201e-1f));
        sum = sum.fma(rest.mul(rest), rest.add(1));
        IntVector exponent = (IntVector) power.convertShape(VectorOperators.F2I, IntVector.SPECIES_PREFERRED, 0);
        return sum.mul(exponent.add(127).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
    }

    /// `values = exp(values - less)` for `count` values from `at` on, and what follows up to a whole vector.
    static void exp(float[] values, int at, int count, float less) {
        for (int i = at; i < at + count; i += Kernels.LANES) {
            exp(FloatVector.fromArray(Kernels.FLOATS, values, i).sub(less)).intoArray(values, i);
        }
    }

    /// `gate = gate / (1 + exp(-gate)) * up` for `count` values, a multiple of the lanes, from `at` on in each.
    static void gated(float[] gate, float[] up, int at, int count) {
        for (int i = at; i < at + count; i += Kernels.LANES) {
            FloatVector x = FloatVector.fromArray(Kernels.FLOATS, gate, i);
            x.div(exp(x.neg()).add(1)).mul(FloatVector.fromArray(Kernels.FLOATS, up, i)).intoArray(gate, i);
        }
    }

    /// The largest of `count` values from `at` on; NaN when one is.
    static float max(float[] values, int at, int count) {
        float max = Float.NEGATIVE_INFINITY;
        for (int i = at; i < at + count; i++) max = Math.max(max, values[i]);
        return max;
    }

    /// `into = x / rms(x) * weight` over `weight.length` values (Zhang and Sennrich 2019).
    static void norm(float[] x, int at, float[] weight, double epsilon, float[] into, int to) {
        float factor = (float) (1 / Math.sqrt(Sums.ofSquares(x, at, weight.length) / weight.length + epsilon));
        for (int i = 0; i < weight.length; i++) into[to + i] = x[at + i] * factor * weight[i];
    }
}
