package rqat.text;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Property;

class ReasoningSplitterTest {

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "false | <think>\\n1+1=2\\n</think>\\n\\nTwo. | 1+1=2\\n | Two.",
        "false | Two. | \"\" | Two.",
        "false | \\n <think>a</think>b | a | b",
        "false | <thin | \"\" | <thin",
        "false | a <think>b</think> | \"\" | a <think>b</think>",
        "true | 1+1=2\\n</think>Two. | 1+1=2\\n | Two.",
        "true | never ends </thin | never ends </thin | \"\"",
        "false | <think></think>x | \"\" | x",
        "false | <think>a</think>b</think>c | a | b</think>c",
        "false | <think>a<think>b</think>c | a<think>b | c",
        "false | \"\" | \"\" | \"\""
    })
    void thinkingAndAnswerComeApart(boolean open, String text, String reasoning, String content) {
        var splitter = new ReasoningSplitter(open);
        ReasoningSplitter.Parts first = splitter.push(unescaped(text)), last = splitter.finish();
        assertThat(first.reasoning() + last.reasoning()).isEqualTo(unescaped(reasoning));
        assertThat(first.content() + last.content()).isEqualTo(unescaped(content));
    }

    private static String unescaped(String text) {
        return text.replace("\\n", "\n");
    }

    /// However a text is cut into pieces, its parts are the same.
    @Test
    void partsDoNotDependOnThePieces() {
        String[] pool = {"<think>", "</think>", "<", "think", ">", "/", "\n", " ", "a", "</th"};
        Property.forAll(500, random -> {
            var text = new StringBuilder();
            for (int i = random.nextInt(10); i >= 0; i--) text.append(pool[random.nextInt(pool.length)]);
            boolean open = random.nextInt(2) == 0;
            var whole = new ReasoningSplitter(open);
            ReasoningSplitter.Parts first = whole.push(text.toString()), last = whole.finish();
            var pieces = new ReasoningSplitter(open);
            var reasoning = new StringBuilder();
            var content = new StringBuilder();
            for (int at = 0; at < text.length(); ) {
                int end = Math.min(text.length(), at + 1 + random.nextInt(4));
                ReasoningSplitter.Parts parts = pieces.push(text.substring(at, end));
                reasoning.append(parts.reasoning());
                content.append(parts.content());
                at = end;
            }
            ReasoningSplitter.Parts rest = pieces.finish();
            assertThat(reasoning + rest.reasoning()).isEqualTo(first.reasoning() + last.reasoning());
            assertThat(content + rest.content()).isEqualTo(first.content() + last.content());
        });
    }
}
