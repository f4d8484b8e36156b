package rqat.engine;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/// The inner loops: one chunk of columns of one panel ([Panels]), four vectors of rows wide.
///
/// Each row of weights meets each row of inputs in one chain of fused multiply-adds over the columns in their order, from 0. [#dot] decodes and multiplies at once, for one row of inputs; [#decode] and
/// [#multiply] do it in two steps, for many. Both give the same bits.
///
/// A code is not shifted down before it becomes a float: masked in its place it is an integer `code * 2^shift`, which converts exactly, and its input was divided by that power ([Activations]).
/// So a weight costs a mask, a conversion and a multiply-add. Its zero point is subtracted after each block, as if it were one more column ([Packing#inputs]).
final class Kernels {
    static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
    private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
    private static final ByteOrder ORDER = ByteOrder.nativeOrder();
    /// Rows that one vector holds.
    static final int LANES = FLOATS.length();
    /// Rows of a panel.
    static final int PANEL = 4 * LANES;
    /// Rows of inputs that [#multiply] takes at most.
    static final int ROWS = 6;

    private Kernels() {}

    private static IntVector words(MemorySegment data, long at) {
        return IntVector.fromMemorySegment(INTS, data, at, ORDER);
    }

    private static FloatVector floats(MemorySegment data, long at) {
        return FloatVector.fromMemorySegment(FLOATS, data, at, ORDER);
    }

    private static FloatVector value(IntVector codes) {
        return (FloatVector) codes.convertShape(VectorOperators.I2F, FLOATS, 0);
    }

    private static FloatVector masked(IntVector words, int mask) {
        return value(words.and(mask));
    }

    private static FloatVector top(IntVector words, int shift) {
        return value(words.lanewise(VectorOperators.LSHR, shift));
    }

    /// The sums of weights times inputs of a panel for one row of inputs.
    ///
    /// @param at     byte at which the chunk begins
    /// @param zeros  of codes: the negative zero points of the panel's rows
    /// @param zeroAt byte at which they begin
    /// @param from   its first input
    /// @param sums   the first [#PANEL] are overwritten
    static void dot(Packing packing, MemorySegment data, long at, int blocks, MemorySegment zeros, long zeroAt, float[] inputs, int from, float[] sums) {
        switch (packing) {
            case TWO -> dot2(data, at, blocks, zeros, zeroAt, inputs, from, sums);
            case THREE -> dot3(data, at, blocks, zeros, zeroAt, inputs, from, sums);
            case FOUR -> dot4(data, at, blocks, zeros, zeroAt, inputs, from, sums);
            case EIGHT -> dot8(data, at, blocks, zeros, zeroAt, inputs, from, sums);
            case BFLOAT16 -> dot16(data, at, blocks, inputs, from, sums);
            case FLOAT32 -> dot32(data, at, blocks, inputs, from, sums);
        }
    }

    // A method for each width, though 2, 4 and 8 bits differ in constants only: with the width a parameter the inner loop is not unrolled, and one sequence decodes at half to two thirds of the rate
    // (`bench/run EngineBench models/embedded 2 1`).

    private static void dot2(MemorySegment data, long at, int blocks, MemorySegment zeros, long zeroAt, float[] inputs, int from, float[] sums) {
        FloatVector a = FloatVector.zero(FLOATS), b = a, c = a, d = a;
        for (int word = 1; word <= 2 * blocks; word++) {
            IntVector va = words(data, at), vb = words(data, at + 4 * LANES), vc = words(data, at + 8 * LANES), vd = words(data, at + 12 * LANES);
            for (int i = 0; i < 15; i++) {
                FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + i]);
                int mask = 3 << 2 * i;
                a = masked(va, mask).fma(x, a);
                b = masked(vb, mask).fma(x, b);
                c = masked(vc, mask).fma(x, c);
                d = masked(vd, mask).fma(x, d);
            }
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + 15]);
            a = top(va, 30).fma(x, a);
            b = top(vb, 30).fma(x, b);
            c = top(vc, 30).fma(x, c);
            d = top(vd, 30).fma(x, d);
            from += 16;
            at += 16 * LANES;
            if (word % 2 != 0) continue;
            x = FloatVector.broadcast(FLOATS, inputs[from++]);
            a = floats(zeros, zeroAt).fma(x, a);
            b = floats(zeros, zeroAt + 4 * LANES).fma(x, b);
            c = floats(zeros, zeroAt + 8 * LANES).fma(x, c);
            d = floats(zeros, zeroAt + 12 * LANES).fma(x, d);
        }
        store(a, b, c, d, sums, 0);
    }

    private static void dot3(MemorySegment data, long at, int blocks, MemorySegment zeros, long zeroAt, float[] inputs, int from, float[] sums) {
        FloatVector a = FloatVector.zero(FLOATS), b = a, c = a, d = a;
        for (int block = 0; block < blocks; block++) {
            IntVector ta = IntVector.zero(INTS), tb = ta, tc = ta, td = ta;
            for (int word = 0; word < 3; word++) {
                IntVector va = words(data, at), vb = words(data, at + 4 * LANES), vc = words(data, at + 8 * LANES), vd = words(data, at + 12 * LANES);
                for (int i = 0; i < 10; i++) {
                    FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + i]);
                    int mask = 7 << 3 * i;
                    a = masked(va, mask).fma(x, a);
                    b = masked(vb, mask).fma(x, b);
                    c = masked(vc, mask).fma(x, c);
                    d = masked(vd, mask).fma(x, d);
                }
                // The two bits at the top of each word are the last two codes.
                int shift = 30 - 2 * word, mask = 3 << 2 * word;
                ta = ta.or(va.lanewise(VectorOperators.LSHR, shift).and(mask));
                tb = tb.or(vb.lanewise(VectorOperators.LSHR, shift).and(mask));
                tc = tc.or(vc.lanewise(VectorOperators.LSHR, shift).and(mask));
                td = td.or(vd.lanewise(VectorOperators.LSHR, shift).and(mask));
                from += 10;
                at += 16 * LANES;
            }
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from]);
            a = masked(ta, 7).fma(x, a);
            b = masked(tb, 7).fma(x, b);
            c = masked(tc, 7).fma(x, c);
            d = masked(td, 7).fma(x, d);
            x = FloatVector.broadcast(FLOATS, inputs[from + 1]);
            a = top(ta, 3).fma(x, a);
            b = top(tb, 3).fma(x, b);
            c = top(tc, 3).fma(x, c);
            d = top(td, 3).fma(x, d);
            x = FloatVector.broadcast(FLOATS, inputs[from + 2]);
            a = floats(zeros, zeroAt).fma(x, a);
            b = floats(zeros, zeroAt + 4 * LANES).fma(x, b);
            c = floats(zeros, zeroAt + 8 * LANES).fma(x, c);
            d = floats(zeros, zeroAt + 12 * LANES).fma(x, d);
            from += 3;
        }
        store(a, b, c, d, sums, 0);
    }

    private static void dot4(MemorySegment data, long at, int blocks, MemorySegment zeros, long zeroAt, float[] inputs, int from, float[] sums) {
        FloatVector a = FloatVector.zero(FLOATS), b = a, c = a, d = a;
        for (int word = 1; word <= 4 * blocks; word++) {
            IntVector va = words(data, at), vb = words(data, at + 4 * LANES), vc = words(data, at + 8 * LANES), vd = words(data, at + 12 * LANES);
            for (int i = 0; i < 7; i++) {
                FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + i]);
                int mask = 15 << 4 * i;
                a = masked(va, mask).fma(x, a);
                b = masked(vb, mask).fma(x, b);
                c = masked(vc, mask).fma(x, c);
                d = masked(vd, mask).fma(x, d);
            }
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + 7]);
            a = top(va, 28).fma(x, a);
            b = top(vb, 28).fma(x, b);
            c = top(vc, 28).fma(x, c);
            d = top(vd, 28).fma(x, d);
            from += 8;
            at += 16 * LANES;
            if (word % 4 != 0) continue;
            x = FloatVector.broadcast(FLOATS, inputs[from++]);
            a = floats(zeros, zeroAt).fma(x, a);
            b = floats(zeros, zeroAt + 4 * LANES).fma(x, b);
            c = floats(zeros, zeroAt + 8 * LANES).fma(x, c);
            d = floats(zeros, zeroAt + 12 * LANES).fma(x, d);
        }
        store(a, b, c, d, sums, 0);
    }

    private static void dot8(MemorySegment data, long at, int blocks, MemorySegment zeros, long zeroAt, float[] inputs, int from, float[] sums) {
        FloatVector a = FloatVector.zero(FLOATS), b = a, c = a, d = a;
        for (int word = 1; word <= 8 * blocks; word++) {
            IntVector va = words(data, at), vb = words(data, at + 4 * LANES), vc = words(data, at + 8 * LANES), vd = words(data, at + 12 * LANES);
            for (int i = 0; i < 3; i++) {
                FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + i]);
                int mask = 255 << 8 * i;
                a = masked(va, mask).fma(x, a);
                b = masked(vb, mask).fma(x, b);
                c = masked(vc, mask).fma(x, c);
                d = masked(vd, mask).fma(x, d);
            }
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + 3]);
            a = top(va, 24).fma(x, a);
            b = top(vb, 24).fma(x, b);
            c = top(vc, 24).fma(x, c);
            d = top(vd, 24).fma(x, d);
            from += 4;
            at += 16 * LANES;
            if (word % 8 != 0) continue;
            x = FloatVector.broadcast(FLOATS, inputs[from++]);
            a = floats(zeros, zeroAt).fma(x, a);
            b = floats(zeros, zeroAt + 4 * LANES).fma(x, b);
            c = floats(zeros, zeroAt + 8 * LANES).fma(x, c);
            d = floats(zeros, zeroAt + 12 * LANES).fma(x, d);
        }
        store(a, b, c, d, sums, 0);
    }

    private static FloatVector low(IntVector words) {
        return words.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
    }

    private static FloatVector high(IntVector words) {
        return words.and(0xffff0000).reinterpretAsFloats();
    }

    private static void dot16(MemorySegment data, long at, int blocks, float[] inputs, int from, float[] sums) {
        FloatVector a = FloatVector.zero(FLOATS), b = a, c = a, d = a;
        for (int word = 0; word < 16 * blocks; word++) {
            IntVector va = words(data, at), vb = words(data, at + 4 * LANES), vc = words(data, at + 8 * LANES), vd = words(data, at + 12 * LANES);
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from]), y = FloatVector.broadcast(FLOATS, inputs[from + 1]);
            a = high(va).fma(y, low(va).fma(x, a));
            b = high(vb).fma(y, low(vb).fma(x, b));
            c = high(vc).fma(y, low(vc).fma(x, c));
            d = high(vd).fma(y, low(vd).fma(x, d));
            from += 2;
            at += 16 * LANES;
        }
        store(a, b, c, d, sums, 0);
    }

    private static void dot32(MemorySegment data, long at, int blocks, float[] inputs, int from, float[] sums) {
        FloatVector a = FloatVector.zero(FLOATS), b = a, c = a, d = a;
        for (int column = 0; column < 32 * blocks; column++) {
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + column]);
            a = words(data, at).reinterpretAsFloats().fma(x, a);
            b = words(data, at + 4 * LANES).reinterpretAsFloats().fma(x, b);
            c = words(data, at + 8 * LANES).reinterpretAsFloats().fma(x, c);
            d = words(data, at + 12 * LANES).reinterpretAsFloats().fma(x, d);
            at += 16 * LANES;
        }
        store(a, b, c, d, sums, 0);
    }

    /// The weights of a chunk as the multiply-adds of [#dot] take them.
    ///
    /// @param tile what input `k` of the chunk meets is overwritten from `k * PANEL` on, a value for each row
    static void decode(Packing packing, MemorySegment data, long at, int blocks, MemorySegment zeros, long zeroAt, float[] tile) {
        switch (packing) {
            case TWO, FOUR, EIGHT -> {
                decodeEven(packing.bits(), data, at, blocks, tile);
                putZeros(blocks, zeros, zeroAt, tile);
            }
            case THREE -> {
                decode3(data, at, blocks, tile);
                putZeros(blocks, zeros, zeroAt, tile);
            }
            case BFLOAT16 -> decode16(data, at, blocks, tile);
            case FLOAT32 -> {
                for (int i = 0; i < 32 * 4 * blocks; i++) words(data, at + 4L * LANES * i).reinterpretAsFloats().intoArray(tile, LANES * i);
            }
        }
    }

    private static void decodeEven(int bits, MemorySegment data, long at, int blocks, float[] tile) {
        int last = 32 / bits - 1, code = (1 << bits) - 1, to = 0;
        for (int word = 0; word < bits * blocks; word++) {
            for (int part = 0; part < 4; part++) {
                IntVector v = words(data, at);
                for (int i = 0; i < last; i++) masked(v, code << bits * i).intoArray(tile, to + i * PANEL);
                top(v, 32 - bits).intoArray(tile, to + last * PANEL);
                at += 4 * LANES;
                to += LANES;
            }
            to += last * PANEL;
            if ((word + 1) % bits == 0) to += PANEL;
        }
    }

    private static void putZeros(int blocks, MemorySegment zeros, long zeroAt, float[] tile) {
        for (int part = 0; part < PANEL; part += LANES) {
            FloatVector zero = floats(zeros, zeroAt + 4L * part);
            for (int block = 1; block <= blocks; block++) zero.intoArray(tile, (33 * block - 1) * PANEL + part);
        }
    }

    private static void decode3(MemorySegment data, long at, int blocks, float[] tile) {
        for (int block = 0; block < blocks; block++) {
            for (int part = 0; part < 4; part++) {
                int to = 33 * PANEL * block + part * LANES;
                IntVector rest = IntVector.zero(INTS);
                for (int word = 0; word < 3; word++) {
                    IntVector v = words(data, at + 4L * LANES * (4 * word + part));
                    for (int i = 0; i < 10; i++) masked(v, 7 << 3 * i).intoArray(tile, to + (10 * word + i) * PANEL);
                    rest = rest.or(v.lanewise(VectorOperators.LSHR, 30 - 2 * word).and(3 << 2 * word));
                }
                masked(rest, 7).intoArray(tile, to + 30 * PANEL);
                top(rest, 3).intoArray(tile, to + 31 * PANEL);
            }
            at += 3 * 16 * LANES;
        }
    }

    private static void decode16(MemorySegment data, long at, int blocks, float[] tile) {
        int to = 0;
        for (int word = 0; word < 16 * blocks; word++) {
            for (int part = 0; part < 4; part++) {
                IntVector v = words(data, at);
                low(v).intoArray(tile, to);
                high(v).intoArray(tile, to + PANEL);
                at += 4 * LANES;
                to += LANES;
            }
            to += PANEL;
        }
    }

    /// The sums of decoded weights times inputs of a panel for some rows of inputs.
    ///
    /// @param columns inputs of the chunk
    /// @param from    the first input of the first row
    /// @param stride  from one row to the next
    /// @param rows    1 to [#ROWS]
    /// @param sums    of row `r` from `r * PANEL` on; overwritten
    static void multiply(float[] tile, int columns, float[] inputs, int from, int stride, int rows, float[] sums) {
        switch (rows) {
            case 6 -> {
                multiply6(tile, 0, columns, inputs, from, stride, sums);
                multiply6(tile, 2 * LANES, columns, inputs, from, stride, sums);
            }
            case 4, 5 -> {
                multiply4(tile, 0, columns, inputs, from, stride, sums, 0);
                multiply4(tile, 2 * LANES, columns, inputs, from, stride, sums, 0);
                if (rows == 5) multiply1(tile, columns, inputs, from + 4 * stride, sums, 4 * PANEL);
            }
            case 2, 3 -> {
                multiply2(tile, columns, inputs, from, stride, sums);
                if (rows == 3) multiply1(tile, columns, inputs, from + 2 * stride, sums, 2 * PANEL);
            }
            case 1 -> multiply1(tile, columns, inputs, from, sums, 0);
            default -> throw new IllegalArgumentException(rows + " rows");
        }
    }

    private static void multiply6(float[] tile, int part, int columns, float[] inputs, int from, int stride, float[] sums) {
        FloatVector a0 = FloatVector.zero(FLOATS), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0;
        FloatVector b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0;
        int from1 = from + stride, from2 = from1 + stride, from3 = from2 + stride, from4 = from3 + stride, from5 = from4 + stride;
        for (int k = 0; k < columns; k++) {
            FloatVector a = FloatVector.fromArray(FLOATS, tile, k * PANEL + part), b = FloatVector.fromArray(FLOATS, tile, k * PANEL + part + LANES);
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + k]);
            a0 = a.fma(x, a0);
            b0 = b.fma(x, b0);
            x = FloatVector.broadcast(FLOATS, inputs[from1 + k]);
            a1 = a.fma(x, a1);
            b1 = b.fma(x, b1);
            x = FloatVector.broadcast(FLOATS, inputs[from2 + k]);
            a2 = a.fma(x, a2);
            b2 = b.fma(x, b2);
            x = FloatVector.broadcast(FLOATS, inputs[from3 + k]);
            a3 = a.fma(x, a3);
            b3 = b.fma(x, b3);
            x = FloatVector.broadcast(FLOATS, inputs[from4 + k]);
            a4 = a.fma(x, a4);
            b4 = b.fma(x, b4);
            x = FloatVector.broadcast(FLOATS, inputs[from5 + k]);
            a5 = a.fma(x, a5);
            b5 = b.fma(x, b5);
        }
        store(a0, b0, sums, part);
        store(a1, b1, sums, part + PANEL);
        store(a2, b2, sums, part + 2 * PANEL);
        store(a3, b3, sums, part + 3 * PANEL);
        store(a4, b4, sums, part + 4 * PANEL);
        store(a5, b5, sums, part + 5 * PANEL);
    }

    private static void multiply4(float[] tile, int part, int columns, float[] inputs, int from, int stride, float[] sums, int to) {
        FloatVector a0 = FloatVector.zero(FLOATS), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        int from1 = from + stride, from2 = from1 + stride, from3 = from2 + stride;
        for (int k = 0; k < columns; k++) {
            FloatVector a = FloatVector.fromArray(FLOATS, tile, k * PANEL + part), b = FloatVector.fromArray(FLOATS, tile, k * PANEL + part + LANES);
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + k]);
            a0 = a.fma(x, a0);
            b0 = b.fma(x, b0);
            x = FloatVector.broadcast(FLOATS, inputs[from1 + k]);
            a1 = a.fma(x, a1);
            b1 = b.fma(x, b1);
            x = FloatVector.broadcast(FLOATS, inputs[from2 + k]);
            a2 = a.fma(x, a2);
            b2 = b.fma(x, b2);
            x = FloatVector.broadcast(FLOATS, inputs[from3 + k]);
            a3 = a.fma(x, a3);
            b3 = b.fma(x, b3);
        }
        store(a0, b0, sums, to + part);
        store(a1, b1, sums, to + part + PANEL);
        store(a2, b2, sums, to + part + 2 * PANEL);
        store(a3, b3, sums, to + part + 3 * PANEL);
    }

    private static void multiply2(float[] tile, int columns, float[] inputs, int from, int stride, float[] sums) {
        FloatVector a0 = FloatVector.zero(FLOATS), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
        for (int k = 0; k < columns; k++) {
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + k]), y = FloatVector.broadcast(FLOATS, inputs[from + stride + k]);
            FloatVector w = FloatVector.fromArray(FLOATS, tile, k * PANEL);
            a0 = w.fma(x, a0);
            a1 = w.fma(y, a1);
            w = FloatVector.fromArray(FLOATS, tile, k * PANEL + LANES);
            b0 = w.fma(x, b0);
            b1 = w.fma(y, b1);
            w = FloatVector.fromArray(FLOATS, tile, k * PANEL + 2 * LANES);
            c0 = w.fma(x, c0);
            c1 = w.fma(y, c1);
            w = FloatVector.fromArray(FLOATS, tile, k * PANEL + 3 * LANES);
            d0 = w.fma(x, d0);
            d1 = w.fma(y, d1);
        }
        store(a0, b0, c0, d0, sums, 0);
        store(a1, b1, c1, d1, sums, PANEL);
    }

    private static void multiply1(float[] tile, int columns, float[] inputs, int from, float[] sums, int to) {
        FloatVector a = FloatVector.zero(FLOATS), b = a, c = a, d = a;
        for (int k = 0; k < columns; k++) {
            FloatVector x = FloatVector.broadcast(FLOATS, inputs[from + k]);
            a = FloatVector.fromArray(FLOATS, tile, k * PANEL).fma(x, a);
            b = FloatVector.fromArray(FLOATS, tile, k * PANEL + LANES).fma(x, b);
            c = FloatVector.fromArray(FLOATS, tile, k * PANEL + 2 * LANES).fma(x, c);
            d = FloatVector.fromArray(FLOATS, tile, k * PANEL + 3 * LANES).fma(x, d);
        }
        store(a, b, c, d, sums, to);
    }

    private static void store(FloatVector a, FloatVector b, float[] sums, int to) {
        a.intoArray(sums, to);
        b.intoArray(sums, to + LANES);
    }

    private static void store(FloatVector a, FloatVector b, FloatVector c, FloatVector d, float[] sums, int to) {
        store(a, b, sums, to);
        store(c, d, sums, to + 2 * LANES);
    }

    /// Adds the sums of a chunk of codes to the results of a panel: `into += scale * sums`.
    ///
    /// @param scales of the panel's rows, from byte `at` on
    static void addScaled(float[] sums, int from, MemorySegment scales, long at, float[] into, int to) {
        for (int part = 0; part < PANEL; part += LANES) {
            floats(scales, at + 4L * part).fma(FloatVector.fromArray(FLOATS, sums, from + part), FloatVector.fromArray(FLOATS, into, to + part)).intoArray(into, to + part);
        }
    }

    /// Adds the sums of a chunk of values to the results of a panel.
    static void add(float[] sums, int from, float[] into, int to) {
        for (int part = 0; part < PANEL; part += LANES) {
            FloatVector.fromArray(FLOATS, into, to + part).add(FloatVector.fromArray(FLOATS, sums, from + part)).intoArray(into, to + part);
        }
    }
}
