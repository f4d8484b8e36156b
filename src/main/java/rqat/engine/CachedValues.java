package rqat.engine;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;

/// Keys and values of one head in one page, in float32: keys `[D, POSITIONS]`, then values `[POSITIONS, D]`. Each sum is one chain over the dimensions, or the positions, in their order.
final class CachedValues {
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    /// Positions of a page.
    static final int POSITIONS = 32;
    private static final int WIDTH = 4 * POSITIONS;

    private CachedValues() {}

    static void store(MemorySegment page, long at, int dimension, int place, float[] keys, int keysAt, float[] values, int valuesAt) {
        for (int i = 0; i < dimension; i++) page.set(ValueLayout.JAVA_FLOAT, at + (long) i * WIDTH + 4L * place, keys[keysAt + i]);
        MemorySegment.copy(values, valuesAt, page, ValueLayout.JAVA_FLOAT, at + (long) dimension * (WIDTH + 4L * place), dimension);
    }

    /// The products of the query with all keys of the page, also those that are not there yet.
    static void scores(MemorySegment page, long at, int dimension, float[] query, int queryAt, float[] scores, int to) {
        int place = 0;
        for (; place + 4 * Kernels.LANES <= POSITIONS; place += 4 * Kernels.LANES) {
            FloatVector a = FloatVector.zero(Kernels.FLOATS), b = a, c = a, d = a;
            long from = at + 4L * place;
            for (int i = 0; i < dimension; i++) {
                FloatVector q = FloatVector.broadcast(Kernels.FLOATS, query[queryAt + i]);
                long row = from + (long) i * WIDTH;
                a = vector(page, row).fma(q, a);
                b = vector(page, row + 4 * Kernels.LANES).fma(q, b);
                c = vector(page, row + 8 * Kernels.LANES).fma(q, c);
                d = vector(page, row + 12 * Kernels.LANES).fma(q, d);
            }
            a.intoArray(scores, to + place);
            b.intoArray(scores, to + place + Kernels.LANES);
            c.intoArray(scores, to + place + 2 * Kernels.LANES);
            d.intoArray(scores, to + place + 3 * Kernels.LANES);
        }
        for (; place < POSITIONS; place += Kernels.LANES) {
            FloatVector a = FloatVector.zero(Kernels.FLOATS);
            for (int i = 0; i < dimension; i++) {
                a = vector(page, at + 4L * place + (long) i * WIDTH).fma(FloatVector.broadcast(Kernels.FLOATS, query[queryAt + i]), a);
            }
            a.intoArray(scores, to + place);
        }
    }

    /// Adds the first `count` values of the page, each times its weight.
    static void addValues(MemorySegment page, long at, int dimension, int count, float[] weights, int weightsAt, float[] into, int to) {
        long values = at + (long) dimension * WIDTH;
        int i = 0;
        for (; i + 4 * Kernels.LANES <= dimension; i += 4 * Kernels.LANES) {
            FloatVector a = FloatVector.fromArray(Kernels.FLOATS, into, to + i), b = FloatVector.fromArray(Kernels.FLOATS, into, to + i + Kernels.LANES);
            FloatVector c = FloatVector.fromArray(Kernels.FLOATS, into, to + i + 2 * Kernels.LANES), d = FloatVector.fromArray(Kernels.FLOATS, into, to + i + 3 * Kernels.LANES);
            for (int place = 0; place < count; place++) {
                FloatVector w = FloatVector.broadcast(Kernels.FLOATS, weights[weightsAt + place]);
                long row = values + 4L * ((long) place * dimension + i);
                a = vector(page, row).fma(w, a);
                b = vector(page, row + 4 * Kernels.LANES).fma(w, b);
                c = vector(page, row + 8 * Kernels.LANES).fma(w, c);
                d = vector(page, row + 12 * Kernels.LANES).fma(w, d);
            }
            a.intoArray(into, to + i);
            b.intoArray(into, to + i + Kernels.LANES);
            c.intoArray(into, to + i + 2 * Kernels.LANES);
            d.intoArray(into, to + i + 3 * Kernels.LANES);
        }
        for (; i + Kernels.LANES <= dimension; i += Kernels.LANES) {
            FloatVector a = FloatVector.fromArray(Kernels.FLOATS, into, to + i);
            for (int place = 0; place < count; place++) {
                a = vector(page, values + 4L * ((long) place * dimension + i)).fma(FloatVector.broadcast(Kernels.FLOATS, weights[weightsAt + place]), a);
            }
            a.intoArray(into, to + i);
        }
        for (; i < dimension; i++) {
            float sum = into[to + i];
            for (int place = 0; place < count; place++) {
                sum = Math.fma(page.get(ValueLayout.JAVA_FLOAT, values + 4L * ((long) place * dimension + i)), weights[weightsAt + place], sum);
            }
            into[to + i] = sum;
        }
    }

    private static FloatVector vector(MemorySegment page, long at) {
        return FloatVector.fromMemorySegment(Kernels.FLOATS, page, at, ORDER);
    }
}
