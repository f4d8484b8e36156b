package rqat.text;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class ChatTemplateTest {

    private static final JsonMapper JSON = new JsonMapper();

    @TempDir
    Path directory;

    private static String render(String template, Map<String, ?> variables) {
        return ChatTemplate.of(template, Map.of()).render(Message.maps(new Message("user", "hi")), false, variables);
    }

    private static String render(String template) {
        return render(template, Map.of());
    }

    /// The language itself, construct by construct, with what jinja2 gives.
    @TestFactory
    Stream<DynamicTest> behavesLikeJinja() throws IOException {
        JsonNode root;
        try (InputStream stream = ChatTemplateTest.class.getResourceAsStream("jinja-cases.json")) {
            root = JSON.readTree(stream);
        }
        Map<String, Object> variables = JSON.convertValue(root.get("variables"), new TypeReference<>() {});
        List<Map<String, Object>> messages = JSON.convertValue(root.get("variables").get("messages"), new TypeReference<>() {});
        assertThat(root.get("cases").size()).isGreaterThan(200);
        return root.get("cases").valueStream().map(testCase -> {
            String template = testCase.get("template").stringValue();
            return DynamicTest.dynamicTest("'" + template + "'", () -> {
                if (testCase.has("error")) {
                    assertThatThrownBy(() -> ChatTemplate.of(template, Map.of()).render(messages, false, variables))
                            .isInstanceOf(Failure.class).hasMessageContaining("line 1 ");
                } else {
                    assertThat(ChatTemplate.of(template, Map.of()).render(messages, false, variables))
                            .isEqualTo(testCase.get("expected").stringValue());
                }
            });
        });
    }

    @Test
    void neverInterpretsWhatMessagesContain() {
        List<String> texts = List.of("{{ 7 * 6 }}", "{% raw %}", "{# x #}", "{% endfor %}", "}}", "{{ raise_exception('x') }}", "\\n", "'", "<b>&amp;");
        for (String text : texts) {
            String rendered = ChatTemplate.of("{% for m in messages %}{{ '<' + m.content + '>' }}{% set x = m.content %}{{ x|trim }}{% endfor %}", Map.of())
                    .render(Message.maps(new Message("user", text)), false, Map.of());
            assertThat(rendered).isEqualTo("<" + text + ">" + text);
        }
    }

    @Test
    void reportsWhereTheAssistantSpeaks() {
        ChatTemplate template = ChatTemplate.of("""
                {%- for m in messages -%}
                {{ m.role }}:
                {%- if m.role == 'assistant' %}{% generation %}{{ m.content }};{% endgeneration %}{% else %}{{ m.content }};{% endif %}
                {%- endfor -%}""", Map.of());
        ChatTemplate.Rendering rendering = template.renderWithSpans(
                Message.maps(new Message("user", "hi"), new Message("assistant", "yo"), new Message("user", "ok"), new Message("assistant", "")),
                false, Map.of());
        assertThat(rendering.text()).isEqualTo("user:hi;assistant:yo;user:ok;assistant:;");
        assertThat(rendering.assistantSpans().stream().map(span -> rendering.text().substring(span.start(), span.end())))
                .containsExactly("yo;", ";");
        assertThat(render("{% generation %}{% set x = 1 %}{% endgeneration %}{{ x is defined }}")).isEqualTo("False");
        assertThatThrownBy(() -> render("{% set x %}{% generation %}a{% endgeneration %}{% endset %}"))
                .isInstanceOf(Failure.class).hasMessageContaining("generation");
    }

    @Test
    void givesTemplatesWhatTransformersGivesThem() {
        assertThat(render("{{ tools is defined }}{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}{{ bos_token is defined }}"))
                .isEqualTo("TrueTrueTrueFalseFalse");
        ChatTemplate template = ChatTemplate.of("{{ bos_token }}{{ messages[0].role }}{% if add_generation_prompt %}!{% endif %}", Map.of("bos_token", "<s>"));
        assertThat(template.render(Message.maps(new Message("user", "x")), true, Map.of("messages", "not these"))).isEqualTo("<s>user!");
    }

    @Test
    void tellsTheTimeThatItIsGiven() {
        ChatTemplate template = ChatTemplate.of("{{ strftime_now('%d %b %Y|%-d %B|%A %j|%H:%M:%S|%I %p|%y-%m|%%') }}", Map.of())
                .at(LocalDateTime.of(2024, 7, 4, 9, 5, 3));
        assertThat(template.render(List.of(), false, Map.of())).isEqualTo("04 Jul 2024|4 July|Thursday 186|09:05:03|09 AM|24-07|%");
        assertThatThrownBy(() -> render("{{ strftime_now('%Q') }}")).isInstanceOf(Failure.class);
    }

    @Test
    void convertsJavaNumbers() {
        assertThat(render("{{ [a, b, c, d, e]|tojson }}", Map.of("a", 1, "b", 2L, "c", 0.1f, "d", new java.math.BigInteger("123456789012345678901234567890"),
                "e", new java.math.BigDecimal("1.50")))).isEqualTo("[1, 2, 0.10000000149011612, 123456789012345678901234567890, 1.5]");
        assertThatThrownBy(() -> render("{{ a }}", Map.of("a", new Object()))).isInstanceOf(Failure.class);
    }

    static Stream<Arguments> mistakes() {
        return Stream.of(
                Arguments.of("{{ x | nothing }}", 1, "filter 'nothing'"),
                Arguments.of("a\nb{{ 1 is nothing }}", 2, "test 'nothing'"),
                Arguments.of("\n\n{% include 'x' %}", 3, "tag 'include'"),
                Arguments.of("{% call f() %}{% endcall %}", 1, "tag 'call'"),
                Arguments.of("{% for x in y recursive %}{% endfor %}", 1, "recursive"),
                Arguments.of("{% if true %}\nx", 2, "endif"),
                Arguments.of("{{ 'a", 1, "never closed"),
                Arguments.of("{{ (1 }}", 1, "'}'"),
                Arguments.of("x{# y", 1, "never closed"),
                Arguments.of("{% raw %}", 1, "never closed"),
                Arguments.of("{{ 1 ? 2 }}", 1, "'?'"),
                Arguments.of("{% break %}", 1, "outside a loop"),
                Arguments.of("{{ loop.depth }}", 1, "undefined"),
                Arguments.of("{% for i in [1] %}{{ loop.depth }}{% endfor %}", 1, "loop.depth"),
                Arguments.of("{{ 'x'.format(1) }}", 1, "'format'"),
                Arguments.of("{{ [].append(1) }}", 1, "'append'"),
                Arguments.of("{{ f(*x) }}", 1, "expected a value"),
                Arguments.of("{{ x.y }}", 1, "'x' is undefined"),
                Arguments.of("{{ raise_exception('only users') }}", 1, "only users"),
                Arguments.of("{{ 99999999999999999999 }}", 1, "too large"),
                Arguments.of("{{ 9223372036854775807 + 1 }}", 1, "64 bits"),
                Arguments.of("{% set a, b = 1, 2, 3 %}", 1, "3 values"),
                Arguments.of("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", 1, "takes only"));
    }

    @ParameterizedTest
    @MethodSource("mistakes")
    void failsLoudlyWithTheLine(String template, int line, String message) {
        assertThatThrownBy(() -> render(template))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE))
                .hasMessageContaining("line " + line + " ")
                .hasMessageContaining(message);
    }

    /// Templates come with downloaded models; none of these may hang, fill the memory or overflow the stack.
    @ParameterizedTest
    @ValueSource(strings = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(100001) %}{% endfor %}",
        "{{ range(10 ** 18)|list }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{{ m(n) ~ m(n) }}{% endmacro %}{{ m(1) }}",
        "{{ 'a' * 10 ** 12 }}",
        "{{ [0] * 10 ** 12 }}",
        "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l|tojson }}",
        "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}{{ ns.a == ns.b }}",
        "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
        "{{ ('a' * 60000).replace('', 'b' * 60000) }}",
        "{{ ([''] * 60000)|join('b' * 60000) }}",
        "{{ [[[]]]|tojson(indent=10 ** 9) }}",
        "{{ 'a\nb'|indent(10 ** 9) }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns.a }}",
        "{{ 10 ** 10 ** 10 }}",
        "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
    })
    @Timeout(60)
    void survivesHostileTemplates(String template) {
        assertThatThrownBy(() -> render(template)).isInstanceOf(Failure.class);
    }

    @Test
    @Timeout(60)
    void survivesHostileShapes() {
        int many = 20_000;
        for (String template : List.of(
                "{{ " + "(".repeat(many) + "1" + ")".repeat(many) + " }}",
                "{{ " + "[".repeat(many) + "]".repeat(many) + " }}",
                "{{ " + "not ".repeat(many) + "1 }}",
                "{{ " + "-".repeat(many) + "1 }}",
                "{{ 1" + " + 1".repeat(many) + " }}",
                "{{ x" + ".a".repeat(many) + " }}",
                "{{ 1" + " if 1 else 1".repeat(many / 4) + " }}",
                "{% if 1 %}".repeat(many / 4) + "{% endif %}".repeat(many / 4),
                "{% if 0 %}" + "{% elif 0 %}".repeat(many / 4) + "{% endif %}",
                "{{ '" + "a".repeat(2_000_000) + "' }}",
                "{% " + "{% ".repeat(many),
                "{{ " + "{".repeat(many))) {
            assertThatThrownBy(() -> render(template)).as(template.substring(0, 20)).isInstanceOf(Failure.class);
        }
        assertThat(render("{{ '" + "a".repeat(200_000) + "'|length }}")).isEqualTo("200000");
    }

    @Test
    void handlesALongConversation() {
        Message[] messages = new Message[2_000];
        for (int i = 0; i < messages.length; i++) {
            messages[i] = new Message(i % 2 == 0 ? "user" : "assistant", "x".repeat(5_000));
        }
        String text = ChatTemplate.of("{% for m in messages %}{{ '<' + m.role + '>' + m.content.strip() + '\\n' }}{% endfor %}", Map.of())
                .render(Message.maps(messages), false, Map.of());
        assertThat(text).hasSize(1_000 * (5_000 + "<user>\n".length()) + 1_000 * (5_000 + "<assistant>\n".length()));
    }

    @Test
    void loadsTheTemplateFromAnyOfItsPlaces() throws IOException {
        Path config = directory.resolve("tokenizer_config.json");
        assertThatThrownBy(() -> ChatTemplate.load(directory)).isInstanceOf(Failure.class).hasMessageContaining("no chat template");
        Files.writeString(config, "{\"chat_template\": \"one {{ bos_token }}{{ eos_token }}{{ pad_token }}\", \"bos_token\": \"<s>\","
                + " \"eos_token\": {\"content\": \"</s>\"}, \"pad_token\": null}");
        assertThat(ChatTemplate.load(directory).render(List.of(), false, Map.of())).isEqualTo("one <s></s>");

        Files.writeString(config, "{\"chat_template\": [{\"name\": \"default\", \"template\": \"plain\"}, {\"name\": \"tool_use\", \"template\": \"tools\"},"
                + " {\"name\": \"rag\", \"template\": \"{% nonsense %}\"}]}");
        assertThat(ChatTemplate.load(directory).render(List.of(), false, Map.of())).isEqualTo("plain");
        assertThat(ChatTemplate.load(directory).render(List.of(), false, Map.of("tools", List.of(Map.of())))).isEqualTo("tools");

        Files.writeString(directory.resolve("chat_template.jinja"), "file\n");
        assertThat(ChatTemplate.load(directory).render(List.of(), false, Map.of())).isEqualTo("file");

        Files.writeString(directory.resolve("chat_template.jinja"), "a\n{% if %}");
        assertThatThrownBy(() -> ChatTemplate.load(directory)).isInstanceOf(Failure.class).hasMessageContainingAll("chat_template.jinja", "line 2");
        Files.write(directory.resolve("chat_template.jinja"), new byte[] {(byte) 0xFF, (byte) 0xFE});
        assertThatThrownBy(() -> ChatTemplate.load(directory)).isInstanceOf(Failure.class).hasMessageContaining("chat_template.jinja");
    }

    /// `additional_chat_templates/NAME.jinja`, where transformers 5 saves all templates but the default one.
    @Test
    void furtherTemplatesHaveAFolder() throws IOException {
        Files.writeString(directory.resolve("tokenizer_config.json"), "{\"chat_template\": [{\"name\": \"default\", \"template\": \"old\"}, {\"name\": \"tool_use\", \"template\": \"old tools\"}]}");
        Files.createDirectory(directory.resolve("additional_chat_templates"));
        Files.writeString(directory.resolve("additional_chat_templates/tool_use.jinja"), "tools {{ tools | length }}");
        Files.writeString(directory.resolve("additional_chat_templates/rag.jinja"), "a\n{% nonsense %}");
        Files.writeString(directory.resolve("additional_chat_templates/long.jinja"), "long {{ chat_template }}");
        Files.writeString(directory.resolve("additional_chat_templates/notes.txt"), "{% nonsense %}");
        ChatTemplate template = ChatTemplate.load(directory);
        Map<String, Object> tools = Map.of("tools", List.of(1, 2));
        assertThat(template.render(List.of(), false, Map.of())).isEqualTo("old");
        assertThat(template.render(List.of(), false, tools)).isEqualTo("tools 2");
        assertThat(template.render(List.of(), false, Map.of("chat_template", "long"))).isEqualTo("long ");
        assertThat(template.render(List.of(), false, Map.of("chat_template", "default", "tools", List.of()))).isEqualTo("old");
        assertThatThrownBy(() -> template.render(List.of(), false, Map.of("chat_template", "rag"))).isInstanceOf(Failure.class).hasMessageContainingAll("rag.jinja", "line 2");
        assertThatThrownBy(() -> template.render(List.of(), false, Map.of("chat_template", "rga")))
                .isInstanceOf(Failure.class).hasMessage("no chat template named `rga`; the model has `default`, `tool_use`, `long`, `rag`");
        Files.writeString(directory.resolve("chat_template.jinja"), "new");
        assertThat(ChatTemplate.load(directory).render(List.of(), false, Map.of())).isEqualTo("new");
        assertThat(ChatTemplate.load(directory).render(List.of(), false, tools)).isEqualTo("tools 2");
        Files.writeString(directory.resolve("additional_chat_templates/tool_use.jinja"), "{% if %}");
        assertThatThrownBy(() -> ChatTemplate.load(directory)).isInstanceOf(Failure.class).hasMessageContainingAll("tool_use.jinja", "line 1");
    }

    @Test
    void aFolderOfTemplatesIsEnoughWhereOneIsNamed() throws IOException {
        Files.createDirectory(directory.resolve("additional_chat_templates"));
        Files.writeString(directory.resolve("additional_chat_templates/rag.jinja"), "rag");
        ChatTemplate template = ChatTemplate.load(directory);
        assertThat(template.render(List.of(), false, Map.of("chat_template", "rag"))).isEqualTo("rag");
        assertThatThrownBy(() -> template.render(List.of(), false, Map.of()))
                .isInstanceOf(Failure.class).hasMessage("no chat template named `default`; the model has `rag`; name one of them as `chat_template`");
    }

    @Test
    void messagesCarryTheirReasoningOnlyWhenThereIsSome() {
        assertThat(new Message("user", "hi").asMap()).containsOnly(Map.entry("role", "user"), Map.entry("content", "hi"));
        assertThat(new Message("assistant", "4", "2+2").asMap()).containsEntry("reasoning_content", "2+2");
    }
}
