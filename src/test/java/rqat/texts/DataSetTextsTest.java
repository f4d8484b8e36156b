package rqat.texts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import rqat.Failure;
import rqat.data.TokenSequence;
import rqat.data.WordProblems.Split;
import rqat.run.Progress;
import rqat.text.Tokenizer;

/// Data files as the embedded model reads them.
class DataSetTextsTest {
    private static final Path MODEL = Path.of("models/embedded");
    private static final Path DATA = Path.of("src/test/resources/rqat/data");
    private static final Tokenizer TOKENIZER = Tokenizer.load(MODEL);

    private final List<String> said = new ArrayList<>();

    @TempDir
    private Path directory;

    @Test
    void aTraceIsLearnedWholeAndOnlyIt() {
        List<TokenSequence> sequences = texts(DATA.resolve("OpenR1-Math-220k"), 2048, Texts.WORKED).training(10);
        assertThat(sequences).isNotEmpty().hasSizeLessThanOrEqualTo(4);
        for (TokenSequence sequence : sequences) {
            String text = TOKENIZER.decode(sequence.ids());
            assertThat(text).startsWith("<|im_start|>user\nWhat is $").contains("<think>\n").contains("</think>").endsWith("<|im_end|>");
            String learned = TOKENIZER.decode(IntStream.range(0, sequence.ids().length).filter(i -> sequence.inLoss()[i]).map(i -> sequence.ids()[i]).toArray());
            assertThat(learned).isEqualTo(text.substring(text.indexOf("<think>")));
        }
    }

    @Test
    void aSolutionWithoutThinkingTagsIsTakenForReasoning() {
        TokenSequence sequence = texts(DATA.resolve("gsm8k"), 2048, Texts.WORKED).training(1).getFirst();
        assertThat(TOKENIZER.decode(sequence.ids()))
                .endsWith("<|im_start|>assistant\n<think>\nThere are 3*4=12 eggs.\n\\boxed{12}\n</think>\n\n\\boxed{12}<|im_end|>");
    }

    @Test
    void longSequencesAreCutAndThoseWithoutRoomForAnAnswerLeftOut() {
        List<TokenSequence> whole = texts(DATA.resolve("gsm8k"), 2048, Texts.WORKED).training(9);
        int shortest = whole.stream().mapToInt(sequence -> sequence.ids().length).min().orElseThrow();
        for (TokenSequence cut : texts(DATA.resolve("gsm8k"), shortest - 5, Texts.WORKED).training(9)) {
            assertThat(cut.ids()).hasSize(shortest - 5);
            assertThat(whole).anyMatch(sequence -> Arrays.equals(Arrays.copyOf(sequence.ids(), shortest - 5), cut.ids()));
        }
        assertThatThrownBy(() -> texts(DATA.resolve("gsm8k"), 8, Texts.WORKED).training(9))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("no problem with a solution that fits");
    }

    @ParameterizedTest
    @EnumSource(value = Texts.class, names = {"WORKED", "QUESTIONS"})
    void calibrationWindowsArePiecesOfAllExercisesInTurn(Texts part) throws IOException {
        Path file = problems(200);
        int[][] windows = texts(file, 64, part).calibration(12);
        assertThat(List.of(windows)).hasSize(12).allSatisfy(window -> assertThat(window).hasSize(64));
        String all = Arrays.stream(windows).map(TOKENIZER::decode).collect(Collectors.joining());
        assertThat(all.contains("</think>")).isEqualTo(part == Texts.WORKED);
        assertThat(texts(file, 64, part).calibration(12)).isDeepEqualTo(windows);
        assertThat(Arrays.stream(windows).map(Arrays::toString).distinct().count()).isGreaterThan(6);
        assertThatThrownBy(() -> texts(DATA.resolve("gsm8k"), 100_000, part).calibration(1))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("expected at least the 100,000 of one window");
    }

    @Test
    void runningTextIsLearnedInWindows() {
        List<TokenSequence> windows = texts(DATA.resolve("wikitext"), 16, Texts.WORKED).training(5);
        assertThat(windows).hasSize(5).allSatisfy(window -> {
            assertThat(window.ids()).hasSize(16);
            assertThat(window.lossTokens()).isEqualTo(15);
        });
        assertThatThrownBy(() -> texts(DATA.resolve("wikitext"), 16, Texts.WORKED).problems(Split.TRAIN, 1)).isInstanceOf(Failure.class);
    }

    @Test
    void problemsOfTrainingAndValidationAreOthers() throws IOException {
        var texts = texts(problems(400), 2048, Texts.WORKED);
        var training = new HashSet<>(texts.problems(Split.TRAIN, 1000).stream().map(rqat.texts.Problem::id).toList());
        var validation = new HashSet<>(texts.problems(Split.VALIDATION, 1000).stream().map(rqat.texts.Problem::id).toList());
        assertThat(training.size() + validation.size()).isEqualTo(400);
        assertThat(validation).hasSizeBetween(8, 40).doesNotContainAnyElementsOf(training);
        assertThat(texts.problems(Split.TRAIN, 3)).hasSize(3).allSatisfy(problem ->
                assertThat(TOKENIZER.decode(problem.prompt())).endsWith("put your final answer within \\boxed{}.<|im_end|>\n<|im_start|>assistant\n"));
    }

    @Test
    void problemsWhoseAnswerNothingCouldMatchAreLeftOutAndNamed() throws IOException {
        Path file = problems(40);
        Files.writeString(file, "{\"question\": \"How much?\", \"answer\": \"Nobody knows.\\n#### \"}\n", StandardOpenOption.APPEND);
        var texts = texts(file, 2048, Texts.WORKED);
        assertThat(texts.problems(Split.TRAIN, 100).size() + texts.problems(Split.VALIDATION, 100).size()).isEqualTo(40);
        assertThat(said).singleElement().asString().contains("problems left out", ": 1 (", "problems.jsonl");
    }

    @Test
    void whatDataMeansIsFoundOrSaid() throws IOException {
        assertThat(Data.files(DATA.resolve("gpqa/gpqa_diamond.csv").toString(), Progress.silent())).hasSize(1);
        assertThat(Data.files(DATA.resolve("gsm8k").toString(), Progress.silent())).extracting(Path::getFileName).hasSize(1);
        assertThatThrownBy(() -> Data.files(Files.createDirectory(directory.resolve("empty")).toString(), Progress.silent()))
                .hasMessageContaining("no data files");
        assertThatThrownBy(() -> Data.files("no/such/thing", Progress.silent())).isInstanceOf(Failure.class).hasMessageContaining("word problems");
        assertThatThrownBy(() -> new DataSettings("x", 2)).hasMessageContaining("tokens is 2");
    }

    private Path problems(int count) throws IOException {
        return Files.write(directory.resolve("problems.jsonl"), IntStream.range(0, count)
                .mapToObj(i -> "{\"question\": \"How much is %d and 1?\", \"answer\": \"It is %d.\\n#### %d\"}".formatted(i, i + 1, i + 1))
                .toList());
    }

    private DataSetTexts texts(Path source, int tokens, Texts part) {
        return new DataSetTexts(
                ChatFormat.load(MODEL, TOKENIZER),
                Data.files(source.toString(), Progress.silent()),
                new DataSettings(source.toString(), tokens),
                part,
                1,
                said::add);
    }
}
