package rqat.verify.mathematics;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/// Both modes on the pairs of `pairs.txt`, which are none of the reference's own cases; false accepts and false rejects apart.
class AnswerPairsTest {

    @Test
    void bothModesGiveTheKnownVerdicts() throws IOException {
        var reference = ReferenceVerifier.forReasoning();
        var verifier = new MathVerifier();
        var accepts = new ArrayList<String>();
        var rejects = new ArrayList<String>();
        int pairs = 0;
        for (String line : lines()) {
            String[] parts = line.split(" \\| ", 3);
            String verdicts = parts[0].length() == 1 ? parts[0] + "/" + parts[0] : parts[0];
            assertThat(verdicts).as(line).matches("[+?-]/[+-]");
            boolean[] found = {
                reference.verify("So it is $\\boxed{" + parts[2] + "}$", false, "$" + parts[1] + "$").correct(),
                verifier.verify("So it is $\\boxed{" + parts[2] + "}$", false, parts[1]).correct()
            };
            for (int mode = 0; mode < 2; mode++) {
                char expected = verdicts.charAt(2 * mode);
                if (expected != '?' && found[mode] != (expected == '+')) (found[mode] ? accepts : rejects).add((mode == 0 ? "math-verify: " : "default: ") + line);
            }
            pairs++;
        }
        assertThat(pairs).isGreaterThan(150);
        assertThat(accepts).as("false accepts").isEmpty();
        assertThat(rejects).as("false rejects").isEmpty();
    }

    private static List<String> lines() throws IOException {
        try (InputStream file = AnswerPairsTest.class.getResourceAsStream("pairs.txt")) {
            assertThat(file).isNotNull();
            return new String(file.readAllBytes(), StandardCharsets.UTF_8).lines().filter(line -> !line.isBlank() && !line.startsWith("#")).toList();
        }
    }
}
