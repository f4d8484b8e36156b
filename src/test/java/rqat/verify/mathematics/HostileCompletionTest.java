package rqat.verify.mathematics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import rqat.verify.Reason;
import rqat.verify.Verdict;

/// Whatever a model writes gets a verdict. Work is bounded by step counts, so these tests assert the verdict and not a time.
class HostileCompletionTest {

    private final MathVerifier verifier = new MathVerifier();

    static Stream<String> hostileAnswers() {
        return Stream.of(
                "10^10^10", "10^{10^{10}}", "9^{9^{9^{9}}}", "2^{-99999999999}", "2^{99999999999999999999999}", "1e99999", "1e-99999999999",
                "0^0", "0^{-1}", "1/0", "\\frac{1}{0}", "\\frac{}{}", "\\frac", "\\sqrt", "\\sqrt[", "\\sqrt[0]{2}", "\\sqrt[99999999999]{2}",
                "\\sqrt{-1}", "(-8)^{1/2}", "\\sqrt{\\sqrt{2}}", "((1+\\sqrt2)^{64})^{64}", "(1+\\sqrt2)^{8192}", "(1+\\sqrt2)^{-8000}",
                "9".repeat(9_999), "0." + "0".repeat(9_000) + "1", "1/" + "7".repeat(5_000), "\\overline{", "0.\\overline{" + "9".repeat(3_000) + "}",
                "(".repeat(9_000), "{".repeat(4_000) + "}".repeat(4_000), "\\{".repeat(4_000), "[".repeat(5_000) + "1" + "]".repeat(4_999),
                "-".repeat(9_000) + "1", "+-".repeat(4_500) + "1", "1^".repeat(4_000) + "1", "2^".repeat(4_000) + "2", "1/".repeat(4_000) + "3",
                "1,".repeat(4_999), "x=".repeat(4_999), "1,x=(2,".repeat(1_400), "\\pm".repeat(3_000) + "1", "(\\pm1,".repeat(1_000),
                "\\text{".repeat(1_600), "\\frac".repeat(1_900), "\\frac1".repeat(1_600), "\\sqrt".repeat(1_900), "\\left.".repeat(1_600),
                "\\sqrt{999999999999989}+".repeat(400) + "1", "\\sqrt{999999999999989}*".repeat(400) + "1",
                IntStream.range(2, 1200).mapToObj(i -> "\\sqrt{" + i + "}").collect(Collectors.joining("+")),
                IntStream.range(1, 1600).mapToObj(i -> "1/" + i).collect(Collectors.joining("+")),
                IntStream.range(1, 90).mapToObj(i -> "3^{2500}/7^{1400}+1/" + i).collect(Collectors.joining("+")),
                "%".repeat(9_000), "5" + "%".repeat(9_000), "\\", "\\\\", "\\ ", "\0", "\uD800", "\u202E5", "𝟝", "٣", "^", "_", "^\\circ", "^{\\circ",
                "1 ".repeat(4_000), "1 000".repeat(1_000), ",\\!".repeat(3_000), "&&&", "<script>alert(1)</script>");
    }

    @ParameterizedTest
    @MethodSource("hostileAnswers")
    void everyAnswerGetsAVerdict(String answer) {
        assertThat(verifier.verify("\\boxed{" + answer + "}", false, "42").reason()).isNotEqualTo(Reason.MATCH);
        assertThat(verifier.verify("\\boxed{42}", false, answer).correct()).isFalse();
        assertThatCode(() -> verifier.verify("\\boxed{" + answer + "}", true, answer)).doesNotThrowAnyException();
    }

    @Test
    void whatIsTooLargeToComputeIsStillComparedAsText() {
        assertThat(verifier.verify("\\boxed{10^{10^{10}}}", false, "10^{10^{10}}").reason()).isEqualTo(Reason.MATCH);
        assertThat(verifier.verify("\\boxed{10^{10^{10}}}", false, "10^{10^{11}}").reason()).isEqualTo(Reason.MISMATCH);
    }

    @Test
    void longCompletionsOfOneKindOfTrouble() {
        int length = 1_000_000;
        for (String piece : new String[] {"{", "}", "\\boxed{", "\\boxed", "\\fbox 1", "<think>", "</think>", "\\", "\\boxed{}", "$", "(", "a", " ", "\\{",
            "\\boxed{1}", "\\boxed{{", "</think>\\boxed{"}) {
            String text = piece.repeat(length / piece.length());
            for (boolean truncated : new boolean[] {false, true}) {
                Verdict verdict = verifier.verify(text, truncated, "1");
                assertThat(verdict.extracted().length()).isLessThanOrEqualTo(Verdict.MAX_EXTRACTED);
                assertThat(verdict.correct()).as(piece).isEqualTo(piece.equals("\\boxed{1}") || piece.equals("\\fbox 1"));
                assertThatCode(() -> Gold.of(text)).doesNotThrowAnyException();
            }
        }
        String deep = "{".repeat(100_000);
        assertThat(verifier.verify(deep + "\\boxed{7}", false, "7").reason()).isEqualTo(Reason.MATCH);
        assertThat(verifier.verify("\\boxed{" + deep, false, "7").reason()).isEqualTo(Reason.UNPARSABLE);
        assertThat(verifier.verify("\\boxed{" + deep + "7" + "}".repeat(100_000) + "}", false, "7").reason()).isEqualTo(Reason.UNPARSABLE);
        assertThat(verifier.verify("\\boxed{" + "9".repeat(length) + "}", false, "7").reason()).isEqualTo(Reason.UNPARSABLE);
    }

    /// The other mode searches prose and formulas as well; whatever it is given, it answers, and the same twice.
    @ParameterizedTest
    @MethodSource("hostileAnswers")
    void theReferenceModeIsTotalToo(String answer) {
        var reference = ReferenceVerifier.forReasoning();
        for (String text : new String[] {"\\boxed{" + answer + "}", "$" + answer + "$", "the final answer is " + answer, answer}) {
            Verdict verdict = reference.verify(text, false, "$42$");
            assertThat(reference.verify(text, false, "$42$")).isEqualTo(verdict);
            assertThatCode(() -> reference.verify(text, true, text)).doesNotThrowAnyException();
        }
    }

    @Test
    void longTextsOfOneKindOfTroubleInTheReferenceMode() {
        var reference = ReferenceVerifier.forReasoning();
        for (String piece : new String[] {"{", "\\boxed{", "\\fbox 1", "$", "$$", "\\[", "\\( ", "answer ", "answer: = ", "final answer is ", " 1", " 1 +", " 1+1x", "1,",
            "$q", "$x($ ", "$((((1))))$ ", "\\frac{1}{2}", "\\frac{", " [x] ", "\n", " ", "\\$", "** ", "=", "$\\boxed{?}$ and ", "\u0130", "\\text{"}) {
            String text = piece.repeat(1_000_000 / piece.length());
            assertThatCode(() -> reference.verify(text, false, "$x+1$")).as(piece).doesNotThrowAnyException();
            assertThatCode(() -> reference.judge(text)).as(piece).doesNotThrowAnyException();
        }
    }

    /// Every piece of notation, repeated or nested up to a million characters, as completion and as gold answer. What bounds the work is a
    /// count of steps; the time here is hundreds of times what such verdicts take, and only shows that nothing escapes the count.
    @ParameterizedTest
    @MethodSource("hostileKinds")
    void noKindOfInputEscapesTheBudget(String kind) {
        var reference = ReferenceVerifier.forReasoning();
        int draw = Math.floorMod(kind.hashCode(), 9);
        int count = new int[] {3_900, 9_900, 1_000_000}[draw % 3] / kind.length();
        int middle = kind.indexOf('#');
        String text = middle < 0 ? kind.repeat(count) : kind.substring(0, middle).repeat(count) + "2" + kind.substring(middle + 1).repeat(count);
        String wrapped = List.of("\\boxed{" + text + "}", "$" + text + "$", text).get(draw / 3);
        long start = System.nanoTime();
        verifier.verify(wrapped, false, "x+1");
        verifier.verify("\\boxed{x+2}", false, wrapped);
        reference.verify(wrapped, false, "$x+1$");
        reference.verify("$\\boxed{x+2}$", false, wrapped);
        reference.verify(wrapped, true, wrapped);
        assertThat((System.nanoTime() - start) / 1e9).as("seconds for five verdicts").isLessThan(60);
    }

    static Stream<String> hostileKinds() {
        return Stream.of(
                // opening part # closing part: nested
                "{#}", "(#)", "[#)", "\\{1,#\\}", "(1,#)", "\\left(#\\right)", "\\frac{1}{#}", "\\frac{#}{3}", "\\sqrt{1+#}", "\\sqrt[3]{#}", "x^{#}", "x_{#}", "\\text{#}",
                "\\boxed{#}", "\\sin(#)", "\\log_{#}2", "f(#,1)", "x(#)", "|#|", "\\lfloor #\\rfloor", "(#)!", "(1+#)^2", "\\binom{#}{2}", "\\begin{pmatrix}#\\end{pmatrix}",
                "-(#)", "\\max(1,#)", "\\sum_{k=1}^{9}(#)", "(\\pm #)", "x=(#)", "(x\\cup#)",
                // repeated
                "\\log_2 8", "$\\quad$ ", "\\(x\\) and ", "final answer is ? ", "final answer is 5 ", "answer: x=", "answer is is is ", "12 ", "1 000 ", "1,234,", "1.5%", "$5 ", "1+1x ", "((((1)))) ",
                "1^", "10^10^", "9!^", "5!+", "3!)!", "5000!/4999!*", "\\binom{9999}{4999}+", "(1/3^{9000})*", "(-1)^{\\pi}+", "i^i*", "\\sin x^", "\\pi^", "e^{", "x_{1}", "\\frac12", "\\tfrac12 ",
                "\\sqrt2", "sqrt(2)+", "0.\\overline{3}", "90^\\circ ", "a=b=", "1<", "(1,2)\\cup", "[1,2],", "\\pm1,", "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "1&", "\\\\", "(n)_{k}", ")_{",
                "\\int_0^1 x dx+", "\\lim_{x\\to0} x+", "\\prod_{k=1}^{99} k*", "\\gcd(1,2)+", "f(x)=", "f'(x)", "1\\frac12+", "2 million ", "5cm^2 ", "\\text{ cm}", "\\text{and}", "and ", ";", " .5", "{,}",
                "\\ldots,", "\\left[\\begin{matrix}", "\\operatorname{", "\\vec{a}", "\\mathbb{R}\\cup", "\u0130", "\uD835\uDFDD", "\u0663", "\uD800", "\u202E5", "\0", "\u221A2", "\u22121",
                "The 12 cats and 7 dogs have 19 legs. ", "It was 1984, so 3 + 4 = 7; then x = 5. ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa ");
    }

    @Test
    void costlyArithmeticEndsInATimeout() {
        String roots = "\\sqrt{999999999999989}+".repeat(400) + "1";   // a prime: the longest trial division
        assertThat(verifier.verify("\\boxed{" + roots + "}", false, "7").reason()).isEqualTo(Reason.TIMEOUT);
    }

    @Test
    void theBudgetStops() {
        var budget = new Budget();
        budget.spend(Budget.STEPS);
        assertThatThrownBy(() -> budget.spend(1)).isInstanceOf(Budget.Exhausted.class);
    }

    /// Random splices of everything the tokeniser knows; the seed is in the name of a failing assertion.
    @Test
    void randomAnswersGetTheSameVerdictTwice() {
        String[] pieces = {"\\frac", "\\sqrt", "{", "}", "[", "]", "(", ")", "1", "23", "0.5", ",", "\\text{", "cm", "x", "=", "^", "_", "+", "-", "*", "/", "%",
            "\\pm", "\\{", "\\}", " ", "\\,", "\\circ", "$", "\\boxed{", "and", ";", "\\in", "\\left", "\\right", ".", "\\overline{3}", "e5", "\\\\", "\\!", "{,}", "000"};
        for (int seed = 0; seed < 20_000; seed++) {
            var random = new Random(seed);
            var answer = new StringBuilder();
            for (int i = random.nextInt(24); i >= 0; i--) {
                answer.append(pieces[random.nextInt(pieces.length)]);
            }
            String completion = "\\boxed{" + answer + "}";
            Verdict first = verifier.verify(completion, false, answer.toString());
            assertThat(verifier.verify(completion, false, answer.toString())).as("seed %d", seed).isEqualTo(first);
        }
    }
}
