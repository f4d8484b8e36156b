package rqat.verify;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.verify.AnswerScope;

class ChoiceVerifierTest {
    private static final ChoiceVerifier STRICT = new ChoiceVerifier(AnswerScope.AUTO, false);
    private static final ChoiceVerifier LENIENT = new ChoiceVerifier(AnswerScope.WHOLE, true);

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            So it is this.\\n\\nAnswer: B               | B | B
            Answer: $C$                                 | C | C
            **Answer: D**                               | D | D
            **Answer:** A                               | A | A
            Answer: (B) because                         | B | B
            ANSWER: \\text{C}                           | C | C
            \\boxed{A}                                  | A | A
            \\boxed{\\text{D}}                          | D | D
            Answer: A ... wait, Answer: C               | C | C
            \\boxed{A} but Answer: B                    | B | B
            <think>Answer: A</think>Answer: B           | B | B
            <think>Answer: A                            | '' | A
            The answer is D.                            | '' | D
            Final answer is B. I hope it is correct     | '' | B
            B. It must be                               | '' | B
            Because of Carbon                           | '' | C
            nothing here                                | '' | ''
            Answer: Because                             | '' | B
            Answer: E                                   | '' | A
            """)
    void theLetterIsFound(String completion, String strict, String lenient) {
        String text = completion.replace("\\n", "\n");
        assertThat(STRICT.verify(text, false, "B").extracted()).isEqualTo(strict);
        assertThat(LENIENT.verify(text, false, "B").extracted()).isEqualTo(lenient);
        assertThat(STRICT.verify(text, false, "B").correct()).isEqualTo(strict.equals("B"));
    }

    @Test
    void withoutALetterTheReasonSaysWhetherTheModelWasCut() {
        assertThat(STRICT.verify("hm", false, "A").reason()).isEqualTo(Reason.NO_ANSWER);
        assertThat(STRICT.verify("hm", true, "A").reason()).isEqualTo(Reason.TRUNCATED);
    }

    @ParameterizedTest
    @ValueSource(strings = {"answer", "final answer ", "Answer:", "answer: $", "\\boxed{", "A ", "\n", "answer:\t\t\t\t"})
    void hostileTextsTakeNoTime(String piece) {
        String text = piece.repeat(1_000_000 / piece.length());
        for (var verifier : new Verifier[] {STRICT, LENIENT}) {
            Assertions.assertTimeout(Duration.ofSeconds(3), () -> verifier.verify(text, false, "B"));
        }
    }
}
