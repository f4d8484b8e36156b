package rqat.text;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import rqat.Fixtures;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Every rendering, character for character, and every assistant mask, token for token, as transformers gives them.
class ChatTemplateFixtureTest {

    private static final JsonMapper JSON = new JsonMapper();

    @TestFactory
    Stream<DynamicTest> rendersLikeTheReference() throws IOException {
        return files(".cases.json").stream().flatMap(ChatTemplateFixtureTest::cases);
    }

    @TestFactory
    Stream<DynamicTest> masksWhatTheAssistantSaysLikeTheReference() throws IOException {
        return files(".masks.json").stream().flatMap(ChatTemplateFixtureTest::cases);
    }

    private static Stream<DynamicTest> cases(Path file) {
        JsonNode root = JSON.readTree(file);
        Path templates = file.getParent();
        String name = root.get("template").stringValue();
        Map<String, String> specialTokens = new HashMap<>();
        for (String token : List.of("bos_token", "eos_token")) {
            if (root.path(token).isString()) {
                specialTokens.put(token, root.get(token).stringValue());
            }
        }
        ChatTemplate template = ChatTemplate.of(read(templates.resolve(name)), specialTokens);
        Tokenizer tokenizer = Tokenizer.load(templates.resolveSibling(root.get("tokenizer").stringValue()));
        JsonNode conversations = JSON.readTree(templates.resolve("conversations.json"));
        assertThat(root.get("cases").size()).isPositive();
        return root.get("cases").valueStream().map(testCase -> {
            String conversation = testCase.get("conversation").stringValue();
            Map<String, Object> variables = JSON.convertValue(testCase.path("kwargs"), new TypeReference<>() {});
            Map<String, Object> arguments = variables == null ? new HashMap<>() : new HashMap<>(variables);
            boolean prompt = Boolean.TRUE.equals(arguments.remove("add_generation_prompt"));
            arguments.computeIfPresent("tools", (_, _) -> JSON.convertValue(root.get("tools_argument"), Object.class));
            return DynamicTest.dynamicTest(name + " " + conversation + " " + testCase.path("kwargs"), () -> {
                List<Map<String, Object>> messages =
                        JSON.convertValue(conversations.get(conversation), new TypeReference<>() {});
                ChatTemplate.Rendering rendering = template.renderWithSpans(messages, prompt, arguments);
                assertThat(rendering.text()).isEqualTo(testCase.get("expected").stringValue());
                if (testCase.has("ids")) {
                    assertThat(tokenizer.encode(rendering.text())).containsExactly(JSON.convertValue(testCase.get("ids"), int[].class));
                }
                if (testCase.has("assistant_mask")) {
                    int[] mask = JSON.convertValue(testCase.get("assistant_mask"), int[].class);
                    boolean[] ours = tokenizer.encodeWithOffsets(rendering.text()).overlapping(rendering.assistantSpans());
                    assertThat(ours).hasSameSizeAs(mask);
                    for (int i = 0; i < mask.length; i++) {
                        assertThat(ours[i]).as("mask of token %d", i).isEqualTo(mask[i] == 1);
                    }
                }
            });
        });
    }

    private static List<Path> files(String suffix) throws IOException {
        try (Stream<Path> files = Files.list(Fixtures.path("tokenizer/templates"))) {
            List<Path> found = files.filter(file -> file.toString().endsWith(suffix)).sorted().toList();
            assertThat(found).isNotEmpty();
            return found;
        }
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }
}
