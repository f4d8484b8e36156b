package rqat.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.Fixtures;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Every id and every character as the tokenizers library gives them, for every tokenizer in the fixtures.
class TokenizerFixtureTest {

    private static final JsonMapper JSON = new JsonMapper();

    @TestFactory
    Stream<DynamicTest> encodesAndDecodesLikeTheReference() throws IOException {
        return tokenizers().stream().flatMap(folder -> {
            Tokenizer tokenizer = Tokenizer.load(folder);
            return JSON.readTree(folder.resolve("encode_cases.json")).get("cases").valueStream()
                    .map(testCase -> DynamicTest.dynamicTest(
                            folder.getFileName() + " " + testCase.get("name").stringValue(),
                            () -> check(tokenizer, testCase)));
        });
    }

    private static void check(Tokenizer tokenizer, JsonNode testCase) {
        String text = testCase.get("text").stringValue();
        int[] ids = ids(testCase.get("ids"));
        assertThat(tokenizer.encode(text)).containsExactly(ids);
        assertThat(tokenizer.encodeWithSpecial(text))
                .containsExactly(testCase.has("ids_with_special") ? ids(testCase.get("ids_with_special")) : ids);
        assertThat(tokenizer.decode(ids)).isEqualTo(testCase.get("decoded").stringValue());
        assertThat(tokenizer.decode(ids, true)).isEqualTo(testCase.get("decoded_skip_special").stringValue());

        Tokenizer.Encoding encoding = tokenizer.encodeWithOffsets(text);
        assertThat(encoding.ids()).containsExactly(ids);
        int covered = 0;
        for (int i = 0; i < ids.length; i++) {
            assertThat(encoding.starts()[i]).as("token %d starts where text is covered", i).isLessThanOrEqualTo(covered);
            assertThat(encoding.ends()[i]).as("token %d ends", i).isGreaterThan(encoding.starts()[i]);
            covered = Math.max(covered, encoding.ends()[i]);
        }
        assertThat(covered).isEqualTo(text.length());
    }

    @TestFactory
    Stream<DynamicTest> decodesArbitraryIdsLikeTheReference() throws IOException {
        return tokenizers().stream().flatMap(folder -> {
            Tokenizer tokenizer = Tokenizer.load(folder);
            return JSON.readTree(folder.resolve("decode_cases.json")).get("cases").valueStream()
                    .map(testCase -> DynamicTest.dynamicTest(folder.getFileName() + " " + testCase.get("ids"), () -> {
                        int[] ids = ids(testCase.get("ids"));
                        String text = testCase.get("text").stringValue();
                        assertThat(tokenizer.decode(ids)).isEqualTo(text);
                        assertThat(tokenizer.decode(ids, true)).isEqualTo(testCase.get("text_skip_special").stringValue());
                        assertThat(streamed(tokenizer.detokenizer(false), ids)).isEqualTo(text);
                    }));
        });
    }

    private static String streamed(Detokenizer detokenizer, int[] ids) {
        StringBuilder text = new StringBuilder();
        for (int id : ids) {
            text.append(detokenizer.push(id));
        }
        return text.append(detokenizer.finish()).toString();
    }

    private static int[] ids(JsonNode array) {
        return JSON.convertValue(array, int[].class);
    }

    private static List<Path> tokenizers() throws IOException {
        try (Stream<Path> folders = Files.list(Fixtures.path("tokenizer"))) {
            List<Path> found = folders.filter(folder -> Files.exists(folder.resolve("encode_cases.json"))).sorted().toList();
            assertThat(found).isNotEmpty();
            return found;
        }
    }
}
