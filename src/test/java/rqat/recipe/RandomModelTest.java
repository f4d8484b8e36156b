package rqat.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.io.Checkpoint;
import rqat.io.HostTensor;
import rqat.io.SafetensorsWriter;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.run.Progress;
import rqat.tensor.HostTensors;
import rqat.tensor.Tensors;
import rqat.tensor.Torch;
import rqat.text.Tokenizer;
import rqat.train.Initialiser;
import tools.jackson.databind.node.ObjectNode;

/// Models of published shapes with random weights.
class RandomModelTest {
    private static final Path EMBEDDED = Path.of("models/embedded");

    @Test
    void shapesAreThePublishedOnes() throws Exception {
        // parameters as published: 0.6 B (751,632,384 with the head counted again), 4 B and 1.5 B classes
        var parameters = Map.of("qwen3-0.6b", 596_049_920L, "qwen3-4b", 4_022_468_096L, "r1-distill-qwen-1.5b", 1_777_088_000L);
        var linears = Map.of("qwen3-0.6b", 440_401_920L, "qwen3-4b", 3_633_315_840L, "r1-distill-qwen-1.5b", 1_310_195_712L);
        for (String shape : RandomModel.SHAPES) {
            Path directory = Files.createDirectories(folder.resolve(shape));
            Files.writeString(directory.resolve("config.json"), RandomModel.configuration(shape).toString());
            var model = new MemoryModel(ModelConfig.load(directory), 4, 128);
            assertThat(model.parameters()).as(shape).isEqualTo(parameters.get(shape));
            assertThat(model.quantised()).as(shape).isEqualTo(linears.get(shape));
        }
    }

    @TempDir
    Path folder;

    @Test
    void writesAModelThatStagesCanRead() {
        var configuration = (ObjectNode) RandomModel.configuration(EMBEDDED.toString());
        configuration.put("vocab_size", 512).put("num_hidden_layers", 2);
        Path out = folder.resolve("model");
        var session = new Session(7, Torch.Compute.FLOAT32, 1, 1, Progress.silent());
        RandomModel.write(session, configuration, EMBEDDED, out);
        ModelConfig config = ModelConfig.load(out);
        assertThat(config.vocabularySize()).isEqualTo(512);
        assertThat(Tokenizer.load(out).stopIds()).isEqualTo(Tokenizer.load(EMBEDDED).stopIds());
        // the same numbers as those that pretraining starts from, rounded to bfloat16
        var latents = Initialiser.random(config, 7);
        try (Checkpoint checkpoint = Checkpoint.open(out)) {
            assertThat(checkpoint.tensors().keySet()).containsExactlyInAnyOrderElementsOf(config.tensors().keySet());
            latents.forEach((name, latent) -> {
                float[] rounded = Tensors.floats(latent.to(org.bytedeco.pytorch.global.torch.ScalarType.BFloat16));
                assertThat(checkpoint.tensors().get(name).toFloats()).as(name).containsExactly(rounded);
            });
            double sum = 0;
            float[] down = checkpoint.tensors().get(Linear.DOWN.weight(0)).toFloats();
            for (float value : down) sum += value * value;
            assertThat(Math.sqrt(sum / down.length)).isBetween(0.0095, 0.0105); // 0.02 / sqrt(2 x 2 blocks)
        } finally {
            latents.values().forEach(org.bytedeco.pytorch.Tensor::close);
        }
    }

    @Test
    void writesShardByShard() {
        ModelConfig config = ModelConfig.load(EMBEDDED);
        SafetensorsWriter.writeCheckpoint(folder, Initialiser.checkpoint(config, 1), Map.of(), 400_000);
        assertThat(folder.resolve("model.safetensors.index.json")).exists();
        try (Checkpoint checkpoint = Checkpoint.open(folder)) {
            assertThat(checkpoint.tensors()).hasSize(config.tensors().size());
            HostTensor norm = checkpoint.tensors().get(ModelConfig.FINAL_NORM);
            assertThat(norm.toFloats()).containsOnly(1f);
            assertThat(HostTensors.scalarType(norm.type())).isEqualTo(org.bytedeco.pytorch.global.torch.ScalarType.BFloat16);
        }
    }

    @Test
    void saysWhatItKnowsWhenAskedForAnotherShape() {
        assertThatThrownBy(() -> RandomModel.configuration("gpt-5")).isInstanceOf(Failure.class).hasMessageContaining("qwen3-0.6b");
        var small = (ObjectNode) RandomModel.configuration(EMBEDDED.toString());
        small.put("vocab_size", 100);
        var session = new Session(1, Torch.Compute.FLOAT32, 1, 1, Progress.silent());
        assertThatThrownBy(() -> RandomModel.write(session, small, EMBEDDED, folder.resolve("x"))).hasMessageContaining("100 vocabulary rows");
    }
}
