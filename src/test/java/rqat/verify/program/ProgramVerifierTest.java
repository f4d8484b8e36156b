package rqat.verify.program;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.verify.Attempt;
import rqat.verify.Reason;
import rqat.verify.Verdict;
import rqat.verify.program.ProgramVerifier.Mode;
import rqat.verify.program.ProgramVerifier.Result;

/// The rules of LiveCodeBench: extraction, standard input, functions, limits, comparison.
class ProgramVerifierTest {
    private static ProgramVerifier faithful;
    private static ProgramVerifier repaired;

    @BeforeAll
    static void sandbox() {
        Sandbox.Detection detection = Sandbox.detect();
        Assumptions.assumeTrue(detection.sandbox() != null, detection.refusal());
        faithful = new ProgramVerifier(detection.sandbox(), Mode.FAITHFUL);
        repaired = new ProgramVerifier(detection.sandbox(), Mode.REPAIRED);
    }

    @Test
    void takesTheCodeBetweenTheLastTwoFences() {
        assertThat(CodeBlocks.lastTwoFences("a\n```python\nfirst\n```\ntext\n```python\nsecond\nline\n```\nend")).isEqualTo("second\nline");
        assertThat(CodeBlocks.lastTwoFences("```python\nunclosed")).isEmpty();
        assertThat(CodeBlocks.lastTwoFences("no code")).isEmpty();
        assertThat(CodeBlocks.lastTwoFences("```python x = 1```")).isEmpty();
        assertThat(CodeBlocks.lastTwoFences("```\n```")).isEmpty();
        // text between the end of one block and the beginning of the next, as the reference takes it
        assertThat(CodeBlocks.lastTwoFences("```\na\n```\nb\n```")).isEqualTo("b");
    }

    /// Fences that a reader sees: in the items of a list, around an example behind the program, inside each other.
    @Test
    void takesTheLastBlockOfPython() {
        assertThat(CodeBlocks.lastProgram("a\n```python\nfirst\n```\ntext\n```python\nsecond\nline\n```\nend")).isEqualTo("second\nline\n");
        assertThat(CodeBlocks.lastProgram("1. Read:\n   ```python\n   for x in y:\n     print(x)\n   ```\n2. Done.")).isEqualTo("for x in y:\n  print(x)\n");
        assertThat(CodeBlocks.lastProgram("- ```py\n  a\n\n    b\n  ```")).isEqualTo("a\n\n  b\n");
        assertThat(CodeBlocks.lastProgram("12) ```\n\ta\n    ```")).isEqualTo("a\n");
        assertThat(CodeBlocks.lastProgram("\t```python\n\ta\n\t```")).isEqualTo("a\n");
        assertThat(CodeBlocks.lastProgram("```python\na\n```\nprints\n```\n5\n```")).isEqualTo("a\n");
        assertThat(CodeBlocks.lastProgram("```\na\n```\nb\n```")).isEqualTo("a\n");
        assertThat(CodeBlocks.lastProgram("````python\nx = 1\n```\ny = 2\n````")).isEqualTo("x = 1\n```\ny = 2\n");
        assertThat(CodeBlocks.lastProgram("~~~python\na\n~~~")).isEqualTo("a\n");
        assertThat(CodeBlocks.lastProgram("```python\na\n```\n```python\nunclosed")).isEqualTo("a\n");
        assertThat(CodeBlocks.lastProgram("```python\r\na\r\n```\r\n")).isEqualTo("a\n");
        for (String none : List.of("", "no code", "```python\nunclosed", "```python x = 1```", "```\n```")) assertThat(CodeBlocks.lastProgram(none)).isEmpty();
    }

    @Test
    void codeInThinkingCountsForNothing() {
        String gold = "{\"inputs\": [\"\"], \"outputs\": [\"5\"]}";
        String code = "```python\nprint(5)\n```\n";
        assertThat(repaired.verify("<think>\n" + code + "</think>\nI cannot.", false, gold)).isEqualTo(new Verdict(Reason.NO_ANSWER, ""));
        assertThat(repaired.verify("<think>\n" + code, true, gold)).isEqualTo(new Verdict(Reason.TRUNCATED, ""));
        assertThat(repaired.judge(gold).verdict(new Attempt(code, false, true))).isEqualTo(new Verdict(Reason.NO_ANSWER, ""));
        assertThat(repaired.judge(gold).verdict(new Attempt(code, true, true))).isEqualTo(new Verdict(Reason.TRUNCATED, ""));
        assertThat(repaired.judge(gold).verdict(new Attempt("```\nprint(4)\n```\n</think>\n" + code, false, true)).reason()).isEqualTo(Reason.MATCH);
        assertThat(faithful.verify("<think>\n" + code + "</think>\nI cannot.", false, gold).reason()).isEqualTo(Reason.MATCH);
        assertThat(repaired.verify("1. So:\n   ```python\n   if 1:\n     print(5)\n   ```\n", false, gold).reason()).isEqualTo(Reason.MATCH);
        assertThat(repaired.verify("The code: ```python\nprint(5)\n```\n", false, gold).reason()).isEqualTo(Reason.MATCH);
    }

    /// Programs that are right in a process of their own.
    @Test
    void rightProgramsAreRight() {
        for (String program : List.of(
                "n = 0\ndef add(x):\n    global n\n    n += x\nadd(int(input()))\nadd(int(input()))\nprint(n)",
                "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: P | None = None\nprint(P(int(input())).x + int(input()))",
                "a, b = int(input()), int(input())\nprint(a + b)\nexit()\nprint('no')",
                "import os\na, b = os.read(0, 100).split()\nos.write(1, b'%d\\n' % (int(a) + int(b)))\nos._exit(0)",
                "import os, io, sys\nsys.stdin = io.TextIOWrapper(io.BytesIO(os.read(0, max(os.fstat(0).st_size, 8192))))\nprint(sum(map(int, sys.stdin)))",
                "import sys, threading\nsys.setrecursionlimit(10 ** 6)\nthreading.stack_size(1 << 26)\ndef main():\n    print(int(input()) + int(input()))\nthreading.Thread(target=main).start()",
                "import atexit, io, sys\nout = io.StringIO()\natexit.register(lambda: sys.__stdout__.write(out.getvalue()))\nprint(int(input()) + int(input()), file=out)",
                "def main():\n    print(int(input()) + int(input()))\nif __name__ == '__main__':\n    main()\n    x = 1\nassert x == 1",
                "x: int = 1\nclass A:\n    y = x\n    def f(self): return sum(x + int(z) for z in open(0)) - 2 * self.y\nprint(A().f())",
                "print(sum(map(int, open('/dev/stdin'))))",
                "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
                "import fileinput\nprint(sum(int(line) for line in fileinput.input()))",
                "exec('a = int(input())')\nprint(a + int(input()))\nimport sys\nsys.exit('the end')")) {
            assertThat(repaired.run(program, new ProgramTests(null, List.of("3\r\n4\r\n", "2\n5"), List.of("7", "7"))))
                    .as(program).isEqualTo(new Result(Reason.MATCH, 2, ""));
        }
    }

    /// What one test leaves behind is not there in the next, and a program that breaks off is told from one that is wrong.
    @Test
    void everyTestHasAProcessOfItsOwn() {
        var tests = new ProgramTests(null, List.of("1", "2"), List.of("1", "1"));
        assertThat(repaired.run("import math\nmath.seen = getattr(math, 'seen', 0) + 1\nprint(math.seen)", tests)).isEqualTo(new Result(Reason.MATCH, 2, ""));
        assertThat(repaired.run("print(1)\nraise ValueError('late')", tests)).isEqualTo(new Result(Reason.PROGRAM_ERROR, 0, "`ValueError: late`"));
        assertThat(repaired.run("import os\nos.abort()", tests).reason()).isEqualTo(Reason.PROGRAM_ERROR);
        assertThat(repaired.run("import os\nif os.fork() == 0:\n    import time; time.sleep(60)\nprint(1)", tests).reason()).isEqualTo(Reason.MATCH);
        String long100 = "1\n".repeat(100_000);
        assertThat(repaired.run("import os\nprint(input())\nif os.fork() == 0:\n    import time; time.sleep(60)", new ProgramTests(null, Collections.nCopies(70, long100), Collections.nCopies(70, "1"))))
                .as("neither input that is not read nor processes that are left run out of pipes or places").isEqualTo(new Result(Reason.MATCH, 70, ""));
    }

    @Test
    void scoresACompletion() {
        String gold = "{\"inputs\": [\"3 4\\n\"], \"outputs\": [\"7\\n\"]}";
        String right = "So:\n```python\na, b = map(int, input().split())\nprint(a + b)\n```\n";
        assertThat(repaired.verify(right, false, gold).reason()).isEqualTo(Reason.MATCH);
        assertThat(repaired.verify(right.replace("+", "*"), false, gold).reason()).isEqualTo(Reason.MISMATCH);
        assertThat(repaired.verify("```python\nwhile True", true, gold)).isEqualTo(new Verdict(Reason.TRUNCATED, ""));
        assertThat(repaired.verify("7", false, gold)).isEqualTo(new Verdict(Reason.NO_ANSWER, ""));
        assertThat(repaired.verify(right.replace("print", "primt"), false, gold).reason()).isEqualTo(Reason.PROGRAM_ERROR);
        assertThat(repaired.verify("```\nthis is no Python\n```", false, gold).reason()).isEqualTo(Reason.PROGRAM_ERROR);
    }

    @Test
    void runsScriptsInBothModes() {
        for (String program : List.of(
                "n = int(input())\nprint(*[int(input()) ** 2 for _ in range(n)], sep='\\n')",
                "import sys\ndef main():\n    n, *rest = map(int, sys.stdin.read().split())\n    for x in rest: print(x * x)\nif __name__ == '__main__':\n    main()",
                "import sys\ninput = sys.stdin.readline\nn = int(input())\nfor _ in range(n):\n    print(int(input()) ** 2)\nsys.exit(0)",
                "from sys import stdin\nn = int(stdin.readline())\nfor _ in range(n): print(int(stdin.readline()) ** 2)",
                "import sys\ndata = sys.stdin.buffer.read().split()\nfor x in data[1:]: print(int(x) ** 2)",
                "import sys\nlines = sys.stdin.readlines()\nsys.stdout.write(''.join(str(int(x) ** 2) + '\\n' for x in lines[1:] if x.strip()))",
                // the prelude of the reference: names that the program never imported
                "n = int(input())\nd = deque(int(input()) for _ in range(n))\nprint('\\n'.join(str(int(pow(x, 2))) for x in d))")) {
            for (ProgramVerifier verifier : List.of(faithful, repaired)) {
                assertThat(verifier.run(program, new ProgramTests(null, List.of("2\n3\n4\n", "1\n-5\n"), List.of("9\n16\n", "25"))))
                        .as("%s\n%s", verifier.mode(), program)
                        .isEqualTo(new Result(Reason.MATCH, 2, ""));
            }
        }
    }

    @Test
    void reproducesOrRepairsTheStreamsOfTheReference() {
        for (String program : List.of(
                "import sys\nfor line in sys.stdin: print(int(line) ** 2)",
                "import sys\ninput = sys.stdin.buffer.readline\nprint(int(input()) ** 2)\nprint(int(input()) ** 2)",
                "for line in open(0): print(int(line) ** 2)",
                "import sys\nsys.stdout.buffer.write(b''.join(b'%d\\n' % int(x) ** 2 if False else str(int(x) ** 2).encode() + b'\\n' for x in sys.stdin.read().split()))",
                "from sys import stdin, stdout\nfor x in stdin.read().split(): stdout.write(str(int(x) ** 2) + '\\n')",
                "class Solution:\n    def run(self, x): return x * x\ns = Solution()\nprint(s.run(int(input())))\nprint(s.run(int(input())))")) {
            var tests = new ProgramTests(null, List.of("3\n4\n", "5\n6\n"), List.of("9\n16", "25\n36"));
            assertThat(repaired.run(program, tests)).as(program).isEqualTo(new Result(Reason.MATCH, 2, ""));
            assertThat(faithful.run(program, tests).reason()).as(program).isNotEqualTo(Reason.MATCH);
        }
    }

    @Test
    void callsFunctions() {
        var tests = new ProgramTests("twoSum", List.of("[2, 7, 11]\n9", "[3, 3]\n6"), List.of("[0, 1]", "[0, 1]"));
        String method = "class Solution:\n    def twoSum(self, nums: List[int], target: int) -> List[int]:\n"
                + "        for i, j in combinations(range(len(nums)), 2):\n            if nums[i] + nums[j] == target: return %s";
        for (String result : List.of("[i, j]", "(i, j)", "[float(i), True]", "[i, Fraction(j)]")) {
            String code = "from fractions import Fraction\n" + method.formatted(result);
            assertThat(repaired.run(code, tests)).as(result).isEqualTo(new Result(Reason.MATCH, 2, ""));
        }
        for (String result : List.of("[j, i]", "[i, j, j]", "[[i], j]", "str([i, j])", "{i, j}", "None", "[i, (j,)]", "object()", "[i, j + 1e-9]")) {
            assertThat(repaired.run(method.formatted(result), tests).reason()).as(result).isEqualTo(Reason.MISMATCH);
        }
        assertThat(repaired.run("def twoSum(nums, target): return [0, 1]", tests).reason()).isEqualTo(Reason.MATCH);
        assertThat(repaired.run("def other(): pass", tests).reason()).isEqualTo(Reason.PROGRAM_ERROR);
        assertThat(repaired.run(method.formatted("[i, 1 // 0]"), tests).reason()).isEqualTo(Reason.PROGRAM_ERROR);
        // one process for all tests: what an instance remembers, it remembers
        assertThat(repaired.run("class Solution:\n    seen = 0\n    def twoSum(self, *_):\n        Solution.seen += 1\n        return [0, self.seen]", tests))
                .isEqualTo(new Result(Reason.MISMATCH, 1, "test 2 of 2: wrong answer"));
    }

    @Test
    void comparesTheResultsOfFunctionsAsPython() {
        for (String same : List.of("1|1.0", "True|1", "[]|[]", "{'a': [1]}|{\"a\": [1]}", "None|null", "'x'|\"x\"", "10 ** 5000|1" + "0".repeat(5000),
                "0.1|0.1", "0.30000000000000004|0.30000000000000004", "float('inf')|Infinity", "'\\ud800'|\"\\ud800\"")) {
            String[] sides = same.split("\\|");
            assertThat(repaired.run("def g(_): return " + sides[0], functional(sides[1])).reason()).as(same).isEqualTo(Reason.MATCH);
        }
        for (String different : List.of("1|2", "0.1 + 0.2|0.3", "float('nan')|NaN", "{1: 2}|{\"1\": 2}", "'1'|1", "[1]|1", "{}|[]", "10 ** 16 + 1|1e16",
                "10 ** 400|Infinity", "None|0", "False|null")) {
            String[] sides = different.split("\\|");
            assertThat(repaired.run("def g(_): return " + sides[0], functional(sides[1])).reason()).as(different).isEqualTo(Reason.MISMATCH);
        }
    }

    private static ProgramTests functional(String expected) {
        return new ProgramTests("g", List.of("0"), List.of(expected));
    }

    @Test
    void limitsTheTimeOfEachTest() {
        var quick = new ProgramVerifier(repaired.sandbox(), Mode.REPAIRED, 0.5, Limits.DEFAULT);
        var tests = new ProgramTests(null, List.of("1", "2"), List.of("1", "2"));
        assertThat(quick.run("x = input()\nwhile x == '2': pass\nprint(x)", tests)).isEqualTo(new Result(Reason.TIMEOUT, 1, "more than 0.5 s for one test"));
        assertThat(quick.run("import time\nx = input()\ntime.sleep(0.3)\nprint(x)", tests).reason()).isEqualTo(Reason.MATCH);
        assertThat(quick.run("def f(x):\n    while True: pass", new ProgramTests("f", List.of("1"), List.of("1"))).reason()).isEqualTo(Reason.TIMEOUT);
        assertThat(quick.run("while True: pass\ndef f(x): return 1", new ProgramTests("f", List.of("1"), List.of("1"))).reason())
                .isEqualTo(Reason.TIMEOUT);
    }

    @Test
    void passesLargeInputsAndOutputs() {
        String large = "123456789 ".repeat(300_000);
        assertThat(repaired.run("print(input())", new ProgramTests(null, List.of(large), List.of(large))).reason()).isEqualTo(Reason.MATCH);
        var small = new ProgramVerifier(repaired.sandbox(), Mode.REPAIRED, 6, new Limits(1L << 30, 16, 64, 1 << 20, 1 << 20, 60));
        assertThat(small.run("print(input())", new ProgramTests(null, List.of(large), List.of(large))).reason()).isEqualTo(Reason.PROGRAM_ERROR);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "1 2 3|1 2 3|true", "1.50|1.5|true", "1e3|1000|true", "1 2|1  2|true", "-0|0|true", "+7|7|true", "0.1|0.10000000001|false", "1|1 1|false",
        "yes|YES|false", "a 1.0|a 1|false", "1_000|1000|true", "inf|Infinity|true", "nan|nan|true", "nan 1|nan 1.0|false", "1e400|1e401|false",
        "0e99|0|true", "10000000000000001|10000000000000000|false", "1/2|0.5|false", "0x10|16|false", ".5|0.5|true", "5.|5|true", "1e|1|false",
        "1e9999999999999999999|2e9999999999999999999|false", "٣|3|true"})
    void comparesLinesAsTextOrAsExactDecimals(String found, String expected, boolean same) {
        assertThat(Outputs.sameText(found, expected)).isEqualTo(same);
        assertThat(Outputs.sameText(expected, found)).isEqualTo(same);
    }

    @Test
    void ignoresOnlyWhitespaceAtTheEndsOfLinesAndText() {
        assertThat(Outputs.sameText("\n\n a \n b\t\n\n", "a\nb")).isTrue();
        assertThat(Outputs.sameText("a\n\nb", "a\nb")).isFalse();
        assertThat(Outputs.sameText("a\r\nb\r\n", "a\nb")).isTrue();
        assertThat(Outputs.sameText("", "\n")).isTrue();
        String digits = "9".repeat(2_000_000);
        assertThat(Outputs.sameText(digits + ".0", digits)).isTrue();
    }

    @Test
    void refusesTestsThatAreNone() {
        for (String gold : List.of("", "[]", "{}", "{\"inputs\": [], \"outputs\": []}", "{\"inputs\": [\"1\"], \"outputs\": []}",
                "{\"inputs\": [1], \"outputs\": [\"1\"]}", "{\"inputs\": [\"1\"], \"outputs\": [\"not json\"], \"fn_name\": \"f\"}",
                "{\"inputs\": [\"1\"], \"outputs\": [\"1\"], \"fn_name\": 3}")) {
            assertThatThrownBy(() -> ProgramTests.parse(gold)).as(gold).isInstanceOf(Failure.class);
        }
        assertThat(ProgramTests.parse("{\"inputs\": [\"1\"], \"outputs\": [\"1\"], \"fn_name\": null}").function()).isNull();
    }

    @Test
    void refusesToRunWhereThereIsNoSandbox() {
        Sandbox.Detection none = Sandbox.detect(List.of());
        assertThat(none.refusal()).contains("`bwrap` is not installed").contains("`unshare` is not installed");
        assertThatThrownBy(none::required).isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(4))
                .hasMessageContaining("install bubblewrap");
    }
}
