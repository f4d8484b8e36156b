package rqat.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.format.Provenance;
import rqat.format.ActivationFormat;
import rqat.format.ActivationSpec;
import rqat.format.Site;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

class ActivationSitesTest {
    @TempDir
    Path directory;

    private static Tensor random(long seed, long... shape) {
        return QuantisedActivations.random(seed, shape);
    }

    @Test
    void kroneckerTransformIsTheProductWithTheKroneckerMatrix() {
        Scope.run(() -> {
            Tensor x = random(1, 2, 5, 24), left = random(2, 4, 4), right = random(3, 6, 6);
            Tensor both = new KroneckerTransform(left, right).apply(x);
            assertThat(QuantFixtures.relativeDifference(x.matmul(torch.kron(left, right)), both)).isLessThan(1e-6);
            Tensor onlyLeft = new KroneckerTransform(left, null).apply(x);
            assertThat(QuantFixtures.relativeDifference(x.matmul(torch.kron(left, torch.eye(6))), onlyLeft)).isLessThan(1e-6);
            Tensor onlyRight = new KroneckerTransform(null, right).apply(x);
            assertThat(QuantFixtures.relativeDifference(x.matmul(torch.kron(torch.eye(4), right)), onlyRight)).isLessThan(1e-6);
        });
    }

    @Test
    void shardsHaveMatricesOfTheirOwn() {
        Scope.run(() -> {
            Tensor x = random(4, 7, 24), left = random(5, 2, 3, 3), right = random(6, 4, 4);
            Tensor expected = Tensors.cat(
                    java.util.List.of(
                            x.narrow(1, 0, 12).matmul(torch.kron(left.select(0, 0).contiguous(), right)),
                            x.narrow(1, 12, 12).matmul(torch.kron(left.select(0, 1).contiguous(), right))),
                    1);
            assertThat(QuantFixtures.relativeDifference(expected, new KroneckerTransform(left, right).apply(x))).isLessThan(1e-6);
        });
    }

    @Test
    void inverseTransposedKeepsProducts() {
        Scope.run(() -> {
            Tensor x = random(7, 3, 24).to(ScalarType.Double), w = random(8, 5, 24).to(ScalarType.Double);
            var transform = new KroneckerTransform(random(9, 2, 3, 3), random(10, 2, 4, 4));
            Tensor after = transform.apply(x).matmul(transform.inverseTransposed().apply(w).t());
            assertThat(QuantFixtures.relativeDifference(x.matmul(w.t()), after)).isLessThan(1e-10);
        });
    }

    /// A transform of the keys and the inverse transpose of it for the queries leave every score, and so the model, alone.
    @Test
    void queryAndKeyTransformsCancel() {
        try (QuantisedModel model = TinyModel.fullPrecision(TinyModel.source(directory), 3)) {
            ModelConfig config = model.config();
            var tensors = new LinkedHashMap<String, Tensor>();
            for (int layer = 0; layer < config.layers(); layer++) {
                Tensor matrix = Scope.own(() -> random(11, config.headDimension(), config.headDimension()));
                tensors.put(Site.KEYS.tensor(layer, ActivationSites.RIGHT), matrix);
                tensors.put(
                        Site.QUERIES.tensor(layer, ActivationSites.RIGHT),
                        Scope.own(() -> new KroneckerTransform(null, matrix).inverseTransposed().right().to(ScalarType.Float).contiguous()));
            }
            try (var sites = new ActivationSites(config, ActivationFormat.NONE, tensors)) {
                assertThat(sites.isEmpty()).isFalse();
                Grad.off(() -> Scope.run(() -> {
                    Tensor ids = Cpu.of(TinyModel.windows(config, 1, 5)[0], 1, 17);
                    var weights = model.weights(ScalarType.Float);
                    Tensor plain = new Decoder(config, weights).hidden(ids);
                    Tensor transformed = new Decoder(config, weights, sites).hidden(ids);
                    assertThat(QuantFixtures.relativeDifference(plain, transformed)).isLessThan(1e-4);
                    weights.all().values().forEach(Tensor::close);
                }));
            }
        }
    }

    @Test
    void sitesWithoutEntryReturnTheirInputItself() {
        ModelConfig config = ModelConfig.load(TinyModel.source(directory));
        var format = new ActivationFormat(Map.of(Site.KEYS, new ActivationSpec(4, false, 1)), 1);
        try (var sites = new ActivationSites(config, format, new LinkedHashMap<>())) {
            Scope.run(() -> {
                Tensor x = random(1, 1, 2, config.hiddenSize());
                assertThat(sites.attentionInput(0, x)).isSameAs(x);
                assertThat(sites.withoutQuantisers().isEmpty()).isTrue();
                Tensor keys = random(2, 1, 2, 3, config.headDimension());
                Tensor quantised = sites.keys(1, keys);
                assertThat(quantised.equal(keys)).isFalse();
                // 4 bits leave an error of at most half a step of a fifteenth of each head's range.
                Tensor range = keys.amax(new long[] {-1}, true).sub(keys.amin(new long[] {-1}, true));
                Tensor steps = quantised.sub(keys).abs().div(range);
                assertThat(Tensors.item(steps.max())).isCloseTo(0.5 / 15, within(0.5 / 15));
            });
        }
    }

    @Test
    void whatDoesNotFitIsRefused() {
        ModelConfig config = ModelConfig.load(TinyModel.source(directory));
        refuse(config, ActivationFormat.NONE, "model.layers.7.keys.right", "belongs to no site", 16, 16);
        refuse(config, ActivationFormat.NONE, "model.layers.0.keys.right", "square", 16, 8);
        refuse(config, ActivationFormat.NONE, "model.layers.0.keys.right", "does not fit", 5, 5);
        refuse(config, ActivationFormat.NONE, "model.layers.0.keys.clip_high", "not quantised", 1);
        var sharded = ActivationFormat.of(new ActivationSpec(4, false, 1), new ActivationSpec(4, false, 1), 2);
        refuse(config, sharded, "model.layers.0.mlp_hidden.clip_low", "expected [2]", 1);
        assertThatThrownBy(() -> new ActivationSites(config, new ActivationFormat(Map.of(), 3), new LinkedHashMap<>()))
                .hasMessageContaining("3 shards");
    }

    private static void refuse(ModelConfig config, ActivationFormat format, String name, String message, long... shape) {
        Scope.run(() -> {
            var tensors = new LinkedHashMap<String, Tensor>(Map.of(name, random(1, shape)));
            assertThatThrownBy(() -> new ActivationSites(config, format, tensors)).hasMessageContaining(name).hasMessageContaining(message);
        });
    }

    @Test
    void savedAndLoaded() throws IOException {
        Path source = TinyModel.source(directory.resolve("source"));
        Path saved = directory.resolve("saved");
        try (QuantisedModel full = TinyModel.fullPrecision(source, 3);
                QuantisedModel model = QuantisedActivations.of(full, 2, 7)) {
            ModelDirectory.save(model, saved, source, Provenance.UNKNOWN);
            try (QuantisedModel read = ModelDirectory.load(saved)) {
                assertThat(read.sites().format()).isEqualTo(model.sites().format());
                assertThat(read.sites().tensors().keySet()).isEqualTo(model.sites().tensors().keySet());
                read.sites().tensors().forEach((name, tensor) ->
                        assertThat(Tensors.floats(tensor)).isEqualTo(Tensors.floats(model.sites().tensors().get(name))));
                // Two shards: two scales a row where the output and down maps had one.
                assertThat(read.grids().get("model.layers.0.mlp.down_proj.weight").scale().size(1)).isEqualTo(2);
                assertThat(read.grids().get("model.layers.0.mlp.up_proj.weight").scale().size(1)).isEqualTo(1);
            }
            Path file = saved.resolve("quantization/sites.safetensors");
            byte[] bytes = Files.readAllBytes(file);
            Path description = saved.resolve("quantization/quantization.json");
            String text = Files.readString(description);

            Files.writeString(description, text.replace("\"shards\" : 2", "\"shards\" : 1"));
            assertThatThrownBy(() -> ModelDirectory.load(saved)).isInstanceOf(Failure.class).hasMessageContaining("sites.safetensors");
            assertThatThrownBy(() -> LoadedModel.open(saved)).isInstanceOf(Failure.class).hasMessageContaining("sites.safetensors");
            Files.writeString(description, text.replace("\"format_version\" : 3", "\"format_version\" : 4"));
            assertThatThrownBy(() -> LoadedModel.open(saved)).isInstanceOf(Failure.class).hasMessageContaining("format_version");
            Files.writeString(description, text);
            bytes[bytes.length - 1] = (byte) 0x7f;
            bytes[bytes.length - 2] = (byte) 0xff;
            Files.write(file, bytes);
            assertThatThrownBy(() -> LoadedModel.open(saved)).isInstanceOf(Failure.class).hasMessageContaining("NaN or infinite");
        }
    }
}
