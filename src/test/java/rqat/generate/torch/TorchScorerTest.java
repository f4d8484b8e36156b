package rqat.generate.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import rqat.Failure;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.Rope;
import rqat.model.Weights;
import rqat.run.RandomStream;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import rqat.train.Initialiser;

class TorchScorerTest {
    private static final ModelConfig CONFIG = new ModelConfig(
            ModelConfig.Family.QWEN3, 50, 32, 48, 2, 4, 2, 8, 40, 1e-6,
            new Rope(10_000, new Rope.None()), true, false, false, false, true);

    @Test
    void agreesWithTheSoftmaxOfOneSequenceWhateverGoesTogether() {
        Scope.run(() -> {
            var decoder = new Decoder(CONFIG, new Weights(Initialiser.random(CONFIG, 1)));
            var random = new RandomStream(3);
            List<int[]> sequences = IntStream.of(7, 1, 40, 2, 12)
                    .mapToObj(length -> IntStream.range(0, length).map(_ -> random.nextInt(50)).toArray())
                    .toList();
            for (int tokensPerPass : new int[] {1, 30, 1000}) {
                List<float[]> scores = new TorchScorer(decoder, tokensPerPass).score(sequences);
                assertThat(scores).hasSize(5);
                for (int i = 0; i < 5; i++) assertThat(scores.get(i)).containsExactly(expected(decoder, sequences.get(i)), within(1e-5f));
            }
        });
    }

    @Test
    void sequencesThatTheModelCannotReadAreRefused() {
        Scope.run(() -> {
            var scorer = new TorchScorer(new Decoder(CONFIG, new Weights(Initialiser.random(CONFIG, 1))), 100);
            assertThatThrownBy(() -> scorer.score(List.of(new int[] {1}, new int[0])))
                    .isInstanceOf(Failure.class)
                    .hasMessageContaining("sequence 1");
            assertThatThrownBy(() -> scorer.score(List.of(new int[41]))).hasMessageContaining("41 tokens; the model's context is 40");
            assertThatThrownBy(() -> scorer.score(List.of(new int[] {50}))).hasMessageContaining("token 50");
        });
    }

    private static float[] expected(Decoder decoder, int[] tokens) {
        float[] rows = Tensors.floats(Grad.off(
                () -> decoder.logits(decoder.hidden(Cpu.of(tokens, 1, tokens.length))).log_softmax(-1)));
        float[] result = new float[tokens.length - 1];
        for (int t = 0; t < result.length; t++) result[t] = rows[t * 50 + tokens[t + 1]];
        return result;
    }
}
