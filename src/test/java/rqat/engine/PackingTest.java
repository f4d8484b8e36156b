package rqat.engine;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.run.RandomStream;

class PackingTest {

    /// Read back as the kernels read it: masked in place or shifted down from the top, and multiplied by the power of two that the inputs bring.
    @ParameterizedTest
    @EnumSource(Packing.class)
    void everyWeightIsFoundAgain(Packing packing) {
        var random = new RandomStream(4);
        int[] row = new int[40], words = new int[packing.bits()];
        for (int i = 0; i < row.length; i++) {
            row[i] = packing.isCoded() ? random.nextInt(1 << packing.bits()) : Float.floatToRawIntBits((float) random.nextGaussian()) & (packing == Packing.BFLOAT16 ? 0xffff0000 : -1);
        }
        packing.pack(row, 5, words);
        var data = java.lang.foreign.Arena.ofAuto().allocate(4L * Kernels.PANEL * words.length, 64);
        // The same row in every lane, but for one that is 0.
        for (int word = 0; word < words.length; word++) {
            for (int lane = 0; lane < Kernels.PANEL; lane++) {
                data.setAtIndex(java.lang.foreign.ValueLayout.JAVA_INT, (long) word * Kernels.PANEL + lane, lane == 3 ? 0 : words[word]);
            }
        }
        float[] factors = new Layout(packing, 32, 32).factors(), tile = new float[33 * Kernels.PANEL];
        var zeros = java.lang.foreign.Arena.ofAuto().allocate(4L * Kernels.PANEL, 64);
        for (int lane = 0; lane < Kernels.PANEL; lane++) zeros.setAtIndex(java.lang.foreign.ValueLayout.JAVA_FLOAT, lane, -lane);
        Kernels.decode(packing, data, 0, 1, zeros, 0, tile);
        for (int column = 0; column < 32; column++) {
            float expected = packing.isCoded() ? row[5 + column] : Float.intBitsToFloat(row[5 + column]);
            for (int lane = 0; lane < Kernels.PANEL; lane++) {
                assertThat(tile[column * Kernels.PANEL + lane] * factors[column]).as("column %d", column).isEqualTo(lane == 3 ? 0 : expected);
            }
        }
        // One row of inputs with the fused kernel, and in every number of rows with the other: the same bits.
        int width = packing.inputs();
        float[] inputs = new float[6 * width];
        for (int i = 0; i < inputs.length; i++) inputs[i] = (float) random.nextGaussian() * (i % width == 32 ? 1 : factors[i % width]);
        for (int rows = 1; rows <= 6; rows++) {
            float[] sums = new float[6 * Kernels.PANEL], fused = new float[6 * Kernels.PANEL];
            Kernels.multiply(tile, width, inputs, 0, width, rows, sums);
            for (int r = 0; r < rows; r++) {
                Kernels.dot(packing, data, 0, 1, zeros, 0, inputs, width * r, fused);
                double expected = 0;
                for (int i = 0; i < 32; i++) expected += (double) tile[i * Kernels.PANEL + 7] * inputs[width * r + i];
                if (packing.isCoded()) expected -= 7 * inputs[width * r + 32];
                assertThat((double) fused[7]).isCloseTo(expected, org.assertj.core.api.Assertions.within(1e-4 * (1 + Math.abs(expected))));
                for (int lane = 0; lane < Kernels.PANEL; lane++) assertThat(sums[r * Kernels.PANEL + lane]).isEqualTo(fused[lane]);
            }
        }
    }

    @Test
    void chunksTileTheColumns() {
        for (int[] shape : new int[][] {{1024, 128}, {3072, 3072}, {160, 160}, {100, 100}, {96, 48}, {64, 16}, {768, 384}, {130, 130}}) {
            var layout = new Layout(Packing.THREE, shape[0], shape[1]);
            int column = 0, block = 0;
            for (int chunk = 0; chunk < layout.chunks(); chunk++) {
                assertThat(layout.firstBlock(chunk)).isEqualTo(block);
                assertThat(layout.group(chunk)).isEqualTo(column / shape[1]);
                for (int end = block + layout.blocks(chunk); block < end; block++) {
                    assertThat(layout.startOfBlock(block)).isEqualTo(column);
                    column += layout.widthOfBlock(block);
                }
            }
            assertThat(column).isEqualTo(shape[0]);
            assertThat(block).isEqualTo(layout.blocks());
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 4})
    void workersDoEveryIndexOnce(int threads) {
        try (var workers = new Workers(threads)) {
            for (int loop = 0; loop < 2_000; loop++) {
                int count = loop % 37;
                int[] done = new int[count];
                workers.run(count, (index, worker) -> {
                    assertThat(worker).isBetween(0, threads - 1);
                    done[index]++;
                });
                assertThat(done).containsOnly(IntStream.range(0, count).map(_ -> 1).toArray());
            }
            List<Integer> seen = new ArrayList<>();
            org.assertj.core.api.Assertions.assertThatThrownBy(() -> workers.run(100, (index, _) -> {
                if (index == 40) throw new IllegalStateException("forty");
            })).hasMessage("forty");
            workers.run(3, (index, _) -> {
                synchronized (seen) {
                    seen.add(index);
                }
            });
            assertThat(seen).containsExactlyInAnyOrder(0, 1, 2);
        }
    }

    @Test
    void exponentialsAreAccurate() {
        float[] values = new float[1 << 14];
        for (int i = 0; i < values.length; i++) values[i] = -87 + 175f * i / values.length;
        float[] expected = values.clone();
        VectorMath.exp(values, 0, values.length, 0);
        for (int i = 0; i < values.length; i++) {
            double exact = Math.exp(expected[i]);
            assertThat(Math.abs(values[i] - exact) / exact).as("exp(%s)", expected[i]).isLessThan(2e-7);
        }
        float[] odd = new float[Kernels.LANES];
        odd[0] = Float.NaN;
        odd[1] = Float.NEGATIVE_INFINITY;
        VectorMath.exp(odd, 0, 3, 0);
        assertThat(odd[0]).isNaN();
        assertThat(odd[1]).isLessThan(1.2e-38f);
        assertThat(odd[2]).isEqualTo(1);
    }
}
