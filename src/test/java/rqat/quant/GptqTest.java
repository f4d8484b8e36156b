package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Comparator;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import rqat.Failure;
import rqat.Property;
import rqat.format.GridSpec;
import rqat.format.ScaleType;
import rqat.run.RandomStream;
import rqat.tensor.Cpu;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

class GptqTest {

    private static Tensor identity(long size) {
        return torch.eye(size, Cpu.options(ScalarType.Double));
    }

    /// Hessian of correlated inputs, some channels much larger than others.
    private static Tensor hessian(RandomStream random, int columns, int tokens) {
        float[] inputs = new float[tokens * columns];
        double[] size = new double[columns];
        for (int j = 0; j < columns; j++) size[j] = Math.exp(random.nextGaussian());
        for (int t = 0; t < tokens; t++) {
            double shared = random.nextGaussian();
            for (int j = 0; j < columns; j++) inputs[t * columns + j] = (float) (size[j] * (shared + random.nextGaussian()));
        }
        try (Hessian hessian = new Hessian(Place.cpu(ScalarType.Float), columns)) {
            hessian.add(Cpu.of(inputs, 1, tokens, columns));
            return hessian.mean();
        }
    }

    private static Gptq options(GridSpec grid, ClipSearch search, boolean order, boolean fixed) {
        return new Gptq(grid, search, order, fixed, 0.01);
    }

    private static GridSpec spec(int bits, int group, boolean symmetric) {
        return new GridSpec(bits, group, symmetric, ScaleType.FLOAT32);
    }

    private static double outputError(Tensor weight, Tensor quantised, Tensor hessian) {
        Tensor error = weight.to(ScalarType.Double).sub(quantised);
        return Tensors.item(error.matmul(hessian).mul(error).sum());
    }

    /// Optimal brain quantisation in Java numbers, one row at a time: after each column the inverse Hessian loses that column by Gaussian
    /// elimination. No factorisation, no blocks, no transposition.
    private static final class BruteForce {
        final double[][] latent;
        final float[][] served;

        BruteForce(double[][] weight, double[][] hessian, Gptq options) {
            int rows = weight.length, columns = weight[0].length;
            GridSpec spec = options.grid();
            int group = (int) spec.groupColumns(columns);
            latent = new double[rows][columns];
            served = new float[rows][columns];
            double[][] h = Arrays.stream(hessian).map(double[]::clone).toArray(double[][]::new);
            double mean = 0;
            for (int j = 0; j < columns; j++) mean += h[j][j] / columns;
            Integer[] order = new Integer[columns];
            for (int j = 0; j < columns; j++) order[j] = j;
            if (options.activationOrder()) Arrays.sort(order, Comparator.comparingDouble(j -> -hessian[j][j]));
            for (int j = 0; j < columns; j++) h[j][j] += options.damping() * mean;

            double[][] w = Arrays.stream(weight).map(double[]::clone).toArray(double[][]::new);
            Grid[] grids = new Grid[columns / group];
            boolean fixed = options.staticGroups() || spec.groupSize() == 0;
            if (fixed) for (int g = 0; g < grids.length; g++) grids[g] = fit(w, g, group, options);
            double[][] inverse = inverse(h);
            for (int step = 0; step < columns; step++) {
                int j = order[step];
                if (!fixed && j % group == 0) grids[j / group] = fit(w, j / group, group, options);
                for (int r = 0; r < rows; r++) {
                    latent[r][j] = w[r][j];
                    served[r][j] = point(grids[j / group], r, (float) w[r][j]);
                    double error = (w[r][j] - served[r][j]) / inverse[j][j];
                    for (int k = 0; k < columns; k++) w[r][k] -= error * inverse[j][k];
                }
                double[] pivot = inverse[j].clone();
                for (int a = 0; a < columns; a++) {
                    double factor = inverse[a][j] / pivot[j];
                    for (int b = 0; b < columns; b++) inverse[a][b] -= factor * pivot[b];
                }
            }
        }

        private static Grid fit(double[][] w, int group, int size, Gptq options) {
            float[] values = new float[w.length * size];
            for (int r = 0; r < w.length; r++) {
                for (int i = 0; i < size; i++) values[r * size + i] = (float) w[r][group * size + i];
            }
            GridSpec spec = options.grid();
            return Grid.fit(
                    new GridSpec(spec.bits(), 0, spec.symmetric(), spec.scaleType()),
                    Cpu.of(values, w.length, size),
                    options.clipSearch());
        }

        private static float point(Grid grid, int row, float value) {
            float scale = Tensors.floats(grid.scale())[row], zero = Tensors.floats(grid.zero())[row];
            double code = Math.rint(value / scale) + zero;
            return scale * ((float) Math.min(Math.max(code, grid.spec().minimum()), grid.spec().maximum()) - zero);
        }

        private static double[][] inverse(double[][] matrix) {
            int n = matrix.length;
            double[][] a = Arrays.stream(matrix).map(double[]::clone).toArray(double[][]::new);
            double[][] inverse = new double[n][n];
            for (int i = 0; i < n; i++) inverse[i][i] = 1;
            for (int i = 0; i < n; i++) {
                double pivot = a[i][i];
                for (int k = 0; k < n; k++) {
                    a[i][k] /= pivot;
                    inverse[i][k] /= pivot;
                }
                for (int r = 0; r < n; r++) {
                    if (r == i) continue;
                    double factor = a[r][i];
                    for (int k = 0; k < n; k++) {
                        a[r][k] -= factor * a[i][k];
                        inverse[r][k] -= factor * inverse[i][k];
                    }
                }
            }
            return inverse;
        }
    }

    private static double[][] rows(Tensor matrix) {
        int columns = (int) matrix.size(1);
        double[] values = Tensors.doubles(matrix);
        double[][] rows = new double[values.length / columns][];
        for (int r = 0; r < rows.length; r++) rows[r] = Arrays.copyOfRange(values, r * columns, (r + 1) * columns);
        return rows;
    }

    private static void compareWithBruteForce(Tensor weight, Tensor hessian, Gptq options) {
        var solution = options.solve("w", weight, hessian);
        var expected = new BruteForce(rows(weight), rows(hessian), options);
        double[][] latent = rows(solution.latent()), served = rows(solution.quantised());
        for (int r = 0; r < latent.length; r++) {
            assertThat(latent[r]).as("latents of row %d", r).containsExactly(expected.latent[r], within(2e-7));
            for (int j = 0; j < served[r].length; j++) {
                // Ranges fitted to compensated values may differ in their last bit.
                assertThat(served[r][j]).as("row %d, column %d", r, j).isCloseTo(expected.served[r][j], within(1e-7));
            }
        }
    }

    @Test
    void agreesWithBruteForceOnSmallMatrices() {
        Property.forAll(25, random -> Scope.run(() -> {
            GridSpec spec = GridTest.anySpec(random);
            boolean order = random.nextBoolean();
            boolean fixed = order || random.nextBoolean();
            ClipSearch search = ClipSearch.values()[random.nextInt(2)];
            compareWithBruteForce(GridTest.gaussian(random, 0.02, 3, 24), hessian(random, 24, 64), options(spec, search, order, fixed));
        }));
    }

    @Test
    void agreesWithBruteForceAcrossBlocks() {
        Scope.run(() -> {
            RandomStream random = new RandomStream(7);
            Tensor weight = GridTest.gaussian(random, 0.02, 2, 288);
            Tensor hessian = hessian(random, 288, 600);
            compareWithBruteForce(weight, hessian, options(spec(3, 96, false), ClipSearch.NONE, false, false));
            compareWithBruteForce(weight, hessian, options(spec(3, 144, true), ClipSearch.NONE, false, false));
            compareWithBruteForce(weight, hessian, options(spec(3, 96, false), ClipSearch.NONE, true, true));
        });
    }

    @Test
    void withoutCorrelationItRoundsToNearest() {
        Property.forAll(20, random -> Scope.run(() -> {
            GridSpec spec = GridTest.anySpec(random);
            ClipSearch search = ClipSearch.values()[random.nextInt(2)];
            Tensor weight = GridTest.gaussian(random, 0.02, 4, 24);
            var solution = options(spec, search, random.nextBoolean(), true).solve("w", weight, identity(24).mul(new Scalar(3.7)));
            assertThat(solution.codes().equal(Grid.fit(spec, weight, search).codes(weight))).isTrue();
            assertThat(solution.latent().equal(weight)).isTrue();
        }));
    }

    @Test
    void latentsQuantiseToTheCodesBitForBit() {
        Property.forAll(30, random -> Scope.run(() -> {
            GridSpec spec = GridTest.anySpec(random);
            Tensor weight = GridTest.gaussian(random, 0.02, 16, 24);
            var solution = options(spec, ClipSearch.values()[random.nextInt(2)], random.nextBoolean(), true).solve("w", weight, hessian(random, 24, 40));
            assertThat(solution.grid().codes(solution.latent()).equal(solution.codes())).isTrue();
            assertThat(solution.grid().fakeQuantise(solution.latent()).equal(solution.quantised())).isTrue();
            assertThat(solution.grid().dequantise(solution.codes()).equal(solution.quantised())).isTrue();
        }));
    }

    @Test
    void halfTheDampedOutputErrorIsTheLoss() {
        Scope.run(() -> {
            RandomStream random = new RandomStream(3);
            Tensor weight = GridTest.gaussian(random, 0.02, 8, 256);
            Tensor hessian = hessian(random, 256, 300);
            var solution = options(spec(3, 128, false), ClipSearch.MSE, true, true).solve("w", weight, hessian);
            double mean = Tensors.item(hessian.diagonal().mean());
            Tensor damped = hessian.add(identity(256).mul(new Scalar(0.01 * mean)));
            double error = outputError(weight, solution.quantised(), damped);
            assertThat(solution.loss()).isCloseTo(error / 2, within(1e-6 * error));
        });
    }

    @Test
    void outputErrorIsBelowThatOfRoundingToNearest() {
        Property.forAll(12, random -> Scope.run(() -> {
            GridSpec spec = spec(2 + random.nextInt(3), 128, random.nextBoolean());
            Tensor weight = GridTest.gaussian(random, 0.02, 16, 256);
            Tensor hessian = hessian(random, 256, 400);
            boolean order = random.nextBoolean();
            var solution = options(spec, ClipSearch.MSE, order, true).solve("w", weight, hessian);
            Tensor nearest = Grid.fit(spec, weight, ClipSearch.MSE).fakeQuantise(weight);
            assertThat(outputError(weight, solution.quantised(), hessian)).isLessThan(0.6 * outputError(weight, nearest, hessian));
        }));
    }

    @Test
    void unitOfTheInputsDoesNotMatter() {
        Scope.run(() -> {
            RandomStream random = new RandomStream(11);
            Tensor weight = GridTest.gaussian(random, 0.02, 8, 128);
            Tensor hessian = hessian(random, 128, 200);
            Gptq options = options(spec(3, 32, false), ClipSearch.MSE, true, true);
            var one = options.solve("w", weight, hessian);
            var other = options.solve("w", weight, hessian.mul(new Scalar(1234.5)));
            assertThat(other.codes().equal(one.codes())).isTrue();
        });
    }

    @Test
    void columnsWithoutInputBecomeZero() {
        Property.forAll(10, random -> Scope.run(() -> {
            Tensor weight = GridTest.gaussian(random, 0.02, 4, 24);
            Tensor hessian = hessian(random, 24, 64);
            int dead = random.nextInt(24);
            hessian.select(0, dead).zero_();
            hessian.select(1, dead).zero_();
            boolean order = random.nextBoolean();
            var solution = options(spec(3, 8, random.nextBoolean()), ClipSearch.MSE, order, order).solve("w", weight, hessian);
            assertThat(Tensors.floats(solution.quantised().select(1, dead).abs())).containsOnly(0f);
            assertThat(Tensors.item(solution.quantised().abs().sum())).isPositive();
        }));
    }

    @Test
    void singularHessiansAreDampedUntilTheyCanBeFactored() {
        Scope.run(() -> {
            RandomStream random = new RandomStream(5);
            Tensor weight = GridTest.gaussian(random, 0.02, 4, 24);
            // All ones, so rank 1, minus a little: all other eigenvalues are negative.
            Tensor singular = torch.ones(new long[] {24, 24}, Cpu.options(ScalarType.Double)).sub(identity(24).mul(new Scalar(2e-3)));
            Gptq none = new Gptq(spec(4, 0, true), ClipSearch.NONE, false, true, 0);
            var solution = none.solve("w", weight, singular);
            // Two tries fail; the third starts again from the clean matrix.
            double damping = 2 * 0.0015 * Tensors.item(singular.diagonal().mean());
            Tensor damped = singular.add(identity(24).mul(new Scalar(damping)));
            double error = outputError(weight, solution.quantised(), damped);
            assertThat(solution.loss()).isPositive().isCloseTo(error / 2, within(1e-6 * error));
        });
    }

    @Test
    void badInputIsAFailure() {
        Scope.run(() -> {
            Tensor weight = GridTest.gaussian(new RandomStream(1), 0.02, 4, 24);
            Gptq options = options(spec(4, 0, true), ClipSearch.NONE, true, true);
            assertThatThrownBy(() -> options.solve("the.weight", weight, identity(24).neg()))
                    .isInstanceOf(Failure.class)
                    .hasMessageContainingAll("the.weight", "Cholesky", "calibrate");
            Tensor damaged = identity(24);
            damaged.narrow(0, 3, 1).narrow(1, 4, 1).fill_(new Scalar(Double.NaN));
            assertThatThrownBy(() -> options.solve("the.weight", weight, damaged))
                    .isInstanceOf(Failure.class)
                    .hasMessageContainingAll("the.weight", "NaN");
            assertThatThrownBy(() -> options(spec(4, 7, true), ClipSearch.NONE, true, true).solve("the.weight", weight, identity(24)))
                    .isInstanceOf(Failure.class)
                    .hasMessageContainingAll("the.weight", "24", "7");
            assertThatThrownBy(() -> options(spec(4, 8, true), ClipSearch.NONE, true, false)).hasMessageContaining("staticGroups");
            assertThatThrownBy(() -> new Gptq(spec(4, 8, true), ClipSearch.NONE, true, true, Double.NaN)).hasMessageContaining("damping");
        });
    }

    @Test
    void leavesItsInputsAloneAndOnlyItsResultsBehind() {
        Scope.run(() -> {
            RandomStream random = new RandomStream(9);
            Tensor weight = GridTest.gaussian(random, 0.02, 6, 160);
            Tensor hessian = hessian(random, 160, 200);
            Tensor weightBefore = weight.clone(), hessianBefore = hessian.clone();
            Gptq dynamic = options(spec(3, 32, false), ClipSearch.MSE, false, false);
            Runnable once = () -> Scope.run(() -> dynamic.solve("w", weight, hessian));
            once.run();
            long before = Pointer.totalCount();
            for (int i = 0; i < 3; i++) once.run();
            assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
            dynamic.solve("w", weight, hessian);
            assertThat(Pointer.totalCount()).isEqualTo(before + 5);
            assertThat(weight.equal(weightBefore)).isTrue();
            assertThat(hessian.equal(hessianBefore)).isTrue();
        });
    }
}
