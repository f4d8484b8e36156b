package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.function.ToDoubleFunction;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Property;
import rqat.format.GridSpec;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.format.Site;
import rqat.run.RandomStream;
import rqat.tensor.Cpu;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

class AwqSearchTest {
    private static final GridSpec SPEC = new GridSpec(3, 8, false, ScaleType.FLOAT32);

    @TempDir
    Path directory;

    private static Tensor gaussian(RandomStream random, long rows, long columns) {
        float[] values = new float[(int) (rows * columns)];
        for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
        return Cpu.of(values, rows, columns);
    }

    /// Every candidate of every group by the definition: the squared difference of its part of the output, token by token.
    @Test
    void limitsMinimiseTheOutputErrorOfTheirGroup() {
        Property.forAll(10, random -> Scope.run(() -> {
            Tensor weight = gaussian(random, 5, 16), inputs = gaussian(random, 20, 16);
            float[] limits = Tensors.floats(AwqSearch.limits(SPEC, weight, inputs));
            for (int row = 0; row < 5; row++) {
                for (int group = 0; group < 2; group++) {
                    Tensor part = weight.narrow(0, row, 1).narrow(1, 8 * group, 8), seen = inputs.narrow(1, 8 * group, 8);
                    float full = (float) Tensors.item(part.abs().max());
                    ToDoubleFunction<Float> error = limit -> {
                        Tensor clipped = Tensors.clamp(part, -limit, limit);
                        Tensor served = Grid.fit(new GridSpec(3, 0, false, ScaleType.FLOAT32), clipped, ClipSearch.TIGHT).fakeQuantise(clipped);
                        return Tensors.item(seen.matmul(served.sub(part).t()).to(ScalarType.Double).square().sum());
                    };
                    double found = error.applyAsDouble(limits[2 * row + group]);
                    for (int i = 0; i < 10; i++) {
                        assertThat(found).isLessThanOrEqualTo(error.applyAsDouble(full * (float) (1 - i / 20.0)) * (1 + 1e-4));
                    }
                }
            }
        }));
    }

    @Test
    void scalesFollowTheMagnitudesAndTheFirstSmallestLossWins() {
        Scope.run(() -> {
            Tensor magnitudes = Cpu.of(new float[] {1, 4, 16}, 3);
            List<double[]> seen = new ArrayList<>();
            AwqSearch.Scaling scaling = AwqSearch.scaling(magnitudes, scale -> {
                seen.add(Tensors.doubles(scale));
                return seen.size() == 11 || seen.size() == 13 ? 1 : 2;
            });
            assertThat(seen).hasSize(20);
            assertThat(seen.getFirst()).containsExactly(1, 1, 1);
            assertThat(scaling.best()).isEqualTo(10);
            // Ratio 0.5: 1, 2, 4 over the root of 4.
            assertThat(Tensors.doubles(scaling.scale())).containsExactly(new double[] {0.5, 1, 2}, within(1e-6));
        });
    }

    @Test
    void aModelKeepsItsOutputsBetterThanByRoundingToNearest() {
        try (QuantisedModel model = TinyModel.fullPrecision(TinyModel.source(directory), 1)) {
            // Some channels of the residual stream are loud, as in real models.
            Scope.run(() -> model.latents().get("model.embed_tokens.weight").narrow(1, 3, 2).mul_(Cpu.full(ScalarType.Float, 20, 1)));
            Method awq = new Awq(new GridSpec(3, 16, false, ScaleType.FLOAT32));
            Method nearest = new RoundToNearest(awq.grid(), ClipSearch.TIGHT);
            assertThat(error(model, awq)).isLessThan(0.7 * error(model, nearest));
        }
    }

    private static double error(QuantisedModel model, Method method) {
        try (QuantisedModel quantised = TinyModel.quantise(model, method)) {
            assertThat(quantised.scaleMode()).isEqualTo(ScaleMode.STATIC);
            return QuantisedModels.relativeError(model, quantised, TinyModel.windows(model.config(), 12, 99));
        }
    }

    @Test
    void outputIsScaledBehindValueOnlyWhereTheyHaveOneShape() {
        try (QuantisedModel model = TinyModel.fullPrecision(TinyModel.source(directory), 1)) {
            AwqSearch.run(model.config(), copies(model), model.weights(ScalarType.Float), TinyModel.windows(model.config(), 4, 1), SPEC,
                    Calibration.Listener.NONE,
                    block -> assertThat(block.scalings().keySet()).containsExactly(Site.ATTENTION_INPUT, Site.MLP_INPUT, Site.MLP_HIDDEN));
        }
    }

    private static LinkedHashMap<String, Tensor> copies(QuantisedModel model) {
        var copies = new LinkedHashMap<String, Tensor>();
        model.latents().forEach((name, latent) -> copies.put(name, latent.clone()));
        return copies;
    }
}
