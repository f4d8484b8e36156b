package rqat.texts;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import rqat.data.TokenSequence;
import rqat.text.Tokenizer;

class WordProblemTextsTest {
    private static final Tokenizer TOKENIZER = Tokenizer.load(Path.of("models/embedded"));

    private static WordProblemTexts texts(Texts kind, long seed) {
        return new WordProblemTexts(TOKENIZER, List.of("easy"), kind, seed);
    }

    @Test
    void questionsAreTheBeginningsOfWorkedProblems() {
        List<TokenSequence> worked = texts(Texts.WORKED, 1).training(20);
        List<TokenSequence> questions = texts(Texts.QUESTIONS, 1).training(20);
        for (int i = 0; i < 20; i++) {
            int length = questions.get(i).ids().length;
            assertThat(questions.get(i).ids()).isEqualTo(Arrays.copyOf(worked.get(i).ids(), length));
            assertThat(TOKENIZER.decode(worked.get(i).ids())).contains("<think>", "\\boxed{");
            assertThat(TOKENIZER.decode(questions.get(i).ids())).doesNotContain("<think>").contains("?");
            // Of a worked problem exactly that part is in the loss that the question does not have; of a question everything.
            boolean[] inLoss = worked.get(i).inLoss();
            assertThat(IntStream.range(0, inLoss.length).allMatch(t -> inLoss[t] == t >= length)).isTrue();
            assertThat(questions.get(i).inLoss()).containsOnly(true);
        }
    }

    @Test
    void randomTextsAreEvenOverTheVocabularyAndFollowTheSeed() {
        int[][] windows = texts(Texts.RANDOM, 1).calibration(400);
        long[] counts = new long[TOKENIZER.size()];
        for (int[] window : windows) for (int id : window) counts[id]++;
        double expected = 400.0 * windows[0].length / counts.length;
        // Chi-square of about as many degrees of freedom as there are tokens: its standard deviation is sqrt(2 df).
        double chi = Arrays.stream(counts).mapToDouble(count -> (count - expected) * (count - expected) / expected).sum();
        assertThat(Math.abs(chi - counts.length)).isLessThan(5 * Math.sqrt(2.0 * counts.length));
        assertThat(texts(Texts.RANDOM, 1).calibration(400)).isDeepEqualTo(windows);
        assertThat(texts(Texts.RANDOM, 2).calibration(1)[0]).isNotEqualTo(windows[0]);
        assertThat(texts(Texts.RANDOM, 1).training(1).getFirst().ids()).isNotEqualTo(windows[0]);
    }
}
