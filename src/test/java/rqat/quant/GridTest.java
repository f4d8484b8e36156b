package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import rqat.Failure;
import rqat.Property;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleType;
import rqat.run.RandomStream;
import rqat.tensor.Cpu;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

class GridTest {

    static Tensor gaussian(RandomStream random, double size, long rows, long columns) {
        float[] values = new float[Math.toIntExact(rows * columns)];
        for (int i = 0; i < values.length; i++) values[i] = (float) (size * random.nextGaussian());
        return Cpu.of(values, rows, columns);
    }

    /// Any format that divides 24 columns.
    static GridSpec anySpec(RandomStream random) {
        int[] groups = {0, 4, 8, 24};
        return new GridSpec(
                2 + random.nextInt(7),
                groups[random.nextInt(groups.length)],
                random.nextBoolean(),
                ScaleType.values()[random.nextInt(ScaleType.values().length)]);
    }

    private static ClipSearch anySearch(RandomStream random) {
        return ClipSearch.values()[random.nextInt(ClipSearch.values().length)];
    }

    private static double searchError(Grid grid, Tensor weight) {
        return Tensors.item(grid.fakeQuantise(weight).sub(weight).abs().to(ScalarType.Double).pow(new Scalar(2.4)).sum());
    }

    @Test
    void agreesWithOneElementAtATime() {
        Property.forAll(40, random -> Scope.run(() -> {
            GridSpec spec = anySpec(random);
            Tensor weight = gaussian(random, 0.02, 3, 24);
            Grid grid = Grid.fit(spec, weight, ClipSearch.NONE);
            // Values beyond the range that the grid was fitted to.
            Tensor wide = gaussian(random, 0.05, 3, 24);
            float[] w = Tensors.floats(wide), scale = Tensors.floats(grid.scale()), zero = Tensors.floats(grid.zero());
            long[] codes = Tensors.longs(grid.codes(wide));
            float[] served = Tensors.floats(grid.fakeQuantise(wide));
            int group = (int) spec.groupColumns(24);
            for (int i = 0; i < w.length; i++) {
                int g = i / group;
                double code = Math.rint(w[i] / scale[g]) + zero[g];
                long expected = (long) Math.min(Math.max(code, spec.minimum()), spec.maximum());
                assertThat(codes[i]).isEqualTo(expected);
                assertThat(served[i]).isEqualTo(scale[g] * (expected - zero[g]));
            }
        }));
    }

    @Test
    void fakeQuantisationIsDequantisedCodesAndChangesNothingTwice() {
        Property.forAll(60, random -> Scope.run(() -> {
            GridSpec spec = anySpec(random);
            Tensor weight = gaussian(random, Math.pow(10, random.nextInt(7) - 4), 5, 24);
            Grid grid = Grid.fit(spec, weight, anySearch(random));
            Tensor codes = grid.codes(weight);
            Tensor served = grid.fakeQuantise(weight);
            assertThat(grid.dequantise(codes).equal(served)).isTrue();
            assertThat(grid.codes(served).equal(codes)).isTrue();
            assertThat(grid.fakeQuantise(served).equal(served)).isTrue();
            long[] values = Tensors.longs(codes);
            for (long code : values) assertThat(code).isBetween((long) spec.minimum(), (long) spec.maximum());
            for (float zero : Tensors.floats(grid.zero())) {
                assertThat(zero).isBetween((float) spec.minimum(), (float) spec.maximum()).isEqualTo((float) Math.rint(zero));
            }
        }));
    }

    @Test
    void scalesAreRoundedAlikeWithAndWithoutLibtorch() {
        Property.forAll(20, random -> Scope.run(() -> {
            float[] special = {0, -0f, Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.MIN_VALUE, 0x1p-25f, 0x1.8p-24f, 65504, 65520, 0x1p119f};
            var scales = Arrays.copyOf(special, 1 << 16);
            for (int i = special.length; i < scales.length; i++) {
                int any = (int) random.nextLong();
                int off = random.nextInt(3) - 1;
                scales[i] = Float.intBitsToFloat(switch (i % 4) {
                    case 0 -> any;
                    case 1 -> (any & 0xffff0000 | 0x8000) + off; // halfway between two of bfloat16, or beside it
                    case 2 -> (inHalf(any) & 0xffffe000 | 0x1000) + off; // halfway between two of float16, or beside it
                    default -> inHalf(any);
                });
            }
            for (ScaleType type : ScaleType.values()) {
                float[] tensors = Tensors.floats(Grid.roundScale(type, Cpu.of(scales, scales.length)));
                for (int i = 0; i < scales.length; i++) {
                    int plain = Float.floatToIntBits(type.round(scales[i])), tensor = Float.floatToIntBits(tensors[i]);
                    if (plain != tensor) fail("%s: %x becomes %x and %x".formatted(type, Float.floatToIntBits(scales[i]), plain, tensor));
                }
            }
        }));
    }

    /// Positive and with an exponent of float16's range, or a little beyond.
    private static int inHalf(int bits) {
        return bits & 0x7fffff | 100 + (bits >>> 23 & 0xff) * 44 / 256 << 23;
    }

    @Test
    void scalesAreAlreadyRoundedToTheirStorageType() {
        Property.forAll(40, random -> Scope.run(() -> {
            GridSpec spec = anySpec(random);
            Grid grid = Grid.fit(spec, gaussian(random, 0.02, 4, 24), anySearch(random));
            assertThat(Grid.roundScale(spec.scaleType(), grid.scale()).equal(grid.scale())).isTrue();
            ScalarType stored = switch (spec.scaleType()) {
                case FLOAT32 -> ScalarType.Float;
                case BFLOAT16 -> ScalarType.BFloat16;
                case FLOAT16 -> ScalarType.Half;
            };
            assertThat(grid.scale().to(stored).to(ScalarType.Float).equal(grid.scale())).isTrue();
        }));
    }

    @Test
    void searchNeverIncreasesTheErrorThatItMinimises() {
        Property.forAll(40, random -> Scope.run(() -> {
            GridSpec spec = anySpec(random);
            Tensor weight = gaussian(random, 0.02, 4, 24);
            double full = searchError(Grid.fit(spec, weight, ClipSearch.NONE), weight);
            double searched = searchError(Grid.fit(spec, weight, ClipSearch.MSE), weight);
            assertThat(searched).isLessThanOrEqualTo(full * (1 + 1e-6));
        }));
    }

    /// Candidate by candidate with the power itself, bit for bit: groups of every size of value, some all zero, some on a grid already.
    @Test
    void searchChoosesWhatTheDefinitionChooses() {
        Property.forAll(30, random -> Scope.run(() -> {
            GridSpec spec = anySpec(random);
            GridSpec row = new GridSpec(spec.bits(), 0, spec.symmetric(), spec.scaleType());
            Tensor weight = gaussian(random, Math.pow(10, random.nextInt(12) - 8), 6, 24);
            weight.narrow(0, 0, 1).zero_();
            weight.narrow(0, 1, 1).copy_(Grid.fit(row, weight.narrow(0, 1, 1), ClipSearch.NONE).fakeQuantise(weight.narrow(0, 1, 1)));
            Grid found = Grid.fit(row, weight, ClipSearch.MSE);
            for (int r = 0; r < 6; r++) {
                Tensor values = weight.narrow(0, r, 1);
                Grid best = null;
                double smallest = Double.POSITIVE_INFINITY;
                for (int step = 0; step < 80; step++) {
                    Grid candidate = shrunk(row, values, (float) (1 - step / 100.0));
                    double error = Tensors.item(candidate.fakeQuantise(values).sub(values).abs().pow(new Scalar(2.4)).sum());
                    if (error < smallest) {
                        smallest = error;
                        best = candidate;
                    }
                }
                assertThat(Tensors.floats(found.scale())[r]).isEqualTo(Tensors.floats(best.scale())[0]);
                assertThat(Tensors.floats(found.zero())[r]).isEqualTo(Tensors.floats(best.zero())[0]);
            }
        }));
    }

    /// The grid of one row whose range is shrunk to a part of it, one float at a time.
    private static Grid shrunk(GridSpec spec, Tensor row, float factor) {
        float low = 0, high = 0;
        for (float value : Tensors.floats(row)) {
            low = Math.min(low, value);
            high = Math.max(high, value);
        }
        if (spec.symmetric()) {
            Tensor scale = Cpu.of(new float[] {Math.max(Math.max(-low, high), 1e-5f) * factor / spec.maximum()}, 1, 1);
            return new Grid(spec, Grid.roundScale(spec.scaleType(), scale), Cpu.zeros(ScalarType.Float, 1, 1));
        }
        if (low == high) {
            low = -1;
            high = 1;
        }
        Tensor scale = Grid.roundScale(spec.scaleType(), Cpu.of(new float[] {(high * factor - low * factor) / spec.maximum()}, 1, 1));
        float zero = (float) -Math.rint(low * factor / Tensors.floats(scale)[0]);
        return new Grid(spec, scale, Cpu.of(new float[] {Math.min(Math.max(zero, 0), spec.maximum())}, 1, 1));
    }

    @Test
    void rangesThatTouchNoGrid() {
        Scope.run(() -> {
            for (int bits = 2; bits <= 8; bits++) {
                GridSpec asymmetric = new GridSpec(bits, 4, false, ScaleType.FLOAT32);
                Tensor zeros = Cpu.zeros(ScalarType.Float, 1, 4);
                Grid ofZeros = Grid.fit(asymmetric, zeros, ClipSearch.NONE);
                assertThat(Tensors.floats(ofZeros.scale())).containsExactly(2f / asymmetric.maximum());
                assertThat(ofZeros.fakeQuantise(zeros).equal(zeros)).isTrue();
                for (double constant : new double[] {0.0125, -0.03125}) {
                    Tensor same = Cpu.full(ScalarType.Float, constant, 1, 4);
                    for (ClipSearch search : List.of(ClipSearch.NONE, ClipSearch.MSE)) {
                        Tensor served = Grid.fit(asymmetric, same, search).fakeQuantise(same);
                        assertThat(QuantFixtures.relativeDifference(same, served)).isLessThan(1e-6);
                    }
                }
            }
        });
    }

    @Test
    void aTightRangeNeedNotHoldZero() {
        Scope.run(() -> {
            GridSpec asymmetric = new GridSpec(2, 0, false, ScaleType.FLOAT32);
            // Two one-sided rows and one with zero inside, where tight is the full range.
            Tensor weight = Cpu.of(new float[] {2, 3, 4, 5, -5, -4, -3, -2, -1, 0, 1, 2}, 3, 4);
            Grid tight = Grid.fit(asymmetric, weight, ClipSearch.TIGHT);
            assertThat(Tensors.floats(tight.scale())).containsExactly(1, 1, 1);
            assertThat(Tensors.floats(tight.zero())).containsExactly(0, 3, 1);
            assertThat(Tensors.floats(tight.fakeQuantise(weight))).containsExactly(2, 3, 3, 3, -3, -3, -3, -2, -1, 0, 1, 2);
            GridSpec symmetric = new GridSpec(2, 0, true, ScaleType.FLOAT32);
            assertThat(Grid.fit(symmetric, weight, ClipSearch.TIGHT).scale().equal(Grid.fit(symmetric, weight, ClipSearch.NONE).scale())).isTrue();
        });
    }

    @Test
    void symmetricThreeBitsHoldMinusThreeToThree() {
        Scope.run(() -> {
            GridSpec spec = new GridSpec(3, 0, true, ScaleType.FLOAT32);
            Tensor weight = Cpu.of(new float[] {-3, -2, -1, 0, 1, 2, 3}, 1, 7).mul(new Scalar(0.25));
            Grid grid = Grid.fit(spec, weight, ClipSearch.NONE);
            assertThat(grid.fakeQuantise(weight).equal(weight)).isTrue();
            assertThat(Tensors.longs(grid.codes(weight))).containsExactly(-3, -2, -1, 0, 1, 2, 3);
            // A latent that grew reaches the lowest code of a fixed grid, and no further.
            assertThat(Tensors.longs(grid.codes(weight.mul(new Scalar(2.0))))).containsExactly(-4, -4, -2, 0, 2, 3, 3);
        });
    }

    @ParameterizedTest
    @EnumSource(ScaleType.class)
    void extremeValuesStayFinite(ScaleType scaleType) {
        Scope.run(() -> {
            float[] extremes = {Float.MIN_VALUE, 1e-30f, 1e-7f, 1e6f, Float.MAX_VALUE};
            for (float extreme : extremes) {
                for (boolean symmetric : new boolean[] {true, false}) {
                    for (ClipSearch search : ClipSearch.values()) {
                        Tensor weight = Cpu.of(new float[] {extreme, -extreme, 0, extreme / 2}, 1, 4);
                        Grid grid = Grid.fit(new GridSpec(8, 0, symmetric, scaleType), weight, search);
                        assertThat(Tensors.item(grid.scale())).isPositive().isFinite();
                        for (float served : Tensors.floats(grid.fakeQuantise(weight))) assertThat(served).isFinite();
                    }
                }
            }
        });
    }

    @Test
    void masksFollowTheRules() {
        Scope.run(() -> {
            Grid grid = new Grid(
                    new GridSpec(2, 0, false, ScaleType.FLOAT32),
                    Cpu.of(new float[] {0.5f}, 1, 1),
                    Cpu.of(new float[] {1}, 1, 1));
            // The grid ends at codes 0 and 3: at -0.5 and 1.0.
            Tensor weight = Cpu.of(new float[] {-0.8f, -0.7f, -0.5f, 0, 1, 1.2f, 1.3f}, 1, 7);
            assertThat(Tensors.longs(grid.mask(weight, MaskRule.HALF_STEP))).containsExactly(0, 1, 1, 1, 1, 1, 0);
            assertThat(Tensors.longs(grid.mask(weight, MaskRule.STRICT))).containsExactly(0, 0, 1, 1, 1, 0, 0);
        });
    }

    /// The closed form against automatic differentiation of the detach trick.
    @Test
    void scaleGradientIsThatOfTheStraightThroughGraph() {
        Property.forAll(30, random -> Scope.run(() -> {
            GridSpec spec = anySpec(random);
            Grid grid = Grid.fit(spec, gaussian(random, 0.02, 3, 24), ClipSearch.NONE);
            Tensor weight = gaussian(random, 0.04, 3, 24);
            Tensor gradient = gaussian(random, 1, 3, 24);
            Tensor scale = grid.scale().clone().set_requires_grad(true);
            Tensor wide = scale.unsqueeze(-1);
            Tensor steps = weight.view(3, -1, spec.groupColumns(24)).div(wide);
            Tensor rounded = steps.add(steps.round().sub(steps).detach()).add(grid.zero().unsqueeze(-1));
            Tensor served = Tensors.clamp(rounded, spec.minimum(), spec.maximum()).sub(grid.zero().unsqueeze(-1)).mul(wide);
            served.mul(gradient.view(3, -1, spec.groupColumns(24))).sum().backward();
            assertThat(QuantFixtures.relativeDifference(scale.grad(), grid.scaleGradient(weight, gradient))).isLessThan(1e-5);
        }));
    }

    @Test
    void badInputIsNamed() {
        Scope.run(() -> {
            GridSpec spec = new GridSpec(3, 128, true, ScaleType.FLOAT32);
            assertThatThrownBy(() -> Grid.check(spec, "model.layers.0.mlp.up_proj.weight", Cpu.zeros(ScalarType.Float, 2, 192)))
                    .isInstanceOf(Failure.class)
                    .hasMessageContainingAll("model.layers.0.mlp.up_proj.weight", "192", "128")
                    .extracting(e -> ((Failure) e).kind())
                    .isEqualTo(Failure.Kind.USAGE);
            for (double bad : new double[] {Double.NaN, Double.NEGATIVE_INFINITY}) {
                Tensor weight = Cpu.zeros(ScalarType.Float, 2, 128);
                weight.narrow(0, 1, 1).narrow(1, 5, 1).fill_(new Scalar(bad));
                assertThatThrownBy(() -> Grid.check(spec, "lm", weight))
                        .isInstanceOf(Failure.class)
                        .hasMessageContainingAll("lm", "NaN")
                        .extracting(e -> ((Failure) e).kind())
                        .isEqualTo(Failure.Kind.BAD_FILE);
            }
            assertThatThrownBy(() -> new GridSpec(9, 128, true, ScaleType.FLOAT32)).hasMessageContaining("2 to 8");
            assertThatThrownBy(() -> new GridSpec(4, -1, true, ScaleType.FLOAT32)).hasMessageContaining("groupSize");
        });
    }

    @Test
    void leavesOnlyItsResults() {
        Scope.run(() -> {
            Tensor weight = gaussian(new RandomStream(1), 0.02, 16, 256);
            GridSpec spec = new GridSpec(3, 128, false, ScaleType.BFLOAT16);
            Runnable once = () -> Scope.run(() -> {
                Grid grid = Grid.fit(spec, weight, ClipSearch.MSE);
                grid.fakeQuantise(weight);
                grid.codes(weight);
                grid.mask(weight, MaskRule.STRICT);
                grid.scaleGradient(weight, weight);
            });
            once.run();
            long before = Pointer.totalCount();
            for (int i = 0; i < 3; i++) once.run();
            assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
            Grid.fit(spec, weight, ClipSearch.MSE);
            assertThat(Pointer.totalCount()).isEqualTo(before + 2);
        });
    }

    /// Chunks of rows in the search are an implementation detail.
    @Test
    void searchOfManyRowsEqualsThatOfEach() {
        Scope.run(() -> {
            GridSpec spec = new GridSpec(2, 128, false, ScaleType.FLOAT32);
            Tensor weight = gaussian(new RandomStream(2), 0.02, 5000, 256);
            Grid whole = Grid.fit(spec, weight, ClipSearch.MSE);
            for (long row : new long[] {0, 4095, 4096, 4999}) {
                Grid single = Grid.fit(spec, weight.narrow(0, row, 1), ClipSearch.MSE);
                assertThat(whole.scale().narrow(0, row, 1).equal(single.scale())).isTrue();
                assertThat(whole.zero().narrow(0, row, 1).equal(single.zero())).isTrue();
            }
            assertThat(torch.isfinite(whole.scale()).all().item_bool()).isTrue();
        });
    }
}
