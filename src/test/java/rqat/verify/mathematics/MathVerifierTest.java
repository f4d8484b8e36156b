package rqat.verify.mathematics;

import static org.assertj.core.api.Assertions.assertThat;
import static rqat.verify.Reason.MATCH;
import static rqat.verify.Reason.MISMATCH;
import static rqat.verify.Reason.NO_ANSWER;
import static rqat.verify.Reason.TRUNCATED;
import static rqat.verify.Reason.UNPARSABLE;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.text.ReasoningSplitter;
import rqat.verify.AnswerScope;
import rqat.verify.Attempt;
import rqat.verify.Reason;
import rqat.verify.Verdict;
import rqat.verify.Verifier;

class MathVerifierTest {

    private final MathVerifier verifier = new MathVerifier();

    private Reason reason(String completion, String gold) {
        return verifier.verify(completion, false, gold).reason();
    }

    private Reason boxed(String answer, String gold) {
        return reason("So the answer is \\boxed{" + answer + "}.", gold);
    }

    /// The rows of the reward table that distinguish checkers, as our default mode answers them. Where the reference is known to go
    /// wrong (a bare gold answer read as its first number, boxes joined into a set, `\frac12` not repaired), the honest answer stands.
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "\\boxed{2\\sqrt{3}}                          | 2\\sqrt{3}       | MATCH",
        "\\boxed{2}                                   | 2\\sqrt{3}       | MISMATCH",
        "\\boxed{2\\sqrt{3}}                          | $2\\sqrt{3}$     | MATCH",
        "\\boxed{3}                                   | 3\\pi            | MISMATCH",
        "\\boxed{3\\pi}                               | 3\\pi            | MATCH",
        "\\boxed{x^2+1}                               | x^2+1            | MATCH",
        "\\boxed{2x+1}                                | 2x+1             | MATCH",
        "\\boxed{2x+1}                                | \\boxed{2x+1}    | MATCH",
        "\\boxed{\\pi}                                | \\pi             | MATCH",
        "\\boxed{\\text{B}}                           | B                | MATCH",
        "\\boxed{(1,2)}                               | $(1,2)$          | MATCH",
        "\\boxed{1,2}                                 | $(1,2)$          | MATCH",
        "\\boxed{2,1}                                 | $1,2$            | MATCH",
        "\\boxed{\\{1,2\\}}                           | $1,2$            | MATCH",
        "\\boxed{x=5}                                 | $5$              | MATCH",
        "\\boxed{5}                                   | $x=5$            | MATCH",
        "\\boxed{50\\%}                               | $0.5$            | MATCH",
        "\\boxed{50}                                  | $50\\%$          | MISMATCH",
        "\\boxed{0.333333}                            | $\\frac{1}{3}$   | MATCH",
        "\\boxed{0.3333}                              | $\\frac{1}{3}$   | MISMATCH",
        "\\boxed{1,000}                               | $1000$           | MATCH",
        "\\boxed{10\\text{ cm}}                       | $10$             | MATCH",
        "\\boxed{90^\\circ}                           | $90$             | MATCH",
        "The answer is 5                              | $5$              | NO_ANSWER",
        "\\boxed{\\frac12}                            | $\\frac{1}{2}$   | MATCH",
        "\\boxed{\\dfrac{1}{2}}                       | $0.5$            | MATCH",
        "\\boxed{1/2}                                 | $\\frac{1}{2}$   | MATCH",
        "\\boxed{\\sqrt{8}}                           | $2\\sqrt{2}$     | MATCH",
        "\\boxed{[0,1)}                               | $[0,1)$          | MATCH",
        "\\boxed{x\\in[0,1)}                          | $[0,1)$          | MATCH",
        "\\boxed{0\\le x<1}                           | $[0,1)$          | MISMATCH",
        "\\boxed{5                                    | $5$              | UNPARSABLE",
        "\\boxed{3} is wrong so \\boxed{4}            | $4$              | MATCH",
        "\\boxed{3} is wrong, so \\boxed{4}           | $4$              | MATCH",
        "\\boxed{3}</think> and the answer is \\boxed{4} | $4$           | MATCH",
        "\\boxed{3}. \\boxed{4}                       | $4$              | MATCH",
        "\\boxed{4} \\boxed{4} \\boxed{4}             | $4$              | MATCH",
        "<think> try \\boxed{3} no </think> \\boxed{4} | $4$             | MATCH",
        "<think> \\boxed{7} </think> I am not sure    | $7$              | NO_ANSWER",
        "\\boxed{\\boxed{4}}                          | $4$              | MATCH",
        "\\boxed{x=3 \\text{ or } x=4}                | $3,4$            | MATCH",
        "\\boxed{\\text{yes}}                         | $\\text{Yes}$    | MATCH",
    })
    void answersTheRewardTable(String completion, String gold, Reason expected) {
        assertThat(reason(completion, gold)).isEqualTo(expected);
    }

    @Test
    void thinkingIsCutAndUnfinishedThinkingIsNoAnswer() {
        assertThat(reason("<think>first \\boxed{1}</think> no, <think>\\boxed{2}</think> \\boxed{3}", "3")).isEqualTo(MATCH);
        assertThat(reason("<think>it is \\boxed{3}", "3")).isEqualTo(NO_ANSWER);
        assertThat(reason("</think> \\boxed{3} <think> wait", "3")).isEqualTo(NO_ANSWER);
        assertThat(verifier.verify("<think>it is \\boxed{3}", true, "3").reason()).isEqualTo(TRUNCATED);
        assertThat(reason("it is \\boxed{3}", "3")).isEqualTo(MATCH);

        Verifier.Judge judge = verifier.judge("3");
        assertThat(judge.verdict(new Attempt("it is \\boxed{3}", false, true)).reason()).isEqualTo(NO_ANSWER);
        assertThat(judge.verdict(new Attempt("it is \\boxed{3}", true, true)).reason()).isEqualTo(TRUNCATED);
        assertThat(judge.verdict(new Attempt("it is </think>\\boxed{3}", true, true)).reason()).isEqualTo(MATCH);
        assertThat(judge.verdict(new Attempt("it is\n#### 3", false, true)).reason()).isEqualTo(NO_ANSWER);
        assertThat(judge.verdict(new Attempt("4</think>5<think>\\boxed{3}", false, true)).reason()).isEqualTo(NO_ANSWER);
        assertThat(ReasoningSplitter.opens("<|user|>how many?<|assistant|><think>\n")).isTrue();
        assertThat(ReasoningSplitter.opens("<think>\n\n</think>\n\n")).as("thinking switched off").isFalse();
        assertThat(ReasoningSplitter.opens("what does <think> mean?")).isFalse();

        var whole = new MathVerifier(AnswerScope.WHOLE);
        assertThat(whole.verify("<think>it is \\boxed{3}", false, "3").reason()).isEqualTo(MATCH);
    }

    @Test
    void aCutGenerationWithoutACompleteAnswerIsTruncated() {
        assertThat(verifier.verify("so \\boxed{3", true, "3").reason()).isEqualTo(TRUNCATED);
        assertThat(verifier.verify("so", true, "3").reason()).isEqualTo(TRUNCATED);
        assertThat(verifier.verify("so \\boxed{3} and fur", true, "3").reason()).isEqualTo(MATCH);
        assertThat(verifier.verify("so \\boxed{4} and fur", true, "3").reason()).isEqualTo(MISMATCH);
    }

    @Test
    void findsTheLastOutermostBox() {
        assertThat(verifier.verify("\\boxed{ {a} \\{ b } x", false, "c").extracted()).isEqualTo(" {a} \\{ b ");
        assertThat(verifier.verify("\\boxed{1} then \\boxed{2", false, "1")).isEqualTo(new Verdict(UNPARSABLE, "2"));
        assertThat(verifier.verify("\\boxed{ never closed \\boxed{4}", false, "4").reason()).isEqualTo(MATCH);
        assertThat(verifier.verify("}}} \\boxed{4} }}", false, "4").reason()).isEqualTo(MATCH);
        assertThat(verifier.verify("\\boxed{x = \\boxed{3}}", false, "3").reason()).isEqualTo(MATCH);
        assertThat(verifier.verify("\\\\boxed{\\\\frac{1}{2}}", false, "1/2").reason()).isEqualTo(MATCH);
        assertThat(verifier.verify("\\fbox{4}", false, "4").reason()).isEqualTo(MATCH);
        assertThat(verifier.verify("\\boxed -12.", false, "-12").reason()).isEqualTo(MATCH);
        assertThat(verifier.verify("\\boxed{4} as I used the \\boxed notation", false, "4").reason()).isEqualTo(MATCH);
        assertThat(verifier.verify("\\boxedfoo{4}", false, "4").reason()).isEqualTo(NO_ANSWER);
        assertThat(verifier.verify("\\boxed{}", false, "4").reason()).isEqualTo(NO_ANSWER);
        assertThat(verifier.verify("\\boxed{$\\,$.}", false, "4").reason()).isEqualTo(NO_ANSWER);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        // integers
        "1,234,567 | 1234567", "1{,}234 | 1234", "1\\,234 | 1234", "11,\\! 111 | 11111", "1 000 | 1000", "004 | 4", "+5 | 5", "--5 | 5",
        "−7 | -7", "\\$18 | 18", "$18$ | 18", "18. | 18", "\\left( 18 \\right) | 18", "{18} | 18", "\\mathbf{18} | 18", "18.00 | 18",
        "2^{10} | 1024", "2^10 | 1024", "3 \\times 10^{3} | 3000", "1.5e3 | 1500", "6 \\cdot 7 | 42", "-2^2 | -4", "(-2)^2 | 4",
        // fractions
        "\\frac{3}{6} | \\frac12", "\\tfrac{1}{2} | 1/2", "\\frac{-1}{2} | -\\frac{1}{2}", "\\frac{1}{-2} | -0.5", "-1/-2 | 1/2",
        "\\frac1{2} | 0.5", "\\frac{1}2 | 0.5", "1\\frac{1}{2} | 3/2", "-1\\frac12 | -3/2", "2 3/4 | 11/4", "1/2/2 | 1/4",
        "\\frac{\\frac{1}{2}}{3} | 1/6", "2^{-2} | 1/4", "\\frac{2}{4}\\text{ of it} | 0.5",
        // decimals and percent
        ".5 | 0.5", "0.50 | 1/2", "3.0 | 3", "0.\\overline{3} | 1/3", "0.1\\overline{6} | 1/6", "25\\% | 1/4", "25% | 0.25", "12.5 percent | 1/8",
        "1.4142139 | \\sqrt{2}", "0.6666667 | \\frac23",
        // roots
        "\\sqrt{12} | 2\\sqrt3", "\\sqrt{\\frac{1}{2}} | \\frac{\\sqrt{2}}{2}", "\\frac{1}{\\sqrt{3}} | \\frac{\\sqrt{3}}{3}", "\\sqrt{16} | 4",
        "\\sqrt[3]{27} | 3", "\\sqrt[3]{-8} | -2", "8^{2/3} | 4", "2^{1/2} | \\sqrt{2}", "\\frac{1}{1+\\sqrt{2}} | \\sqrt2-1",
        "(1+\\sqrt{5})^2 | 6+2\\sqrt5", "\\sqrt{2}\\sqrt{3} | \\sqrt{6}", "√9 | 3", "\\frac{1}{\\sqrt3-\\sqrt2} | \\sqrt3+\\sqrt2",
        "\\sqrt{999999866000004473} | \\sqrt{999999866000004473}",
        // units and scales
        "5 \\text{ km/h} | 5", "5\\ \\mathrm{m}^2 | 5", "5\\,\\text{m s}^{-1} | 5", "18 dollars | 18", "90^{\\circ} | 90", "90° | 90",
        "3 \\text{ million} | 3000000", "7\\text{ (seven)} | 7", "12 \\text{ cm}^3. | 12",
        // lists, tuples, intervals, names
        "(1, -2) | (1,-2)", "\\left(\\frac12, 3\\right) | (0.5,3)", "(1,2),(3,4) | (3,4),(1,2)", "1 and 2 | 1,2", "1, 2, and 3 | 3,2,1",
        "\\pm 3 | -3,3", "1 \\pm \\sqrt{2} | 1+\\sqrt2, 1-\\sqrt2", "x=1, y=2 | 1,2", "x_1 = 4 | 4", "f(2) = 4 | 4", "(x,y)=(1,2) | (1,2)", "(12,102) | (12, 102)",
        "x = 2 + 3 = 5 | 5", "2+3=5 | 5", "(-\\infty, 3] | (-\\infty,3]", "x \\in \\{1, 2\\} | 1,2",
        // words and other text
        "\\text{(C)} | C", "\\text{Evelyn} | evelyn", "x \\geq 5 | x >= 5", "a^{2}+b | a^2 + b", "\\mathrm{odd} | odd", "12:30 | 12:30",
        "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix} | \\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
        // formulas
        "\\frac{x+2}{7} | \\frac{x}{7}+\\frac{2}{7}", "x^2-1 | (x-1)(x+1)", "2\\pi r | 2r\\pi", "\\sin\\frac{\\pi}{6} | 1/2", "4! | 24", "\\binom52 | 10", "\\log_2 8 | 3",
        "\\sqrt[3]{2} | 2^{1/3}", "\\sqrt[3]{-8} | -2", "\\sqrt{2+\\sqrt3} | \\frac{\\sqrt6+\\sqrt2}{2}", "\\ln 4 | 2\\ln 2", "i^2 | -1", "e^{i\\pi} | -1",
        "\\frac{1}{1+i} | \\frac{1-i}{2}", "\\pi | 3.141593", "x+y=5 | y+x=5", "f(x)=x^2+1 | 1+x^2", "2xy | 2yx",
        "(-\\infty,1)\\cup(2,\\infty) | (2,\\infty)\\cup(-\\infty,1)",
        "\\begin{pmatrix}1&\\frac24\\\\3&4\\end{pmatrix} | \\begin{bmatrix}1&\\frac12\\\\3&4\\end{bmatrix}",
    })
    void theSameAnswerInAnotherSpellingMatches(String answer, String gold) {
        assertThat(boxed(answer, gold)).isEqualTo(MATCH);
        assertThat(boxed(gold, answer)).as("exchanged").isEqualTo(MATCH);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '"', value = {
        "5 | 6", "1 1/2 | 11/2", "2 3 | 6", "2 3 | 23", "12 | 1,2", "12.0000001 | 12", "0.0000001 | 0.0000002", "0.33 | 1/3", "50 | 50\\%",
        "5\\text{ million} | 5", "5 \\text{ dozen} | 5", "5 \\text{ or more} | 5", "\\text{not } 5 | 5", "5x | 5", "5m | 5", "32, 349 | 32349",
        "(2,1) | (1,2)", "2,1 | (1,2)", "[1,2] | (1,2)", "[0,1) | [0,1]", "0,1 | [0,1]", "1,2,3 | 1,2", "1 | 1,2", "x=5 | y=5", "2x+1=5 | 5",
        "7 = 11a+c | 11a+c", "2x = 5 | x = 5", "\\sqrt{2} | \\sqrt{3}", "2\\sqrt{3} | 3\\sqrt{2}", "\\frac{1}{2} | \\frac{2}{1}", "R | r", "A | B",
        "x \\geq 5 | x \\leq 5", "12:00 | 1:00", "-2021 | \\pm 2021", "204_5 | 204", "2^3 | 23", "1.000.000 | 1", "0/0 | 0", "1/0 | 0", "1e5 | 15",
        "\\frac{x}{2} | \\frac{x}{3}", "4! | 4", "10^{400} | 10^{401}", "\\Delta | \\delta", "1 2/3 | 5/4",
        "\\text{listen} | \\text{silent}", "x^2+1 | x^2-1", "\\pi | 3.14", "x | X", "5 | x+5", "2x+1=5 | x=2", "\\sqrt{x^2} | x", "\\begin{pmatrix}1\\\\2\\end{pmatrix} | (1,2)",
    })
    void anotherAnswerDoesNotMatch(String answer, String gold) {
        assertThat(boxed(answer, gold)).isEqualTo(MISMATCH);
        assertThat(boxed(gold, answer)).as("exchanged").isEqualTo(MISMATCH);
    }

    @Test
    void readsGoldAnswersAsDataSetsPublishThem() {
        assertThat(Gold.of("Half of it is <<48/2=24>>24.\n#### 1,072").text()).isEqualTo("1,072");
        assertThat(Gold.of("We see $x=\\boxed{\\frac{1}{2}}$, so \\boxed{7}.").text()).isEqualTo("7");
        assertThat(Gold.of(" $2\\sqrt{3}$ ").text()).isEqualTo("$2\\sqrt{3}$");
        assertThat(reason("\\boxed{1072}", "48/2 = 24\n#### 1,072")).isEqualTo(MATCH);
        assertThat(Gold.of("204").usable()).isTrue();
        assertThat(Gold.of("").usable()).isFalse();
        assertThat(Gold.of("  $$ ").usable()).isFalse();
        assertThat(Gold.of("7".repeat(20_000)).usable()).isFalse();
        assertThat(reason("\\boxed{}", "")).isEqualTo(NO_ANSWER);
        assertThat(reason("\\boxed{1}", "")).isEqualTo(MISMATCH);
    }

    @Test
    void theLineThatGsm8kMarksIsAnAnswerWhereThereIsNoBox() {
        assertThat(reason("48/2 = 24\n#### 24", "24")).isEqualTo(MATCH);
        assertThat(reason("#### 25\nno,\n#### 24 \nas I said", "24")).isEqualTo(MATCH);
        assertThat(reason("<think>\n#### 24\n</think> done", "24")).isEqualTo(NO_ANSWER);
        assertThat(reason("\\boxed{23}\n#### 24", "24")).isEqualTo(MISMATCH);
        assertThat(reason("####", "24")).isEqualTo(NO_ANSWER);
    }

    @Test
    void listsTheGoldAnswersThatAreOnlyTexts() {
        assertThat(Gold.texts(List.of("24", "\\frac{x}{2}", "(1,2)", "x=5", "\\text{Evelyn}", "\\cancel{4}", ""))).containsExactly("\\text{Evelyn}", "\\cancel{4}", "");
    }

    @Test
    void oneGoldServesManyCompletions() {
        Verifier.Judge judge = verifier.judge("0.5");
        assertThat(judge.verdict("\\boxed{1/2}", false).score()).isEqualTo(1.0);
        assertThat(judge.verdict("\\boxed{1/3}", false).score()).isEqualTo(0.0);
    }

    @Test
    void theRecordOfALongAnswerIsCut() {
        Verdict verdict = verifier.verify("\\boxed{" + "😀".repeat(3_000) + "}", false, "1");
        assertThat(verdict.extracted().length()).isBetween(Verdict.MAX_EXTRACTED - 1, Verdict.MAX_EXTRACTED);
        assertThat(verdict.extracted().codePoints()).allMatch(c -> c == 0x1F600);
    }
}
