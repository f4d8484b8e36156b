package rqat.bench;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import rqat.verify.Verifier;
import rqat.verify.mathematics.MathVerifier;
import rqat.verify.mathematics.ReferenceVerifier;

/// Answer pairs a second in both modes, on completions of a few lines and of a hundred thousand characters, and the longest time that any
/// of many hostile inputs of up to a million characters takes. Times are processor time of one thread, so that a busy machine does not
/// change them much.
public final class VerifierBench {
    private static final ThreadMXBean CLOCK = ManagementFactory.getThreadMXBean();

    /// Gold answer and final answer, as benchmarks and models write them.
    private static final String[][] PAIRS = {
        {"18", "18"}, {"70000", "70,000"}, {"0.5", "\\frac{1}{2}"}, {"\\frac{14}{3}", "\\dfrac{14}{3}"}, {"2\\sqrt{3}", "\\sqrt{12}"}, {"27", "28"},
        {"\\frac{3}{56}", "0.0535714"}, {"(6,31,-1)", "(6, 31, -1)"}, {"-2,1", "1, -2"}, {"90^\\circ", "90"}, {"15\\mbox{ cm}^2", "15"}, {"50\\%", "0.5"},
        {"1 \\pm \\sqrt{19}", "1+\\sqrt{19}, 1-\\sqrt{19}"}, {"[-2,7]", "x \\in [-2, 7]"}, {"\\text{Evelyn}", "\\text{Evelyn}"}, {"x=5", "5"},
        {"p - q", "p-q"}, {"x^2+2x+1", "(x+1)^2"}, {"\\pi", "\\pi"}, {"4\\pi", "12.566371"}, {"\\left( 3, \\frac{\\pi}{2} \\right)", "(3, \\pi/2)"},
        {"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}"}, {"y=2x+3", "2x+3"}, {"204", "204"}, {"6 - 5i", "6-5i"}};

    public static void main(String[] arguments) {
        for (int round = 0; round < 2; round++) {
            throughput("short completions", "We simplify and find that the answer is what remains. Therefore it is ", 40_000, round == 1);
        }
        String thinking = "<think>" + "Let me check this again: 12 + 7 = 19, so $x = 19$ and the ratio is $\\frac{19}{4}$. ".repeat(1200) + "</think>\nThe answer is ";
        throughput("completions of 100,000 characters", thinking, 400, true);
        worst();
    }

    private static void throughput(String name, String prefix, int pairs, boolean print) {
        var clean = new MathVerifier();
        var reference = ReferenceVerifier.forReasoning();
        var golds = new Verifier.Judge[PAIRS.length];
        var prepared = new Verifier.Judge[PAIRS.length];
        for (int i = 0; i < PAIRS.length; i++) {
            golds[i] = clean.judge(PAIRS[i][0]);
            prepared[i] = reference.judge("$" + PAIRS[i][0] + "$");
        }
        int right = 0;
        long start = CLOCK.getCurrentThreadCpuTime();
        for (int i = 0; i < pairs; i++) {
            right += golds[i % PAIRS.length].verdict(prefix + "\\boxed{" + PAIRS[i % PAIRS.length][1] + "}.", false).correct() ? 1 : 0;
        }
        long middle = CLOCK.getCurrentThreadCpuTime();
        for (int i = 0; i < pairs; i++) {
            right += prepared[i % PAIRS.length].verdict(prefix + "$\\boxed{" + PAIRS[i % PAIRS.length][1] + "}$.", false).correct() ? 1 : 0;
        }
        long end = CLOCK.getCurrentThreadCpuTime();
        if (print) {
            System.out.printf("%s: default mode %,.0f pairs/s, math-verify mode %,.0f pairs/s (%d of %d right)%n",
                    name, 1e9 * pairs / (middle - start), 1e9 * pairs / (end - middle), right, 2 * pairs);
        }
    }

    private static void worst() {
        var times = new ArrayList<Map.Entry<Double, String>>();
        var clean = new MathVerifier();
        var reference = ReferenceVerifier.forReasoning();
        Map<String, String> texts = hostile();
        for (int round = 0; round < 2; round++) {
            times.clear();
            texts.forEach((name, text) -> {
                times.add(Map.entry(milliseconds(() -> clean.verify(text, false, "x+1")), "default: " + name));
                times.add(Map.entry(milliseconds(() -> clean.verify("\\boxed{x+2}", false, text)), "default, as gold: " + name));
                times.add(Map.entry(milliseconds(() -> reference.verify(text, false, "$x+1$")), "math-verify: " + name));
                times.add(Map.entry(milliseconds(() -> reference.verify("\\boxed{x+2}", false, text)), "math-verify, as gold: " + name));
            });
            times.sort(Comparator.comparingDouble((Map.Entry<Double, String> time) -> -time.getKey()));
            System.out.printf("hostile inputs, round %d: %d verdicts, the slowest%n", round + 1, times.size());
            times.stream().limit(5).forEach(time -> System.out.printf("  %6.1f ms  %s%n", time.getKey(), time.getValue()));
        }
    }

    private static double milliseconds(Runnable work) {
        long start = CLOCK.getCurrentThreadCpuTime();
        work.run();
        return (CLOCK.getCurrentThreadCpuTime() - start) / 1e6;
    }

    private static Map<String, String> hostile() {
        var texts = new LinkedHashMap<String, String>();
        for (String piece : List.of("{", "}", "\\boxed{", "\\fbox 1", "<think>", "</think>", "\\", "$", "$$", "(", "a", " ", "\\boxed{1}", "</think>\\boxed{", "\\[", "\\( ",
                "answer ", "answer:", "final answer is ", "final answer is 5 ", "Answer: = ", " 1", " 1 +", " 1+1x", "1,", "$x$ ", "$q", "\\frac{1}{2}", "\\frac{", " [x] ",
                "$x($", "$((((1))))$", "\n", "\\$", "1 000 ", "=", "$\\boxed{?}$ and ", "$2^{2^{2}}$ ", "\\sqrt{2}+", "\u0130", "####")) {
            texts.put("1 MB of " + piece.replace("\n", "line ends"), piece.repeat(1_000_000 / piece.length()));
            texts.put("a box of " + piece.replace("\n", "line ends"), "\\boxed{" + piece.repeat(3_900 / piece.length()) + "}");
            texts.put("a formula of " + piece.replace("\n", "line ends"), "$" + piece.repeat(3_900 / piece.length()) + "$");
        }
        for (String answer : List.of("10^10^10", "10^{10^{10}}", "9^{9^{9^{9}}}", "2^{-99999999999}", "1000000!", "((((9!)!)!)!)!", "5000!/4999!", "\\binom{100000}{50000}",
                "\\sum_{k=1}^{2000} \\sin k", "\\sum_{a=1}^{2000}\\sum_{b=1}^{2000} ab", "\\prod_{k=1}^{99999999} k", "e^{e^{e^{e^{10}}}}", "\\sin(10^{100})",
                "(1+x)^{100000}", "(a+b+c+d)^{150}", "(a+b+c)^{90}(a-b)^{90}", "\\pi^{\\pi^{\\pi^{\\pi}}}", "(\\sqrt2+\\sqrt3+\\sqrt5+\\sqrt7)^{50}",
                "\\sqrt{".repeat(90) + "2" + "}".repeat(90), "\\sqrt{".repeat(900) + "2" + "}".repeat(900), "x(".repeat(90) + "1" + ")".repeat(90),
                "f(".repeat(90) + "x,1" + ")".repeat(90), "x^{".repeat(90) + "2" + "}".repeat(90), "{".repeat(100_000), "9".repeat(3_900), "1/" + "9".repeat(1_000) + "+1/" + "7".repeat(1_000),
                "\\sqrt{999999999999989}+".repeat(100) + "1", "\\begin{pmatrix}1 & x\\\\ y & 2\\end{pmatrix}^6", "1<".repeat(500) + "x", "x=".repeat(1_900) + "1")) {
            texts.put("\\boxed{" + answer.substring(0, Math.min(answer.length(), 40)) + "}", "\\boxed{" + answer + "}");
        }
        return texts;
    }
}
