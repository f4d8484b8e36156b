package rqat.engine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// Keys and values of one head in one page: keys `[D, POSITIONS]`, so that the scores of several positions are computed at a time, then values `[POSITIONS, D]`, then, where they are levels, for each position the step and the
/// smallest of its keys, and of its values. What is not float32 is packed in the order in which vectors unpack it: bits `i * bits` of word `l` of a run of words are value `i * LANES + l`.
///
/// Each sum is one chain over the dimensions, or the positions, in their order; steps and smallest values are taken into account after the sum of keys, and in the weights of values.
final class CachedValues {
    /// Positions of a page.
    static final int POSITIONS = 32;
    private static final int WIDTH = 4 * POSITIONS;
    private static final VectorSpecies<Float> FLOATS = Kernels.FLOATS;
    private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
    private static final int LANES = Kernels.LANES;
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;
    private static final float LARGEST_HALF = 65504;

    private final CacheFormat format;
    private final int dimension;
    private final long half;

    CachedValues(CacheFormat format, int dimension) {
        this.format = format;
        this.dimension = dimension;
        long run = 4L * LANES, values = (long) POSITIONS * dimension * format.bits() / 8;
        this.half = (values + run - 1) / run * run;
    }

    /// Of a head of a page.
    long bytes() {
        return 2 * half + (format.isLevels() ? 4 * WIDTH : 0);
    }

    /// What a thread needs while it reads: room for the unpacked keys or values of a head, and weights.
    static final class Scratch {
        private final MemorySegment values;
        private final float[] weights = new float[POSITIONS];

        Scratch(int dimension, Arena arena) {
            values = arena.allocate((long) WIDTH * dimension + 32L * LANES, 64);
        }
    }

    /// Stores key and value at `place`; one thread at a time for one head.
    void store(MemorySegment page, long at, int place, float[] keys, int keysAt, float[] values, int valuesAt) {
        store(page, at, place, POSITIONS, keys, keysAt, at + 2 * half + 4L * place);
        store(page, at + half, (long) place * dimension, 1, values, valuesAt, at + 2 * half + 2 * WIDTH + 4L * place);
    }

    /// @param first  the place of the first number
    /// @param step   from one to the next
    /// @param levels where the size of a level goes; the smallest value goes [#WIDTH] bytes after it
    private void store(MemorySegment page, long at, long first, int step, float[] numbers, int from, long levels) {
        float smallest = 0, level = 1;
        if (format.isLevels()) {
            float largest = numbers[from];
            smallest = largest;
            for (int i = 1; i < dimension; i++) {
                smallest = Math.min(smallest, numbers[from + i]);
                largest = Math.max(largest, numbers[from + i]);
            }
            level = Math.max((largest - smallest) / ((1 << format.bits()) - 1), Float.MIN_NORMAL);
            page.set(FLOAT, levels, level);
            page.set(FLOAT, levels + WIDTH, smallest);
        }
        for (int i = 0; i < dimension; i++) {
            long place = first + (long) i * step;
            float number = numbers[from + i];
            switch (format) {
                case FLOAT32 -> page.set(FLOAT, at + 4 * place, number);
                case FLOAT16 -> page.set(ValueLayout.JAVA_SHORT, at + place(place, 2), Float.floatToFloat16(Math.clamp(number, -LARGEST_HALF, LARGEST_HALF)));
                case INT8 -> page.set(ValueLayout.JAVA_BYTE, at + place(place, 4), (byte) (int) Math.rint((number - smallest) / level));
                case INT4 -> {
                    int code = (int) Math.rint((number - smallest) / level);
                    long slot = place / (8 * LANES) * 4 * LANES + place % LANES * 4;
                    int shift = (int) (place % (8 * LANES) / LANES) * 4;
                    page.set(ValueLayout.JAVA_INT, at + slot, page.get(ValueLayout.JAVA_INT, at + slot) & ~(15 << shift) | code << shift);
                }
            }
        }
    }

    /// The byte at which value number `place` begins where a word holds `inWord`.
    private static long place(long place, int inWord) {
        return place / ((long) inWord * LANES) * 4 * LANES + place % LANES * 4 + place % ((long) inWord * LANES) / LANES * (4 / inWord);
    }

    /// Unpacks half of a head, as levels where it holds levels.
    private MemorySegment unpacked(MemorySegment page, long at, Scratch scratch) {
        MemorySegment into = scratch.values;
        int inWord = 32 / format.bits();
        for (long run = 0; run < half; run += 4L * LANES) {
            IntVector words = IntVector.fromMemorySegment(INTS, page, at + run, ORDER);
            for (int i = 0; i < inWord; i++) {
                FloatVector values = format == CacheFormat.FLOAT16
                        ? half(i == 0 ? words.lanewise(VectorOperators.LSHL, 16).lanewise(VectorOperators.ASHR, 16) : words.lanewise(VectorOperators.ASHR, 16))
                        : (FloatVector) words.lanewise(VectorOperators.LSHR, i * format.bits()).and((1 << format.bits()) - 1).convertShape(VectorOperators.I2F, FLOATS, 0);
                values.intoMemorySegment(into, run * inWord + 4L * LANES * i, ORDER);
            }
        }
        return into;
    }

    /// Float16 with its sign extended: its exponent and fraction in their places in a float32 are the value divided by 2^112.
    private static FloatVector half(IntVector bits) {
        return bits.lanewise(VectorOperators.LSHL, 13).and(0x8fffffff).reinterpretAsFloats().mul(0x1p112f);
    }

    /// The products of the query with all keys of the page; those of keys that are not there yet mean nothing.
    ///
    /// @param querySum of the query
    void scores(MemorySegment page, long at, float[] query, int queryAt, float querySum, float[] scores, int to, Scratch scratch) {
        if (format == CacheFormat.FLOAT32) {
            products(page, at, query, queryAt, scores, to);
            return;
        }
        products(unpacked(page, at, scratch), 0, query, queryAt, scores, to);
        if (!format.isLevels()) return;
        long levels = at + 2 * half;
        for (int place = 0; place < POSITIONS; place++) {
            scores[to + place] = Math.fma(page.get(FLOAT, levels + 4L * place), scores[to + place], page.get(FLOAT, levels + WIDTH + 4L * place) * querySum);
        }
    }

    /// Adds the first `count` values of the page, each times its weight.
    void addValues(MemorySegment page, long at, int count, float[] weights, int weightsAt, float[] into, int to, Scratch scratch) {
        if (format == CacheFormat.FLOAT32) {
            sums(page, at + half, count, weights, weightsAt, into, to);
            return;
        }
        MemorySegment values = unpacked(page, at + half, scratch);
        if (!format.isLevels()) {
            sums(values, 0, count, weights, weightsAt, into, to);
            return;
        }
        long levels = at + 2 * half + 2 * WIDTH;
        float smallest = 0;
        for (int place = 0; place < count; place++) {
            scratch.weights[place] = weights[weightsAt + place] * page.get(FLOAT, levels + 4L * place);
            smallest = Math.fma(weights[weightsAt + place], page.get(FLOAT, levels + WIDTH + 4L * place), smallest);
        }
        sums(values, 0, count, scratch.weights, 0, into, to);
        for (int i = 0; i < dimension; i++) into[to + i] += smallest;
    }

    private void products(MemorySegment keys, long at, float[] query, int queryAt, float[] scores, int to) {
        int place = 0;
        for (; place + 4 * LANES <= POSITIONS; place += 4 * LANES) {
            FloatVector a = FloatVector.zero(FLOATS), b = a, c = a, d = a;
            long from = at + 4L * place;
            for (int i = 0; i < dimension; i++) {
                FloatVector q = FloatVector.broadcast(FLOATS, query[queryAt + i]);
                long row = from + (long) i * WIDTH;
                a = vector(keys, row).fma(q, a);
                b = vector(keys, row + 4 * LANES).fma(q, b);
                c = vector(keys, row + 8 * LANES).fma(q, c);
                d = vector(keys, row + 12 * LANES).fma(q, d);
            }
            a.intoArray(scores, to + place);
            b.intoArray(scores, to + place + LANES);
            c.intoArray(scores, to + place + 2 * LANES);
            d.intoArray(scores, to + place + 3 * LANES);
        }
        for (; place < POSITIONS; place += LANES) {
            FloatVector a = FloatVector.zero(FLOATS);
            for (int i = 0; i < dimension; i++) {
                a = vector(keys, at + 4L * place + (long) i * WIDTH).fma(FloatVector.broadcast(FLOATS, query[queryAt + i]), a);
            }
            a.intoArray(scores, to + place);
        }
    }

    private void sums(MemorySegment values, long at, int count, float[] weights, int weightsAt, float[] into, int to) {
        int i = 0;
        for (; i + 4 * LANES <= dimension; i += 4 * LANES) {
            FloatVector a = FloatVector.fromArray(FLOATS, into, to + i), b = FloatVector.fromArray(FLOATS, into, to + i + LANES);
            FloatVector c = FloatVector.fromArray(FLOATS, into, to + i + 2 * LANES), d = FloatVector.fromArray(FLOATS, into, to + i + 3 * LANES);
            for (int place = 0; place < count; place++) {
                FloatVector w = FloatVector.broadcast(FLOATS, weights[weightsAt + place]);
                long row = at + 4L * ((long) place * dimension + i);
                a = vector(values, row).fma(w, a);
                b = vector(values, row + 4 * LANES).fma(w, b);
                c = vector(values, row + 8 * LANES).fma(w, c);
                d = vector(values, row + 12 * LANES).fma(w, d);
            }
            a.intoArray(into, to + i);
            b.intoArray(into, to + i + LANES);
            c.intoArray(into, to + i + 2 * LANES);
            d.intoArray(into, to + i + 3 * LANES);
        }
        for (; i + LANES <= dimension; i += LANES) {
            FloatVector a = FloatVector.fromArray(FLOATS, into, to + i);
            for (int place = 0; place < count; place++) {
                a = vector(values, at + 4L * ((long) place * dimension + i)).fma(FloatVector.broadcast(FLOATS, weights[weightsAt + place]), a);
            }
            a.intoArray(into, to + i);
        }
        for (; i < dimension; i++) {
            float sum = into[to + i];
            for (int place = 0; place < count; place++) sum = Math.fma(values.get(FLOAT, at + 4L * ((long) place * dimension + i)), weights[weightsAt + place], sum);
            into[to + i] = sum;
        }
    }

    private static FloatVector vector(MemorySegment data, long at) {
        return FloatVector.fromMemorySegment(FLOATS, data, at, ORDER);
    }
}
