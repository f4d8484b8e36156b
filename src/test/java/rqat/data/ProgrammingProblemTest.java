package rqat.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.DeflaterOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import rqat.Failure;
import rqat.data.DataSource.Publication;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

class ProgrammingProblemTest {

    @Test
    void publicTestsComeBeforeThePrivateOnesThatPythonPacked() {
        List<ProgrammingProblem> problems;
        try (Stream<Row> rows = DataSource.of(ExerciseTest.DATA)
                .rows(Publication.of("lcb", "livecodebench/code_generation_lite", "test{4,5}.jsonl"))) {
            problems = rows.map(ProgrammingProblem::of).toList();
        }
        assertThat(problems).extracting(ProgrammingProblem::id).containsExactly("q1", "q2", "q3", "q4");
        assertThat(problems).extracting(problem -> problem.functionName().orElse("stdin")).containsExactly("stdin", "addNumbers", "stdin", "stdin");
        assertThat(problems.get(1).starterCode()).startsWith("class Solution:\n    def addNumbers");
        assertThat(problems.get(0).statement()).isEqualTo("Add two numbers, é case 1.");
        for (ProgrammingProblem problem : problems) {
            boolean stdin = problem.functionName().isEmpty();
            assertThat(problem.tests()).extracting(ProgrammingProblem.Test::input)
                    .containsExactlyElementsOf(stdin ? List.of("1 2\n", "2 2\n", "3 3\n", "4 4\n") : List.of("1\n2", "2\n2", "3\n3", "4\n4"));
            assertThat(problem.tests()).extracting(test -> test.output().strip()).containsExactly("3", "4", "6", "8");
        }
    }

    /// What CPython wrote for the text `hi` or for something else; only the former may be read.
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            protocol 2                  | 8002580200000068697100 2e                       | hi
            protocol 4                  | 8004950600000000000000 8c02686994 2e            | hi
            without a memo              | 80038c026869 2e                                 | hi
            with a long memo            | 8003580200000068697201000000 2e                 | hi
            an eight-byte length        | 80048d02000000000000006869 94 2e                | hi
            os.system                   | 8002 636f730a73797374656d0a 580000000071008571015271022e |
            a number                    | 80024b052e                                      |
            a list                      | 80025d71002e                                    |
            two texts                   | 80048c0161 8c0162 2e                            |
            text after the end          | 80048c0161942e 00                               |
            a length beyond the end     | 800458ffffffff61 2e                             |
            a negative length           | 80048dffffffffffffffff61 2e                     |
            a frame of another length   | 8004950700000000000000 8c02686994 2e            |
            protocol 0                  | 5668690a70300a2e                                |
            protocol 9                  | 80098c026869 2e                                 |
            cut off                     | 80048c05686 9                                   |
            nothing                     | ''                                              |
            """)
    void onlyAPickledTextIsRead(String name, String hex, String expected) {
        byte[] pickle = HexFormat.of().parseHex(hex.replace(" ", ""));
        if (expected != null) {
            assertThat(PickledText.read(pickle)).isEqualTo(expected);
        } else {
            assertThatThrownBy(() -> PickledText.read(pickle)).as(name).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void everyCutOfAPickleIsRefused() {
        byte[] pickle = HexFormat.of().parseHex("80049506000000000000008c026869942e");
        assertThat(PickledText.read(pickle)).isEqualTo("hi");
        for (int length = 0; length < pickle.length; length++) {
            byte[] cut = java.util.Arrays.copyOf(pickle, length);
            assertThatThrownBy(() -> PickledText.read(cut)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void damagedTestsAreNamedWithTheirPlace() throws IOException {
        assertThatThrownBy(() -> problem("!!!").tests()).isInstanceOf(Failure.class).hasMessageContaining("made.jsonl:3: `private_test_cases`");
        assertThatThrownBy(() -> problem(packed(new byte[] {1, 2, 3})).tests()).hasMessageContaining("no protocol header");
        String half = packed(("\u0080\u0004X").getBytes(StandardCharsets.ISO_8859_1));
        assertThatThrownBy(() -> problem(half.substring(0, 8)).tests()).isInstanceOf(Failure.class);
        assertThatThrownBy(() -> problem("[{\"input\": 1}]").tests()).hasMessageContaining("expected an object with the texts");
    }

    @Test
    void aBombIsNotUnpacked() throws IOException {
        var bomb = new ByteArrayOutputStream();
        try (var deflater = new DeflaterOutputStream(bomb)) {
            byte[] zeros = new byte[1 << 20];
            for (int i = 0; i < 600; i++) deflater.write(zeros);
        }
        String text = Base64.getEncoder().encodeToString(bomb.toByteArray());
        assertThatThrownBy(() -> problem(text).tests()).isInstanceOf(Failure.class).hasMessageContaining("more than 536,870,912 bytes");
    }

    private static ProgrammingProblem problem(String privateTests) {
        ObjectNode fields = JsonMapper.shared().createObjectNode()
                .put("question_id", "q")
                .put("question_content", "c")
                .put("public_test_cases", "[]")
                .put("private_test_cases", privateTests);
        return ProgrammingProblem.of(new Row("made.jsonl", 3, fields));
    }

    private static String packed(byte[] bytes) throws IOException {
        var packed = new ByteArrayOutputStream();
        try (var deflater = new DeflaterOutputStream(packed)) {
            deflater.write(bytes);
        }
        return Base64.getEncoder().encodeToString(packed.toByteArray());
    }
}
