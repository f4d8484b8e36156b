package rqat.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.Fixtures;
import rqat.data.TokenSequence;
import rqat.io.SafetensorsFile;
import rqat.model.ModelConfig;
import rqat.model.ModelLoader;
import rqat.tensor.Place;
import rqat.tensor.Tensors;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Cross-entropy and the gradient of every parameter against the reference implementation, for every family, with and without activation
/// checkpointing.
class ModelGradientFixtureTest {

    @TestFactory
    Stream<DynamicTest> gradients() throws Exception {
        try (var directories = Files.list(Fixtures.path("models"))) {
            return directories.filter(Files::isDirectory).sorted().toList().stream()
                    .flatMap(directory -> Stream.of(false, true)
                            .map(checkpoint -> DynamicTest.dynamicTest(
                                    directory.getFileName() + (checkpoint ? " checkpointed" : ""), () -> check(directory, checkpoint))));
        }
    }

    private static void check(Path directory, boolean checkpoint) {
        JsonNode golden = JsonMapper.shared().readTree(directory.resolve("golden.json").toFile());
        int[] ids;
        try (var file = SafetensorsFile.open(directory.resolve("golden.safetensors"))) {
            ids = file.tensors().get("input_ids").toInts();
        }
        ModelConfig config = ModelConfig.load(directory);
        var latents = ModelLoader.load(directory, config, Place.cpu(ScalarType.Float));
        try (var student = new Student(config, latents, new Student.Options(ScalarType.Float, checkpoint, Set.of()))) {
            double whole = new SftObjective(_ -> List.of(TokenSequence.all(ids)), 1, 5).accumulate(student, 0).loss();
            assertThat(whole).isCloseTo(golden.get("ce_mean").asDouble(), within(1e-5));
            assertThat(student.parameters()).hasSize(golden.get("grad").size());
            for (Parameter parameter : student.parameters()) checkGradient(parameter, golden.get("grad").get(parameter.name()));

            student.zeroGradients();
            boolean[] inLoss = new boolean[ids.length];
            for (int t = 0; t < ids.length; t++) inLoss[t] = golden.get("masked_labels").get(t).asInt() >= 0;
            double masked = new SftObjective(_ -> List.of(new TokenSequence(ids, inLoss)), 1, 5).accumulate(student, 0).loss();
            assertThat(masked).isCloseTo(golden.get("ce_mean_first_third_masked").asDouble(), within(1e-5));
        } finally {
            latents.values().forEach(Tensor::close);
        }
    }

    private static void checkGradient(Parameter parameter, JsonNode expected) {
        double[] gradient = Tensors.doubles(parameter.gradient());
        double squares = 0, sum = 0;
        for (double value : gradient) {
            squares += value * value;
            sum += value;
        }
        double norm = expected.get("l2").asDouble();
        assertThat(Math.sqrt(squares)).as(parameter.name()).isCloseTo(norm, within(1e-4 * norm));
        // The sum cancels: its error grows with the root of the number of terms.
        assertThat(sum).as(parameter.name()).isCloseTo(expected.get("sum").asDouble(), within(1e-4 * norm * Math.sqrt(gradient.length)));
        for (int i = 0; i < expected.get("first4").size(); i++) {
            assertThat(gradient[i]).as(parameter.name()).isCloseTo(expected.get("first4").get(i).asDouble(), within(1e-5 * norm));
        }
    }
}
