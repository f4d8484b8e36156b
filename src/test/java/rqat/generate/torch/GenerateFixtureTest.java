package rqat.generate.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.Fixtures;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.LocalGenerator;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.io.HostTensor;
import rqat.io.SafetensorsFile;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.ModelLoader;
import rqat.model.Weights;
import rqat.tensor.Place;

/// Greedy continuations of the reference implementation, token for token.
class GenerateFixtureTest {

    private record Golden(int[] prompt, int[] tokens, float[] logProbabilities) {}

    @TestFactory
    Stream<DynamicTest> greedyContinuations() throws IOException {
        try (Stream<Path> directories = Files.list(Fixtures.path("models"))) {
            return directories.filter(directory -> Files.exists(directory.resolve("golden.safetensors"))).sorted().toList().stream()
                    .map(directory -> DynamicTest.dynamicTest(directory.getFileName().toString(), () -> check(directory)));
        }
    }

    private static void check(Path directory) {
        List<Golden> goldens = goldens(directory);
        assertThat(goldens).isNotEmpty();
        ModelConfig config = ModelConfig.load(directory);
        SequencedMap<String, Tensor> weights = ModelLoader.load(directory, config, Place.cpu(ScalarType.Float));
        try {
            var decoder = new Decoder(config, new Weights(weights));
            for (Golden golden : goldens) compare(decoder, List.of(golden), 1);
            compare(decoder, goldens, goldens.size());
            // Twice each, in a batch that is too small for all: slots are reused and prompts shared.
            List<Golden> twice = new ArrayList<>(goldens);
            twice.addAll(goldens);
            compare(decoder, twice, goldens.size() + 1);
        } finally {
            weights.values().forEach(Tensor::close);
        }
    }

    private static void compare(Decoder decoder, List<Golden> goldens, int maxBatch) {
        int length = goldens.getFirst().tokens.length;
        var sampling = Sampling.greedy(length, Set.of());
        List<Request> requests = goldens.stream().map(golden -> new Request(golden.prompt, sampling, 0)).toList();
        List<Completion> completions = new LocalGenerator(() -> new TorchSteps(decoder, 100_000), maxBatch).generate(requests, Listener.NONE);
        for (int i = 0; i < goldens.size(); i++) {
            assertThat(completions.get(i).tokens()).isEqualTo(goldens.get(i).tokens);
            assertThat(completions.get(i).logProbabilities()).containsExactly(goldens.get(i).logProbabilities, within(1e-4f));
        }
    }

    private static List<Golden> goldens(Path directory) {
        try (SafetensorsFile file = SafetensorsFile.open(directory.resolve("golden.safetensors"))) {
            Map<String, HostTensor> tensors = file.tensors();
            List<Golden> goldens = new ArrayList<>();
            for (String name : tensors.keySet()) {
                if (!name.matches("greedy\\d+\\.prompt")) continue;
                String prefix = name.substring(0, name.indexOf('.') + 1);
                goldens.add(new Golden(
                        ids(tensors.get(name)), ids(tensors.get(prefix + "tokens")), tensors.get(prefix + "logprobs").toFloats()));
            }
            return goldens;
        }
    }

    private static int[] ids(HostTensor tensor) {
        return tensor.toInts();
    }
}
