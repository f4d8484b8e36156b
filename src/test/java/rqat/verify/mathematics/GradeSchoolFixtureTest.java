package rqat.verify.mathematics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import rqat.verify.Reason;
import rqat.verify.Verifier;
import tools.jackson.databind.json.JsonMapper;

/// Every published answer of GSM8K is understood; its own solution is right, and the same solution with another number is wrong.
class GradeSchoolFixtureTest {

    private static final Path FOLDER = Path.of(System.getProperty("rqat.data", ""), "gsm8k");

    private static List<String> answers() throws IOException {
        var mapper = new JsonMapper();
        var answers = new ArrayList<String>();
        for (String file : List.of("train.jsonl", "test.jsonl")) {
            for (String line : Files.readAllLines(FOLDER.resolve(file))) {
                answers.add(mapper.readTree(line).path("answer").asString());
            }
        }
        return answers;
    }

    /// The solution with its number, and with one more, behind `####` and in a box.
    private record Solution(String published, String boxed, String changed, String changedBox) {
        static Solution of(String answer) {
            int mark = answer.lastIndexOf("####");
            String text = answer.substring(0, mark);
            String number = answer.substring(mark + 4).strip();
            String another = new BigDecimal(number.replace(",", "")).add(BigDecimal.ONE).toPlainString();
            return new Solution(answer, text + "\\boxed{" + number + "}", text + "#### " + another, text + "\\boxed{" + another + "}");
        }
    }

    @Test
    void theGoldSolutionsAreRightAndChangedOnesWrong() throws IOException {
        assumeTrue(Files.isDirectory(FOLDER), "data are absent");
        List<String> answers = answers();
        assertThat(answers).hasSizeGreaterThan(8_000);
        assertThat(Gold.texts(answers)).isEmpty();
        var verifier = new MathVerifier();
        for (String answer : answers) {
            Verifier.Judge judge = verifier.judge(answer);
            Solution solution = Solution.of(answer);
            assertThat(judge.verdict(solution.published(), false).reason()).as(answer).isEqualTo(Reason.MATCH);
            assertThat(judge.verdict(solution.boxed(), false).reason()).as(answer).isEqualTo(Reason.MATCH);
            assertThat(judge.verdict(solution.changed(), false).reason()).as(answer).isEqualTo(Reason.MISMATCH);
            assertThat(judge.verdict(solution.changedBox(), false).reason()).as(answer).isEqualTo(Reason.MISMATCH);
        }
    }

    /// In the other mode too, when the gold answer is the number alone. The whole gold text would be searched, where the reference takes
    /// the number behind the word "answer" of a few solutions.
    @Test
    void theReferenceModeAgrees() throws IOException {
        assumeTrue(Files.isDirectory(FOLDER), "data are absent");
        var verifier = ReferenceVerifier.forReasoning();
        for (String answer : answers()) {
            ReferenceVerifier.Prepared judge = verifier.judge("$" + Gold.of(answer).text() + "$");
            assertThat(judge.usable()).as(answer).isTrue();
            Solution solution = Solution.of(answer);
            assertThat(judge.verdict("$" + solution.boxed() + "$", false).reason()).as(answer).isEqualTo(Reason.MATCH);
            assertThat(judge.verdict("$" + solution.changedBox() + "$", false).correct()).as(answer).isFalse();
        }
    }
}
