package rqat.verify.mathematics;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import rqat.verify.Reason;
import rqat.verify.mathematics.ReferenceVerifier.Prepared;

class ReferenceVerifierTest {

    private static final String RIGHT = "right";
    private static final String WRONG = "wrong";

    /// Gold text, completion, and whether it is right: what Math-Verify is known to answer, its oddities included (an unwrapped gold formula
    /// is read as its first number, boxes are joined, `2x = 4` is not `x = 2`), and plain mathematics on which there is no doubt.
    private static final String[][] PAIRS = {
        {"$12$", "$12.0$", RIGHT},
        {"$12$", "$12.0000001$", WRONG},
        {"$\\frac12$", "$0.5000001$", RIGHT},
        {"$\\sqrt{2}$", "$1.4142139$", RIGHT},
        {"$35$", "$35 \\text{ percent}$", RIGHT},
        {"$-1$", "$i^2$", WRONG},
        {"$-i$", "$1/i$", WRONG},
        {"$-1$", "$e^{i\\pi}$", WRONG},
        {"$3+4i$", "$3 + 4 i$", WRONG},
        {"$11011$", "$11011_2$", RIGHT},
        {"$A$", "$a$", RIGHT},
        {"$X+1$", "$x+1$", RIGHT},
        {"$\\text{Cat}$", "$\\text{cat}$", RIGHT},
        {"$y=2x+1$", "$2y=4x+2$", RIGHT},
        {"$2x=4$", "$x=2$", WRONG},
        {"$x>2$", "$2x>4$", WRONG},
        {"$(1,2)$", "$(1,2)$", RIGHT},
        {"$(1,2)$", "$1,2$", RIGHT},
        {"$1,2$", "$2,1$", RIGHT},
        {"$1,2$", "$\\{1,2\\}$", RIGHT},
        {"$5$", "$x=5$", RIGHT},
        {"$x=5$", "$5$", RIGHT},
        {"$0.5$", "$\\boxed{50\\%}$", RIGHT},
        {"$50\\%$", "$50$", WRONG},
        {"$\\frac13$", "$0.333333$", RIGHT},
        {"$\\frac13$", "$0.3333$", WRONG},
        {"$1000$", "\\boxed{1,000}", RIGHT},
        {"$90$", "\\boxed{90^\\circ}", RIGHT},
        {"$29$", "\\boxed{\\text{29}}", RIGHT},
        {"$29$", "\\boxed{\\mathbf{29}}", RIGHT},
        {"$10$", "\\boxed{{5\\choose 2}}", RIGHT},
        {"$2\\sqrt2$", "\\boxed{\\sqrt{8}}", RIGHT},
        {"$[0,1)$", "\\boxed{x\\in[0,1)}", RIGHT},
        {"$[0,1)$", "\\boxed{0\\le x<1}", WRONG},
        {"$5$", "\\boxed{5", WRONG},
        {"$4$", "\\boxed{3} is wrong so \\boxed{4}", RIGHT},
        {"$4$", "\\boxed{3} is wrong, so \\boxed{4}", WRONG},
        {"$4$", "\\boxed{3}</think> and the answer is \\boxed{4}", WRONG},
        {"$4$", "\\boxed{3}. \\boxed{4}", WRONG},
        {"$4$", "\\boxed{4} \\boxed{4} \\boxed{4}", RIGHT},
        {"$4$", "<think> try \\boxed{3} no </think> \\boxed{4}", RIGHT},
        {"$4$", "\\boxed{\\boxed{4}}", RIGHT},
        {"$3,4$", "\\boxed{x=3 \\text{ or } x=4}", RIGHT},
        {"$\\text{Yes}$", "\\boxed{\\text{yes}}", RIGHT},
        {"2\\sqrt{3}", "\\boxed{2\\sqrt{3}}", WRONG},
        {"2\\sqrt{3}", "\\boxed{2}", RIGHT},
        {"3\\pi", "\\boxed{3}", RIGHT},
        {"2x+1", "\\boxed{2x+1}", WRONG},
        {"$x^2=4$", "$\\{-2,2\\}$", RIGHT},
        {"$x^2+2x+1$", "$(x+1)^2$", RIGHT},
        {"$\\sin^2 x+\\cos^2 x$", "$1$", RIGHT},
        {"$\\frac{1}{\\sqrt2}$", "$\\frac{\\sqrt2}{2}$", RIGHT},
        {"$\\ln 8$", "$3\\ln 2$", RIGHT},
        {"$\\log_2 8$", "$3$", RIGHT},
        {"$\\binom{5}{2}$", "$10$", RIGHT},
        {"$5!$", "$120$", RIGHT},
        {"$e^{2}$", "$e^2$", RIGHT},
        {"$\\frac{\\pi}{4}$", "$0.785398$", RIGHT},
        {"$2^{10}$", "$1024$", RIGHT},
        {"$\\sqrt[3]{8}$", "$2$", RIGHT},
        {"$|{-3}|$", "$3$", RIGHT},
        {"$\\lfloor 3.7\\rfloor$", "$3$", RIGHT},
        {"$\\{1,2,3\\}$", "$\\{3,2,1\\}$", RIGHT},
        {"$\\mathbb{R}$", "$(-\\infty,\\infty)$", RIGHT},
        {"$x<5$", "$(-\\infty,5)$", RIGHT},
        {"$x\\ge 2$", "$[2,\\infty)$", RIGHT},
        {"$(-\\infty,-1)\\cup(1,\\infty)$", "$(1,\\infty)\\cup(-\\infty,-1)$", RIGHT},
        {"$|x|>1$", "$(-\\infty,-1)\\cup(1,\\infty)$", RIGHT},
        {"$3\\frac12$", "$3.5$", RIGHT},
        {"$\\frac{7}{2}$", "$3\\frac{1}{2}$", RIGHT},
        {"$1.5$", "$1\\frac12$", RIGHT},
        {"$10\\text{ cm}$", "$10$", RIGHT},
        {"$10 cm$", "$10$", RIGHT},
        {"$\\$10$", "$10$", RIGHT},
        {"$(x+1)(x-1)$", "$x^2-1$", RIGHT},
        {"$x=1,y=2$", "$1,2$", RIGHT},
        {"$y=x+1$", "$x+1$", RIGHT},
        {"$f(x)=x^2$", "$x^2$", RIGHT},
        {"$\\text{A}$", "$A$", RIGHT},
        {"$\\text{(A)}$", "$A$", RIGHT},
        {"$\\begin{pmatrix}1\\\\2\\end{pmatrix}$", "$\\begin{bmatrix}1\\\\2\\end{bmatrix}$", RIGHT},
        {"$\\overline{AB}$", "$\\overline{AB}$", RIGHT},
        {"$\\frac{a}{b}$", "$a/b$", RIGHT},
        {"$\\frac{x}{y}$", "$xy^{-1}$", RIGHT},
        {"$\\sqrt{x^2}$", "$x$", WRONG},
        {"$\\sqrt{x^2}$", "$|x|$", RIGHT},
        {"$\\tan x$", "$\\frac{\\sin x}{\\cos x}$", RIGHT},
        {"$2\\pi r$", "$2 \\cdot r \\cdot \\pi$", RIGHT},
        {"$1,2,3$", "$1,2,4$", WRONG},
        {"$1:2$", "$\\frac12$", RIGHT},
        {"72", "#### 72", RIGHT},
        {"$1/2$", "0.5", RIGHT},
        {"$\\frac{1}{2}$", "The answer is 1/2.", RIGHT},
        {"$15$", "The answer is **15**", RIGHT},
        {"$1234567$", "The answer is 1,234,567.", RIGHT},
        {"$18$", "so $18 dollars", RIGHT},
        {"$-\\frac{1}{2}$", "$-0.5$", RIGHT},
        {"$10^{-3}$", "$0.001$", RIGHT},
        {"$1.2\\times10^5$", "$120000$", RIGHT},
        {"$\\arctan 1$", "$\\frac{\\pi}{4}$", RIGHT},
        {"$x \\in \\{1,2\\}$", "$1,2$", RIGHT},
        {"$\\pm 3$", "$3,-3$", RIGHT},
        {"$\\sum_{k=1}^{4} k$", "$10$", RIGHT},
        {"$\\cos 60^\\circ$", "$\\frac12$", WRONG},
        {"$\\infty$", "$+\\infty$", RIGHT},
        {"$\\frac{0}{1}$", "$0$", RIGHT},
        {"$a_n=2n+1$", "$2n+1$", RIGHT},
        {"$x+y=5$", "$y+x=5$", RIGHT},
        {"$x+y=5$", "$5=x+y$", RIGHT},
        {"$2(x+1)$", "$2x+2$", RIGHT},
        {"$\\frac{2x}{4}$", "$0.5x$", RIGHT},
        {"$(2,3]$", "$[2,3]$", WRONG},
        {"$\\{(1,2),(3,4)\\}$", "$(1,2),(3,4)$", RIGHT},
        {"$n(n+1)/2$", "$\\frac{n(n+1)}{2}$", RIGHT},
        {"$\\frac{n(n+1)}{2}$", "$\\frac{n^2+n}{2}$", RIGHT},
        {"$e$", "$2.718282$", RIGHT},
        {"$\\pi$", "$3.14$", WRONG},
        {"$\\pi$", "$3.141593$", RIGHT},
        {"$4\\sqrt{3}-3$", "$-3+4\\sqrt3$", RIGHT},
        {"$\\frac{1+\\sqrt5}{2}$", "$\\frac{\\sqrt5+1}{2}$", RIGHT},
        {"$\\text{yes}$", "yes", WRONG},
        {"$30^{\\circ}$", "$30$", RIGHT},
        {"$\\frac{2}{3}$", "$\\dfrac{4}{6}$", RIGHT},
        {"$k\\pi$", "$\\pi k$", RIGHT},
        {"$x\\neq 0$", "$x\\ne0$", RIGHT},
        {"$9.0$", "9", RIGHT},
        {"$\\frac{1}{3}$", "0.33", WRONG},
        {"$100$", "$1.0\\times 10^2$", RIGHT},
    };

    @Test
    void answersTheTable() {
        var reference = ReferenceVerifier.withDefaults();
        var wrong = new ArrayList<String>();
        for (String[] pair : PAIRS) {
            boolean correct = reference.verify(pair[1], false, pair[0]).correct();
            if (correct != pair[2].equals(RIGHT)) {
                wrong.add(String.join(" | ", pair));
            }
        }
        assertThat(wrong).isEmpty();
    }

    @Test
    void aGoldTextIsPreparedOnceForManyCompletions() {
        var reference = ReferenceVerifier.forReasoning();
        Prepared gold = reference.judge("so it is $\\frac{1}{2}$");
        assertThat(gold.usable()).isTrue();
        assertThat(gold.verdict("\\boxed{0.5}", false).reason()).isEqualTo(Reason.MATCH);
        assertThat(gold.verdict("\\boxed{0.6}", false).reason()).isEqualTo(Reason.MISMATCH);
        assertThat(gold.verdict("I do not know", false).reason()).isEqualTo(Reason.NO_ANSWER);
        assertThat(gold.verdict("let me see", true).reason()).isEqualTo(Reason.TRUNCATED);
        assertThat(gold.verdict("$\\cancel{?}$", false).reason()).isEqualTo(Reason.UNPARSABLE);
        assertThat(reference.judge("no answer at all").usable()).isFalse();
        assertThat(reference.judge("$\\cancel{?}$").usable()).isFalse();
    }

    @Test
    void choicesAreStringsThatStandAlone() {
        var letters = List.<ReferenceVerifier.Target>of(new ReferenceVerifier.Strings(List.of("A", "B", "C", "D"), true, true));
        var reference = new ReferenceVerifier(letters, letters, 6, true, false);
        assertThat(reference.verify("It cannot be A. The answer is **C**.", false, "C").correct()).isTrue();
        assertThat(reference.verify("A. Because B is wrong", false, "A").correct()).isTrue();
        assertThat(reference.verify("BAD CAB", false, "B").reason()).isEqualTo(Reason.NO_ANSWER);
    }

    /// An expression equals itself in another order and spelling, and differs from itself plus one; the seed is in the message.
    @Test
    void rearrangedExpressionsAreEqualAndOthersAreNot() {
        var reference = ReferenceVerifier.forReasoning();
        for (int seed = 0; seed < 2_000; seed++) {
            var random = new Random(seed);
            var terms = new ArrayList<String>();
            for (int i = 2 + random.nextInt(4); i > 0; i--) {
                terms.add(term(random));
            }
            String written = "$" + String.join("+", terms) + "$";
            Collections.shuffle(terms, random);
            String shuffled = String.join("+", terms);
            assertThat(reference.verify("$" + shuffled + "$", false, written).correct()).as("seed %d: %s, %s", seed, written, shuffled).isTrue();
            assertThat(reference.verify("$2(" + shuffled + ")/2$", false, written).correct()).as("seed %d: %s, %s", seed, written, shuffled).isTrue();
            assertThat(reference.verify("$" + shuffled + "+1$", false, written).correct()).as("seed %d: %s, %s + 1", seed, written, shuffled).isFalse();
            assertThat(reference.verify("$" + shuffled + "+x^7$", false, written).correct()).as("seed %d: %s, %s + x^7", seed, written, shuffled).isFalse();
        }
    }

    private static String term(Random random) {
        int n = 2 + random.nextInt(20);
        return switch (random.nextInt(8)) {
            case 0 -> n + "x^{" + random.nextInt(5) + "}";
            case 1 -> "\\frac{" + n + "}{y}";
            case 2 -> n + "\\sqrt{" + (2 + random.nextInt(30)) + "}";
            case 3 -> "\\frac{x+" + n + "}{x-" + n + "}";
            case 4 -> n + "\\pi";
            case 5 -> "\\sin(" + n + "x)";
            case 6 -> "e^{" + n + "y}";
            default -> String.valueOf(n);
        };
    }
}
