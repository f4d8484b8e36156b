package rqat.engine;

/// Sums in an order of their own: eight partial sums of every eighth term, then these in pairs. Fast, and the same on every processor.
final class Sums {
    private Sums() {}

    /// Of `count` values from `at` on.
    static float of(float[] values, int at, int count) {
        float a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
        int i = at, end = at + count;
        for (; i + 8 <= end; i += 8) {
            a += values[i];
            b += values[i + 1];
            c += values[i + 2];
            d += values[i + 3];
            e += values[i + 4];
            f += values[i + 5];
            g += values[i + 6];
            h += values[i + 7];
        }
        for (; i < end; i++) a += values[i];
        return ((a + b) + (c + d)) + ((e + f) + (g + h));
    }

    /// Of the squares of `count` values from `at` on.
    static float ofSquares(float[] values, int at, int count) {
        float a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
        int i = at, end = at + count;
        for (; i + 8 <= end; i += 8) {
            a += values[i] * values[i];
            b += values[i + 1] * values[i + 1];
            c += values[i + 2] * values[i + 2];
            d += values[i + 3] * values[i + 3];
            e += values[i + 4] * values[i + 4];
            f += values[i + 5] * values[i + 5];
            g += values[i + 6] * values[i + 6];
            h += values[i + 7] * values[i + 7];
        }
        for (; i < end; i++) a += values[i] * values[i];
        return ((a + b) + (c + d)) + ((e + f) + (g + h));
    }

    /// As [#of], in float64.
    static double wide(float[] values, int at, int count) {
        double a = 0, b = 0, c = 0, d = 0;
        int i = at, end = at + count;
        for (; i + 4 <= end; i += 4) {
            a += values[i];
            b += values[i + 1];
            c += values[i + 2];
            d += values[i + 3];
        }
        for (; i < end; i++) a += values[i];
        return (a + b) + (c + d);
    }
}
