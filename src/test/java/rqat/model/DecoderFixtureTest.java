package rqat.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.SequencedMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.Fixtures;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The decoder against the reference implementation's outputs on tiny random models of every family, tolerances from the fixtures' README.
class DecoderFixtureTest {

    private record Case(ModelConfig config, Decoder decoder, Map<String, HostTensor> golden) {
        Tensor golden(String name) {
            return Cpu.of(golden.get(name));
        }
    }

    @TestFactory
    Stream<DynamicTest> logitsAndHiddenStates() {
        return forEachModel(test -> {
            Tensor ids = test.golden("input_ids");
            Tensor hidden = test.decoder.embed(ids);
            Rotation rotation = test.decoder.rotation(Cpu.range(0, ids.size(1)).unsqueeze(0));
            Tensor expected = test.golden("hidden_states");
            for (int layer = 0; layer < test.config.layers(); layer++) {
                assertClose(hidden.select(0, 0), expected.select(0, layer), 1e-4);
                hidden = test.decoder.block(layer, hidden, rotation, Attention.CAUSAL);
            }
            hidden = test.decoder.finalNorm(hidden);
            assertClose(hidden.select(0, 0), expected.select(0, test.config.layers()), 1e-4);
            assertClose(test.decoder.logits(hidden).select(0, 0), test.golden("logits"), 1e-4);
        });
    }

    @TestFactory
    Stream<DynamicTest> logProbabilitiesAndEntropies() {
        return forEachModel(test -> {
            Tensor ids = test.golden("input_ids");
            Tensor logits = test.decoder.logits(test.decoder.hidden(ids)).select(0, 0);
            long tokens = ids.size(1);
            for (var entry : Map.of("", 1.0, "_temp0.6", 0.6).entrySet()) {
                Tensor logProbabilities = torch.log_softmax(logits.div(new Scalar(entry.getValue())), -1);
                Tensor next = ids.select(0, 0).narrow(0, 1, tokens - 1).unsqueeze(1);
                assertClose(
                        logProbabilities.narrow(0, 0, tokens - 1).gather(1, next).squeeze(1),
                        test.golden("token_logprobs" + entry.getKey()),
                        1e-4);
                Tensor entropy = logProbabilities.exp().mul(logProbabilities).sum(new long[] {-1}, false, new org.bytedeco.pytorch.ScalarTypeOptional()).neg();
                assertClose(entropy, test.golden("entropy" + entry.getKey()), 1e-4);
            }
        });
    }

    @TestFactory
    Stream<DynamicTest> leftPaddedBatch() {
        return forEachModel(test -> {
            Tensor ids = test.golden("padded.input_ids");
            Tensor mask = test.golden("padded.attention_mask");
            long tokens = ids.size(1);
            Tensor causal = torch.ones(new long[] {tokens, tokens}).tril().to(ScalarType.Bool);
            // A pad token sees itself, so that no row of scores is empty; its logits mean nothing.
            Tensor own = torch.eye(tokens).to(ScalarType.Bool);
            Tensor visible = mask.to(ScalarType.Bool).unsqueeze(1).logical_and(causal).logical_or(own).unsqueeze(1);
            Tensor logits = test.decoder.logits(
                    test.decoder.hidden(ids, test.golden("padded.position_ids"), Attention.masked(visible)));
            Tensor real = logits.reshape(-1, logits.size(2))
                    .index_select(0, mask.reshape(-1).nonzero().squeeze(1));
            assertClose(real, test.golden("padded.logits_of_real_tokens"), 1e-4);
        });
    }

    @TestFactory
    Stream<DynamicTest> rotaryFrequencies() {
        return forEachModel(test -> assertThat(test.config.rope().inverseFrequencies(test.config.headDimension()))
                .containsExactly(test.golden.get("rope_inv_freq").toFloats(), within(1e-7f)));
    }

    @TestFactory
    Stream<DynamicTest> transformers5ConfigurationIsTheSameModel() {
        return Stream.of("qwen3", "qwen2", "llama").map(name -> DynamicTest.dynamicTest(name, () -> {
            Path directory = Fixtures.path("models/" + name);
            Path other = Files.createTempDirectory("config");
            Files.copy(directory.resolve("config.transformers5.json"), other.resolve("config.json"));
            assertThat(ModelConfig.load(other)).isEqualTo(ModelConfig.load(directory));
        }));
    }

    private static Stream<DynamicTest> forEachModel(Consumer<Case> body) {
        return Stream.of("qwen3", "qwen2", "llama").map(name -> DynamicTest.dynamicTest(name, () -> {
            Path directory = Fixtures.path("models/" + name);
            ModelConfig config = ModelConfig.load(directory);
            SequencedMap<String, Tensor> weights = ModelLoader.load(directory, config, Place.cpu(ScalarType.Float));
            try (SafetensorsFile golden = SafetensorsFile.open(directory.resolve("golden.safetensors"))) {
                var test = new Case(config, new Decoder(config, new Weights(weights)), golden.tensors());
                Grad.off(() -> Scope.run(() -> body.accept(test)));
            } finally {
                weights.values().forEach(Tensor::close);
            }
        }));
    }

    static void assertClose(Tensor actual, Tensor expected, double tolerance) {
        assertThat(Tensors.shape(actual)).isEqualTo(Tensors.shape(expected));
        assertThat(Tensors.item(actual.sub(expected).abs().max())).isLessThanOrEqualTo(tolerance);
    }
}
