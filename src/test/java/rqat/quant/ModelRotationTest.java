package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.format.Provenance;
import rqat.format.ActivationFormat;
import rqat.format.ActivationSpec;
import rqat.format.GridSpec;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Weights;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Rotated models of awkward shapes.
class ModelRotationTest {
    @TempDir
    Path directory;

    /// Widths without a power of two, heads without a Hadamard matrix (3), head dimensions that are not hidden size over heads, biases at
    /// every map, tied and own heads, one shard and more.
    @ParameterizedTest
    @CsvSource({
        "24, 48, 3, 3, 8, llama, true, true, 1",
        "24, 96, 4, 2, 12, llama, true, false, 2",
        "76, 152, 4, 2, 20, qwen3, false, true, 1",
        "40, 112, 12, 4, 4, qwen2, false, true, 1",
        "40, 112, 12, 4, 4, qwen2, false, true, 4",
        "52, 80, 1, 1, 2, qwen3, false, false, 1"
    })
    void rotationChangesNothing(
            int hidden, int intermediate, int heads, int keyValueHeads, int dimension, String family, boolean biases, boolean tied, int shards)
            throws IOException {
        try (QuantisedModel model = TinyModel.fullPrecision(source(hidden, intermediate, heads, keyValueHeads, dimension, family, biases, tied), 3)) {
            var format = new ActivationFormat(Map.of(), shards);
            ModelRotation.Rotated rotated = ModelRotation.rotate(model.config(), model.latents(), format, 7);
            assertThat(rotated.config().tiedEmbeddings()).isFalse();
            assertThat(rotated.latents().keySet()).containsExactlyElementsOf(rotated.config().tensors().keySet());
            Grad.off(() -> Scope.run(() -> {
                Decoder before = new Decoder(model.config(), new Weights(model.latents()));
                Decoder after = new Decoder(rotated.config(), new Weights(rotated.latents()), rotated.sites());
                for (int[] window : TinyModel.windows(model.config(), 3, 5)) {
                    Tensor ids = Cpu.of(window, 1, window.length);
                    Tensor expected = before.logits(before.hidden(ids)), actual = after.logits(after.hidden(ids));
                    assertThat(Tensors.item(actual.sub(expected).abs().max())).isLessThan(1e-3);
                }
                Tensor norm = rotated.latents().get(ModelConfig.mlpNorm(1));
                assertThat(norm.equal(norm.new_ones(Tensors.shape(norm)))).isTrue();
            }));
            rotated.latents().values().forEach(Tensor::close);
            rotated.sites().close();
        }
    }

    private Path source(
            int hidden, int intermediate, int heads, int keyValueHeads, int dimension, String family, boolean biases, boolean tied)
            throws IOException {
        Files.writeString(directory.resolve("config.json"), """
                {"model_type": "%s", "vocab_size": 53, "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": 2,
                 "num_attention_heads": %d, "num_key_value_heads": %d, "head_dim": %d, "max_position_embeddings": 64, "rms_norm_eps": 1e-6,
                 "rope_theta": 10000, "hidden_act": "silu", "attention_bias": %b, "mlp_bias": %b, "tie_word_embeddings": %b}
                """.formatted(family, hidden, intermediate, heads, keyValueHeads, dimension, biases || family.equals("qwen2"), biases, tied));
        return directory;
    }

    @Test
    void widthsWithoutARotationAreNamed() throws IOException {
        try (QuantisedModel model = TinyModel.fullPrecision(source(24, 92, 4, 2, 12, "llama", false, true), 1)) {
            assertThatThrownBy(() -> TinyModel.quantise(model, QuaRot.paper(4, 1)))
                    .isInstanceOf(Failure.class)
                    .hasMessageContaining("width of 92")
                    .hasMessageContaining("flatquant");
            assertThatThrownBy(() -> TinyModel.quantise(model, QuaRot.paper(4, 3)))
                    .isInstanceOf(Failure.class)
                    .hasMessageContaining("3 shards do not divide");
        }
    }

    @Test
    void quantisedModelsComeBackFromDisk() throws IOException {
        Path source = source(24, 96, 4, 2, 12, "qwen3", false, true);
        for (int shards : new int[] {1, 4}) {
            Path saved = directory.resolve("saved-" + shards);
            try (QuantisedModel model = TinyModel.fullPrecision(source, 1);
                    QuantisedModel quantised = TinyModel.quantise(model, QuaRot.paper(4, shards))) {
                assertThat(quantised.grids().get(Linear.DOWN.weight(0)).scale().size(1)).isEqualTo(shards);
                assertThat(quantised.grids().get(Linear.UP.weight(0)).scale().size(1)).isEqualTo(1);
                ModelDirectory.save(quantised, saved, source, Provenance.UNKNOWN);
                assertThat(ModelConfig.load(saved)).isEqualTo(model.config().untied());
                assertThat(Files.readString(saved.resolve("config.json"))).contains("\"max_position_embeddings\" : 64");
                try (QuantisedModel read = ModelDirectory.load(saved)) {
                    assertThat(read.method()).isEqualTo(quantised.method());
                    quantised.latents().forEach((name, latent) -> assertThat(read.latents().get(name).equal(latent)).isTrue());
                    assertThat(read.sites().format()).isEqualTo(quantised.sites().format());
                }
            }
        }
    }

    @Test
    void outliersHurtLessAfterRotation() throws IOException {
        try (QuantisedModel model = TinyModel.fullPrecision(source(48, 96, 4, 2, 12, "qwen3", false, false), 1)) {
            // Loud channels in the residual stream and behind each up map.
            Scope.run(() -> {
                model.latents().get(ModelConfig.EMBEDDING).narrow(1, 3, 2).mul_(new Scalar(30.0));
                for (int layer = 0; layer < 2; layer++) model.latents().get(Linear.UP.weight(layer)).narrow(0, 5, 1).mul_(new Scalar(30.0));
            });
            var weights = new RoundToNearest(new GridSpec(8, 0, true, ScaleType.FLOAT32), ClipSearch.NONE);
            var inputs = new ActivationSpec(4, false, 1);
            try (QuantisedModel rotated = TinyModel.quantise(model, new QuaRot(weights, inputs, inputs, 1, 0));
                    QuantisedModel plain = TinyModel.quantise(model, weights)) {
                assertThat(rotated.scaleMode()).isEqualTo(ScaleMode.DYNAMIC);
                double rotatedError = error(model, rotated, rotated.sites());
                double plainError = error(model, plain, new ActivationSites(model.config(), rotated.sites().format(), new LinkedHashMap<>()));
                assertThat(rotatedError).isLessThan(0.7 * plainError);
            }
        }
    }

    private static double error(QuantisedModel expected, QuantisedModel actual, ActivationSites sites) {
        Weights exact = expected.weights(ScalarType.Double), served = actual.weights(ScalarType.Double);
        double[] sums = Grad.off(() -> Scope.get(() -> {
            double error = 0, size = 0;
            for (int[] window : TinyModel.windows(expected.config(), 8, 99)) {
                Tensor ids = Cpu.of(window, 1, window.length);
                Decoder reference = new Decoder(expected.config(), exact), found = new Decoder(actual.config(), served, sites);
                Tensor logits = reference.logits(reference.hidden(ids));
                error += Tensors.item(found.logits(found.hidden(ids)).sub(logits).square().sum());
                size += Tensors.item(logits.square().sum());
            }
            return new double[] {error, size};
        }));
        for (Weights weights : List.of(exact, served)) weights.all().values().forEach(Tensor::close);
        return sums[0] / sums[1];
    }
}
