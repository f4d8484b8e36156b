package rqat.generate.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import rqat.Failure;
import rqat.generate.Choice;
import rqat.generate.Completion;
import rqat.generate.Request;
import rqat.generate.RequestListener;
import rqat.generate.Sampling;
import rqat.generate.Scheduler;
import rqat.generate.StepModel.Draw;
import rqat.generate.StepModel.Entry;
import rqat.model.ModelConfig;
import rqat.model.Sites;

/// What [LocalGeneratorTest] cannot see from outside: rows with different samplings, rows that are not finite, scored prompts.
class TorchStepsTest {
    private final TinyModel model = TinyModel.of(ModelConfig.Family.QWEN3, 1, ScalarType.Float);

    @AfterEach
    void close() {
        model.close();
    }

    @Test
    void aRowHasTheSameBitsWhateverTheTemperaturesBesideIt() {
        double[] temperatures = {0.7, 1.3, 1, 0, 0.7, 0.001, 0.6};
        Choice[] mixed = choices(temperatures);
        for (double temperature : temperatures) {
            double[] all = new double[temperatures.length];
            Arrays.fill(all, temperature);
            Choice[] uniform = choices(all);
            for (int row = 0; row < all.length; row++) if (temperatures[row] == temperature) assertThat(mixed[row]).isEqualTo(uniform[row]);
        }
    }

    private Choice[] choices(double[] temperatures) {
        try (var steps = new TorchSteps(model.decoder(), 1000)) {
            List<Request> requests = TinyModel.requests(temperatures.length, Sampling.greedy(1, Set.of()), 3);
            steps.enter(requests.stream().map(request -> new Entry(request.prompt(), request.prompt().length - 1, -1, false, 0)).toList());
            Draw[] draws = new Draw[temperatures.length];
            for (int row = 0; row < draws.length; row++) {
                draws[row] = new Draw(new Sampling(temperatures[row], 1, 0, 1, Set.of()), 0.37 + 0.05 * row, 5);
            }
            return steps.decode(requests.stream().mapToInt(request -> request.prompt()[request.prompt().length - 1]).toArray(), draws);
        }
    }

    /// Keys and values of one row become NaN in the fourth round; its slot is used again by sequences that end before that place, beside longer ones.
    @Test
    void aRowThatIsNotFiniteEndsAloneAndLeavesNothingInTheCache() {
        var requests = new ArrayList<Request>();
        for (int i = 0; i < 8; i++) {
            int[] prompt = new int[i < 3 ? 30 : 2];
            Arrays.fill(prompt, 3 + i);
            requests.add(new Request(prompt, new Sampling(0.9, 1, 0, i < 3 ? 40 : 8, Set.of()), i));
        }
        for (int row = 0; row < 3; row++) {
            int broken = row;
            int[] rounds = {0};
            Sites breaking = new Sites() {
                @Override
                public Tensor attentionInput(int layer, Tensor x) {
                    if (layer == 0 && x.size(1) == 1 && x.size(0) == 3) rounds[0]++;
                    return x;
                }

                @Override
                public Tensor keys(int layer, Tensor x) {
                    return broken(x);
                }

                @Override
                public Tensor values(int layer, Tensor x) {
                    return broken(x);
                }

                private Tensor broken(Tensor x) {
                    if (rounds[0] == 4 && x.size(2) == 1 && x.size(0) == 3) x.select(0, broken).fill_(new Scalar(Double.NaN));
                    return x;
                }
            };
            var failed = new ArrayList<Integer>();
            var completions = new Completion[requests.size()];
            try (var scheduler = new Scheduler(new TorchSteps(model.decoder(breaking), 1000), 3)) {
                for (int i = 0; i < requests.size(); i++) {
                    int request = i;
                    scheduler.submit(requests.get(i), new RequestListener() {
                        @Override
                        public void completed(Completion completion) {
                            completions[request] = completion;
                        }

                        @Override
                        public void failed(Failure failure) {
                            assertThat(failure).hasMessageContaining("not finite");
                            failed.add(request);
                        }
                    });
                }
                while (scheduler.step()) {}
            }
            assertThat(failed).hasSize(1);
            for (int i = 0; i < requests.size(); i++) {
                if (!failed.contains(i)) assertThat(completions[i].tokens()).as("request %d", i).isEqualTo(alone(requests.get(i)).tokens());
            }
        }
    }

    private Completion alone(Request request) {
        var completions = new ArrayList<Completion>();
        try (var scheduler = new Scheduler(new TorchSteps(model.decoder(), 1000), 1)) {
            scheduler.submit(request, new RequestListener() {
                @Override
                public void completed(Completion completion) {
                    completions.add(completion);
                }
            });
            while (scheduler.step()) {}
        }
        return completions.getFirst();
    }

    @Test
    void promptsAreScoredAsByTheScorerWhileOthersEnter() {
        List<Request> requests = TinyModel.requests(9, Sampling.greedy(1, Set.of()), 14);
        List<float[]> expected = new TorchScorer(model.decoder(), 1).score(requests.stream().map(Request::prompt).toList());
        long before = Pointer.totalCount();
        try (var steps = new TorchSteps(model.decoder(), 1000)) {
            List<List<Choice>> scores = steps.enter(IntStream.range(0, requests.size())
                    .mapToObj(i -> new Entry(requests.get(i).prompt(), requests.get(i).prompt().length - 1, -1, i % 3 > 0, i % 3 == 1 ? TinyModel.VOCABULARY : 0))
                    .toList());
            assertThat(scores).hasSameSizeAs(requests);
            for (int i = 0; i < requests.size(); i++) {
                int[] prompt = requests.get(i).prompt();
                assertThat(scores.get(i)).hasSize(i % 3 > 0 ? prompt.length - 1 : 0);
                for (int t = 1; t <= scores.get(i).size(); t++) {
                    Choice choice = scores.get(i).get(t - 1);
                    assertThat(choice.token()).isEqualTo(prompt[t]);
                    assertThat(choice.logProbability()).isCloseTo(expected.get(i)[t - 1], within(1e-5f));
                    assertThat(choice.alternatives()).hasSize(i % 3 == 1 ? TinyModel.VOCABULARY : 0);
                    if (choice.alternatives().isEmpty()) continue;
                    // All of them: they are sorted, sum to one, and the prompt's token is among them.
                    assertThat(choice.alternatives()).contains(new Choice.Alternative(choice.token(), choice.logProbability()));
                    assertThat(choice.alternatives()).isSortedAccordingTo((a, b) -> Float.compare(b.logProbability(), a.logProbability()));
                    assertThat(choice.alternatives().stream().mapToDouble(other -> Math.exp(other.logProbability())).sum()).isCloseTo(1, within(1e-5));
                }
            }
        }
        assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before);
    }
}
