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

    /// Every place that announces an answer, however decorated; the last one that says something about letters counts.
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            Answer: \\mathbf{B}                          | B
            Answer: **(B)**                               | B
            Answer: `B`                                   | B
            **Final Answer**: __B__                       | B
            Answer: Choice (D)                            | D
            Answer: the correct option is C.              | C
            Answer: \\boxed{\\text{Option C}}             | C
            \\boxed{B) 42 m/s}                            | B
            \\boxed{\\textbf{(D)}}                        | D
            $\\fbox{A}$                                   | A
            Answer:\\n\\nB                                 | B
            Answer: b                                     | B
            Answer: A, because B contradicts the first    | A
            Answer: A, B is too high                      | A
            Answer: A. B would need more energy.          | A
            Answer: A is correct                          | A
            Answer: C and not D                           | C
            Answer: B\\n\\nThe energy is \\boxed{3.2}       | B
            Answer: A\\nHm. Answer: D\\n                   | D
            The form is 'Answer: $LETTER'.\\nAnswer: C     | C
            Answer: B\\n(as 'Answer: $LETTER' asks)        | B
            A: x\\nB: y\\nC: z\\nD: w\\n\\nAnswer: C. z       | C
            Answer: A and C                               | ''
            Answer: A/B                                   | ''
            Answer: A, B or C                             | ''
            Answer: either B or C                         | ''
            Answer: A or possibly C                       | ''
            Answer: A or (B)                              | ''
            \\boxed{A \\text{ or } B}                     | ''
            \\boxed{A, B}                                 | ''
            Answer: A\\nNo, wait.\\nAnswer: A or B          | ''
            Answer: E                                     | ''
            Answer: neither A nor B                       | ''
            Answer: A good question                       | ''
            Answer: None of these                         | ''
            \\boxed{A + B}                                | ''
            \\boxed{D = 3}                                | ''
            \\boxed{AB}                                   | ''
            A: low\\nB: high                               | ''
            """)
    void aCarefulReaderFindsTheLetter(String completion, String letter) {
        assertThat(STRICT.verify(completion.replace("\\n", "\n"), false, "X").extracted()).isEqualTo(letter);
    }

    /// What Python's `re` finds with the patterns of lighteval 0.8.0, `extractive_match_utils.py`.
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            Answer:\\nB then C                | C
            Answer: x (B) C                  | C
            Answer:\\nB                       | B
            A\\nC                             | C
            D. is\\nA                         | D
            it is **C**, so                  | C
            BCD is.                          | D
            x A: y B\\n                       | B
            the final answer, I think, is\\t\\nD. Not A | D
            final answer is (B) I hope C     | C
            Final Answer is:  B. I hope A    | B
            answer\\rA: D                     | D
            """)
    void lettersOfThePaperProtocolAreLightevals(String completion, String letter) {
        assertThat(LENIENT.verify(completion.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r"), false, "X").extracted()).isEqualTo(letter);
    }

    @Test
    void lettersInThinkingThatNeverEndedCountForNothing() {
        assertThat(STRICT.judge("B").verdict(new Attempt("Answer: B. But wait", true, true)).reason()).isEqualTo(Reason.TRUNCATED);
        assertThat(STRICT.judge("B").verdict(new Attempt("Answer: B", false, true)).reason()).isEqualTo(Reason.NO_ANSWER);
        assertThat(STRICT.judge("B").verdict(new Attempt("Answer: A</think>Answer: B", false, true)).reason()).isEqualTo(Reason.MATCH);
        assertThat(LENIENT.judge("B").verdict(new Attempt("Answer: B. But wait", true, true)).reason()).isEqualTo(Reason.MATCH);
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
