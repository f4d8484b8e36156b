package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.format.GridSpec;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.Sites;
import rqat.model.Weights;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Calibration and the methods on a tiny random model.
class QuantiserTest {
    @TempDir
    Path directory;

    private QuantisedModel model;

    @BeforeEach
    void makeModel() {
        model = TinyModel.fullPrecision(TinyModel.source(directory), 1);
    }

    @AfterEach
    void closeModel() {
        model.close();
    }

    private int[][] windows() {
        return TinyModel.windows(model.config(), 24, 4);
    }

    private static void close(Weights weights) {
        weights.all().values().forEach(Tensor::close);
    }

    /// Squared difference of the final hidden states on the windows, relative to their squared size.
    private double modelError(QuantisedModel quantised, int[][] windows) {
        Weights exact = model.weights(ScalarType.Float), served = quantised.weights(ScalarType.Float);
        try {
            double error = 0, size = 0;
            for (int[] window : windows) {
                double[] sums = Grad.off(() -> Scope.get(() -> {
                    Tensor ids = Cpu.of(window, 1, window.length);
                    Tensor expected = new Decoder(model.config(), exact).hidden(ids);
                    Tensor actual = new Decoder(model.config(), served).hidden(ids);
                    return new double[] {Tensors.item(actual.sub(expected).square().sum()), Tensors.item(expected.square().sum())};
                }));
                error += sums[0];
                size += sums[1];
            }
            return error / size;
        } finally {
            close(exact);
            close(served);
        }
    }

    @Test
    void gptqKeepsTheModelsOutputBetterThanRoundingToNearest() {
        try (QuantisedModel gptq = TinyModel.quantise(model, TinyModel.gptq(3));
                QuantisedModel nearest = TinyModel.quantise(
                        model, new RoundToNearest(TinyModel.gptq(3).grid(), ClipSearch.MSE))) {
            assertThat(modelError(gptq, windows())).isLessThan(0.7 * modelError(nearest, windows()));
            int[][] heldOut = TinyModel.windows(model.config(), 12, 99);
            assertThat(modelError(gptq, heldOut)).isLessThan(modelError(nearest, heldOut));
        }
    }

    @Test
    void trainingStartsAtTheCompressedModel() {
        for (Method method : new Method[] {
            TinyModel.gptq(2),
            TinyModel.roundToNearest(3),
            new RoundToNearest(TinyModel.gptq(3).grid(), ClipSearch.MSE),
            new Gptq(new GridSpec(4, 0, true, ScaleType.FLOAT16), ClipSearch.NONE, false, false, 0.05)
        }) {
            try (QuantisedModel quantised = TinyModel.quantise(model, method)) {
                assertThat(quantised.grids()).hasSize(14);
                quantised.grids().forEach((name, grid) -> Scope.run(() -> {
                    Tensor codes = grid.codes(quantised.latents().get(name));
                    assertThat(grid.dequantise(codes).equal(quantised.projected(name))).isTrue();
                    // A projection refits dynamic grids: to what they were.
                    assertThat(grid.codes(quantised.latents().get(name)).equal(codes)).isTrue();
                }));
            }
        }
    }

    @Test
    void modesFollowFromTheMethods() {
        try (QuantisedModel gptq = TinyModel.quantise(model, TinyModel.gptq(3));
                QuantisedModel nearest = TinyModel.quantise(model, TinyModel.roundToNearest(3))) {
            assertThat(gptq.scaleMode()).isEqualTo(ScaleMode.STATIC);
            assertThat(nearest.scaleMode()).isEqualTo(ScaleMode.DYNAMIC);
            String name = Linear.UP.weight(1);
            nearest.latents().forEach((key, latent) -> assertThat(latent.equal(model.latents().get(key))).isTrue());
            assertThat(gptq.latents().get(name).equal(model.latents().get(name))).isFalse();
            Scope.run(() -> {
                Tensor scale = nearest.grids().get(name).scale();
                Tensor before = scale.clone();
                nearest.latents().get(name).mul_(new Scalar(2.0));
                nearest.projected(name);
                assertThat(scale.equal(before.mul(new Scalar(2.0)))).isTrue();
                Tensor fixed = gptq.grids().get(name).scale();
                before.copy_(fixed);
                gptq.latents().get(name).mul_(new Scalar(2.0));
                gptq.projected(name);
                assertThat(fixed.equal(before)).isTrue();
            });
        }
    }

    /// Every map must see the inputs that it will see in the compressed model: the Hessians are checked against those of forward passes over
    /// the final model, in which all earlier maps are quantised.
    @Test
    void everyMapIsCalibratedOnWhatTheCompressedModelFeedsIt() {
        List<Tensor> seen = new ArrayList<>();
        Weights weights = model.weights(ScalarType.Float);
        GridSpec spec = TinyModel.gptq(3).grid();
        Calibration.run(model.config(), weights, windows(), (layer, linear, hessian) -> {
            seen.add(Scope.own(hessian::clone));
            Tensor weight = weights.get(linear.weight(layer));
            return Grid.fit(spec, weight, ClipSearch.NONE).fakeQuantise(weight);
        });
        assertThat(seen).hasSize(14);
        for (int layer = 0; layer < 2; layer++) {
            for (Linear linear : Linear.values()) {
                Tensor expected = hessianOf(weights, layer, linear);
                Tensor actual = seen.get(7 * layer + linear.ordinal());
                assertThat(QuantFixtures.relativeDifference(expected, actual)).as("%s of block %d", linear, layer).isLessThan(1e-5);
                expected.close();
            }
        }
        seen.forEach(Tensor::close);
        close(weights);
    }

    /// One window at a time, through the whole decoder.
    private Tensor hessianOf(Weights weights, int block, Linear linear) {
        try (Hessian hessian = new Hessian(Place.cpu(ScalarType.Float), model.config().inputs(linear))) {
            Sites sites = new Sites() {
                private Tensor look(int layer, Tensor x, Linear... maps) {
                    if (layer == block && Arrays.asList(maps).contains(linear)) hessian.add(x);
                    return x;
                }

                @Override
                public Tensor attentionInput(int layer, Tensor x) {
                    return look(layer, x, Linear.QUERY, Linear.KEY, Linear.VALUE);
                }

                @Override
                public Tensor attentionOutput(int layer, Tensor x) {
                    return look(layer, x, Linear.OUTPUT);
                }

                @Override
                public Tensor mlpInput(int layer, Tensor x) {
                    return look(layer, x, Linear.GATE, Linear.UP);
                }

                @Override
                public Tensor mlpHidden(int layer, Tensor x) {
                    return look(layer, x, Linear.DOWN);
                }
            };
            for (int[] window : windows()) {
                Grad.off(() -> Scope.run(
                        () -> new Decoder(model.config(), weights, sites).hidden(Cpu.of(window, 1, window.length))));
            }
            return hessian.mean();
        }
    }

    @Test
    void progressNamesEveryMapOnceWithItsError() {
        List<Quantisation.Step> steps = new ArrayList<>();
        Quantiser.quantise(model, TinyModel.gptq(4), windows(), ScalarType.Float, steps::add).close();
        assertThat(steps).extracting(Quantisation.Step::done).containsExactly(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);
        assertThat(steps).extracting(Quantisation.Step::total).containsOnly(14);
        assertThat(steps).extracting(Quantisation.Step::tensor).doesNotHaveDuplicates().contains(Linear.DOWN.weight(1));
        assertThat(steps).allSatisfy(step -> assertThat(step.relativeError()).isBetween(1e-6, 0.05));

        List<Quantisation.Step> nearest = new ArrayList<>();
        try (QuantisedModel quantised = Quantiser.quantise(
                model, TinyModel.roundToNearest(4), new int[0][], ScalarType.Float, nearest::add)) {
            String name = nearest.get(3).tensor();
            double error = Scope.get(() -> QuantFixtures.relativeDifference(model.latents().get(name), quantised.projected(name)));
            assertThat(nearest.get(3).relativeError()).isCloseTo(error * error, within(1e-6));
        }
    }

    @Test
    void isDeterministicAndDoesNotDependOnTheOrderOfWindows() {
        int[][] reversed = windows();
        for (int i = 0; i < reversed.length / 2; i++) {
            int[] swapped = reversed[i];
            reversed[i] = reversed[reversed.length - 1 - i];
            reversed[reversed.length - 1 - i] = swapped;
        }
        try (QuantisedModel one = TinyModel.quantise(model, TinyModel.gptq(3));
                QuantisedModel again = TinyModel.quantise(model, TinyModel.gptq(3));
                QuantisedModel other = Quantiser.quantise(model, TinyModel.gptq(3), reversed, ScalarType.Float, _ -> {})) {
            one.latents().forEach((name, latent) -> {
                assertThat(latent.equal(again.latents().get(name))).as(name).isTrue();
                assertThat(QuantFixtures.largestDifference(latent, other.latents().get(name))).as(name).isLessThan(1e-2);
            });
        }
    }

    @Test
    void calibratesInBfloat16() {
        try (QuantisedModel quantised =
                Quantiser.quantise(model, TinyModel.gptq(4), windows(), ScalarType.BFloat16, _ -> {})) {
            assertThat(modelError(quantised, windows())).isLessThan(0.05);
            assertThat(Tensors.type(quantised.latents().get(Linear.DOWN.weight(0)))).isEqualTo(ScalarType.Float);
        }
    }

    @Test
    void badInputIsAFailureBeforeAnyWork() {
        List<Quantisation.Step> steps = new ArrayList<>();
        Method wide = Gptq.paper(3);
        assertThatThrownBy(() -> Quantiser.quantise(model, wide, windows(), ScalarType.Float, steps::add))
                .isInstanceOf(Failure.class)
                .hasMessageContainingAll("model.layers.0.self_attn.q_proj.weight", "32", "128");
        Method fitting = TinyModel.gptq(3);
        assertThatThrownBy(() -> Quantiser.quantise(model, fitting, new int[0][], ScalarType.Float, steps::add))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("no window");
        assertThatThrownBy(() -> Quantiser.quantise(model, fitting, new int[][] {{1, 2}, {}}, ScalarType.Float, steps::add))
                .isInstanceOf(Failure.class)
                .hasMessageContainingAll("window 1", "0 tokens");
        assertThatThrownBy(() -> Quantiser.quantise(model, fitting, new int[][] {new int[65]}, ScalarType.Float, steps::add))
                .isInstanceOf(Failure.class)
                .hasMessageContainingAll("65 tokens", "64");
        assertThatThrownBy(() -> Quantiser.quantise(model, fitting, new int[][] {{1, 53}}, ScalarType.Float, steps::add))
                .isInstanceOf(Failure.class)
                .hasMessageContainingAll("token 53", "vocabulary has 53");
        try (QuantisedModel quantised = TinyModel.quantise(model, fitting)) {
            assertThatThrownBy(() -> TinyModel.quantise(quantised, fitting)).isInstanceOf(Failure.class).hasMessageContaining("already");
        }
        Scope.run(() -> model.latents().get(Linear.GATE.weight(1)).narrow(0, 0, 1).fill_(new Scalar(Double.NaN)));
        assertThatThrownBy(() -> Quantiser.quantise(model, fitting, windows(), ScalarType.Float, steps::add))
                .isInstanceOf(Failure.class)
                .hasMessageContainingAll(Linear.GATE.weight(1), "NaN");
        assertThat(steps).isEmpty();
    }

    @Test
    void anInterruptionStopsTheCalibration() {
        List<Quantisation.Step> steps = new ArrayList<>();
        Thread.currentThread().interrupt();
        assertThatThrownBy(() -> Quantiser.quantise(model, TinyModel.gptq(3), windows(), ScalarType.Float, steps::add))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.INTERRUPTED));
        assertThat(steps).isEmpty();
        assertThat(Thread.interrupted()).isFalse();
        assertThatThrownBy(() -> Quantiser.quantise(model, TinyModel.gptq(3), windows(), ScalarType.Float, step -> {
            if (step.done() == 5) Thread.currentThread().interrupt();
        })).isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.INTERRUPTED));
        assertThat(Thread.interrupted()).isFalse();
    }

    @Test
    void memoryStaysFlat() {
        Runnable once = () -> TinyModel.quantise(model, TinyModel.gptq(3)).close();
        once.run();
        long before = Pointer.totalCount();
        once.run();
        TinyModel.quantise(model, TinyModel.roundToNearest(3)).close();
        assertThatThrownBy(() -> Quantiser.quantise(model, TinyModel.gptq(3), new int[][] {{1, 53}}, ScalarType.Float, _ -> {}));
        assertThatThrownBy(() -> Quantiser.quantise(model, TinyModel.gptq(3), windows(), ScalarType.Float, step -> {
            if (step.done() == 5) throw Failure.interrupted("stop");
        }));
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
    }
}
