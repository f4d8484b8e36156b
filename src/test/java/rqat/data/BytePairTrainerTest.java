package rqat.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.data.BytePairTrainer.Merge;
import rqat.data.WordProblems.Problem;
import rqat.data.WordProblems.Split;
import tools.jackson.databind.json.JsonMapper;

class BytePairTrainerTest {

    @TempDir
    static Path directory;

    static BytePairTrainer.Vocabulary vocabulary;

    @BeforeAll
    static void train() {
        vocabulary = BytePairTrainer.train(sample(), 512);
        vocabulary.write(directory);
    }

    private static List<String> sample() {
        return WordProblems.TASKS.stream()
                .flatMap(task -> WordProblems.problems(Split.TRAIN, task, 1000, 1).stream())
                .map(problem -> problem.prompt() + problem.completion())
                .toList();
    }

    private static HuggingFaceTokenizer load() throws IOException {
        return HuggingFaceTokenizer.builder(Map.of("addSpecialTokens", "false"))
                .optTokenizerPath(directory.resolve("tokenizer.json")).build();
    }

    @Test
    void mergesTheMostFrequentPairAndBreaksTiesInOrder() {
        // "ab" 3x, "bc" 2x and "cd" 2x at first; after ab: (ab, c) 2x, (c, d) 2x, and "ab" sorts before "c".
        var small = BytePairTrainer.train(List.of("abcd abcd", "ab"), 256 + 5 + 100);
        assertThat(small.merges().subList(0, 2)).containsExactly(new Merge("a", "b"), new Merge("ab", "c"));
        assertThat(small.tokens()).hasSize(256 + 5 + small.merges().size()).contains("abcd");
    }

    @Test
    void isDeterministic() {
        assertThat(BytePairTrainer.train(sample(), 512)).isEqualTo(vocabulary);
        assertThat(vocabulary.tokens()).hasSizeLessThanOrEqualTo(512).doesNotHaveDuplicates();
        assertThat(BytePairTrainer.train(sample(), 300).tokens()).hasSize(300)
                .startsWith(vocabulary.tokens().subList(0, 295).toArray(String[]::new));
    }

    @Test
    void roundTripsAnyText() throws IOException {
        try (var tokenizer = load()) {
            var texts = Stream.concat(sample().stream().limit(50), Stream.of("", " ", "Grüße, 世界! 🙂\t\r\n\r\n  x", "It's 1234.5 %\u0000",
                    "<|im_start|> <think> </think><|endoftext|>"));
            texts.forEach(text -> assertThat(tokenizer.decode(tokenizer.encode(text, false, false).getIds(), false)).isEqualTo(text));
        }
    }

    @Test
    void idsAreTheIndicesOfTheTokens() throws IOException {
        try (var tokenizer = load()) {
            var encoding = tokenizer.encode(sample().getFirst(), false, false);
            for (int i = 0; i < encoding.getIds().length; i++) {
                assertThat(vocabulary.tokens().get((int) encoding.getIds()[i])).isEqualTo(encoding.getTokens()[i]);
            }
        }
    }

    @Test
    void everyWordIsOneTokenAndEveryDigitItsOwn() throws IOException {
        try (var tokenizer = load()) {
            var words = sample().stream().flatMap(text -> Stream.of(text.split("<[^>]*>")))
                    .flatMap(text -> Pattern.compile(" ?[A-Za-z]+|\\\\boxed|\\p{N}").matcher(text).results())
                    .map(MatchResult::group).collect(Collectors.toSet());
            assertThat(words).hasSizeGreaterThan(60).allSatisfy(word ->
                    assertThat(tokenizer.encode(word, false, false).getTokens()).as(word).hasSize(1));
            assertThat(tokenizer.encode("1234=", false, false).getTokens()).containsExactly("1", "2", "3", "4", "=");
        }
    }

    @Test
    void specialTokensVanishOnRequestAndThinkStays() throws IOException {
        try (var tokenizer = load()) {
            long[] ids = tokenizer.encode("<|im_start|>user\n<think>\n1</think><|im_end|><|endoftext|>", false, false).getIds();
            assertThat(tokenizer.decode(ids, true)).isEqualTo("user\n<think>\n1</think>");
            assertThat(LongStream.of(ids).filter(id -> id >= vocabulary.tokens().size() - 5).count()).isEqualTo(5);
        }
    }

    @Test
    void problemsAreShort() throws IOException {
        try (var tokenizer = load()) {
            for (var task : WordProblems.TASKS) {
                var problems = WordProblems.problems(Split.TRAIN, task, 3000, 5);
                // Longest frame 8, first sentence 7, closing question 8; longest step " Then she gives away 12." 8 and "34+25=59\n" 9.
                int steps = problems.getFirst().reasoning().split("\n").length;
                assertThat(longest(problems.stream().map(Problem::prompt), tokenizer)).isBetween(20 + 5 * steps, 23 + 8 * steps);
                assertThat(longest(problems.stream().map(Problem::completion), tokenizer)).isEqualTo(10 + 9 * steps);
            }
        }
    }

    private static int longest(Stream<String> texts, HuggingFaceTokenizer tokenizer) {
        return texts.mapToInt(text -> tokenizer.encode(text, false, false).getIds().length).max().orElseThrow();
    }

    @Test
    void writesThePublishedLayout() throws IOException {
        int first = vocabulary.tokens().size() - 5;
        var json = JsonMapper.builder().build();
        var tokenizer = json.readTree(directory.resolve("tokenizer.json"));
        assertThat(tokenizer.at("/model/type").asString()).isEqualTo("BPE");
        assertThat(tokenizer.at("/model/vocab").size()).isEqualTo(first);
        assertThat(tokenizer.at("/added_tokens").size()).isEqualTo(5);
        assertThat(tokenizer.at("/added_tokens/0/id").asInt()).isEqualTo(first);
        var configuration = json.readTree(directory.resolve("tokenizer_config.json"));
        assertThat(configuration.at("/eos_token").asString()).isEqualTo("<|im_end|>");
        assertThat(configuration.at("/added_tokens_decoder/" + (first + 4) + "/content").asString()).isEqualTo("</think>");
        assertThat(configuration.at("/added_tokens_decoder/" + (first + 4) + "/special").asBoolean()).isFalse();
        try (var files = Files.list(directory)) {
            assertThat(files.map(f -> f.getFileName().toString())).containsExactlyInAnyOrder("tokenizer.json", "tokenizer_config.json");
        }
    }

    @Test
    void refusesAVocabularyWithoutRoomForTheBytes() {
        assertThatThrownBy(() -> BytePairTrainer.train(List.of("a"), 260)).isInstanceOf(Failure.class)
                .hasMessageContaining("260").hasMessageContaining("261");
    }
}
