package rqat.texts;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Fixtures;
import rqat.data.Exercise;
import rqat.data.TokenSequence;
import rqat.text.ChatTemplate;
import rqat.text.Message;
import rqat.text.Tokenizer;

/// Worked problems in the published formats of the paper's models.
class ChatFormatFixtureTest {
    private static final String TRACE = "<think>\nOne and one.\n\nTwo.\n</think>\n\nIt is \\boxed{2}.";
    private static final Exercise EXERCISE = new Exercise("1", "What is 1 + 1?", "2", TRACE);

    @ParameterizedTest
    @CsvSource({
        "r1, deepseek_r1_distill.jinja, <｜begin▁of▁sentence｜>, <｜end▁of▁sentence｜>",
        "qwen, qwen3.jinja, '', <|im_end|>",
        "qwen, qwen3_first_release.jinja, '', <|im_end|>",
        "qwen, qwen2_5.jinja, '', <|im_end|>",
        "r1, open_r1_grpo_override.jinja, <｜begin▁of▁sentence｜>, <｜end▁of▁sentence｜>",
    })
    void theReasoningIsKeptAndTheTextBeginsAndEndsOnce(String model, String template, String begin, String end) throws IOException {
        Tokenizer tokenizer = Tokenizer.load(Fixtures.path("tokenizer/" + model));
        ChatTemplate chat = ChatTemplate.of(
                Files.readString(Fixtures.path("tokenizer/templates/" + template)), Map.of("bos_token", begin, "eos_token", end));
        TokenSequence sequence = ChatFormat.of(chat, tokenizer).sequence(EXERCISE, TRACE, Integer.MAX_VALUE);

        String text = tokenizer.decode(sequence.ids());
        assertThat(text).contains("What is 1 + 1?").endsWith("\n</think>\n\nIt is \\boxed{2}." + end);
        // What is learned after the prompt that a generation begins with is the trace, its opening tag once.
        String prompt = chat.render(Message.maps(new Message("user", EXERCISE.prompt())), true, Map.of());
        assertThat(text).startsWith(prompt).containsOnlyOnce("<think>").contains("<think>\nOne and one.\n\nTwo.\n</think>");
        int first = IntStream.range(0, sequence.ids().length).filter(i -> sequence.inLoss()[i]).findFirst().orElseThrow();
        assertThat(tokenizer.decode(Arrays.copyOf(sequence.ids(), first))).isEqualTo(prompt);
        if (!begin.isEmpty()) {
            int id = tokenizer.encode(begin)[0];
            assertThat(sequence.ids()[0]).isEqualTo(id);
            assertThat(Arrays.stream(sequence.ids()).filter(each -> each == id).count()).isEqualTo(1);
        }
        int last = tokenizer.encode(end)[0];
        assertThat(sequence.ids()[sequence.ids().length - 1]).isEqualTo(last);
    }

    @Test
    void theTemplateOfR1WouldHaveDeletedTheReasoning() throws IOException {
        ChatTemplate chat = ChatTemplate.of(
                Files.readString(Fixtures.path("tokenizer/templates/deepseek_r1_distill.jinja")), Map.of("bos_token", "", "eos_token", ""));
        assertThat(chat.render(Message.maps(new Message("user", "q"), new Message("assistant", TRACE)), false, Map.of())).doesNotContain("One and one");
    }
}
