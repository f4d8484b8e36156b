package rqat.text;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.text.jinja.JinjaError;
import rqat.text.jinja.JinjaRendering;
import rqat.text.jinja.JinjaTemplate;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// Turns a conversation into the text that a model was trained on, by the Jinja template that the model brings along.
///
/// Covers the part of Jinja 3 that published templates use, set up as transformers does (`trim_blocks`, `lstrip_blocks`, undefined
/// names are empty, nothing is escaped), plus `generation` blocks, `raise_exception`, `strftime_now` and loop controls. What is not covered fails
/// with the template's line; work, output and nesting are bounded. Messages are data and are never interpreted.
public final class ChatTemplate {

    /// A rendered conversation and the parts of it that came from `generation` blocks: what the assistant says, and so what is trained on.
    /// Templates without such blocks give no spans.
    public record Rendering(String text, List<Tokenizer.Span> assistantSpans) {}

    private static final int MAXIMUM_LENGTH = 1 << 18;

    /// What transformers offers to templates from tokenizer_config.json.
    private static final List<String> SPECIAL_TOKENS = List.of(
            "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token");

    private final String source;
    private final Map<String, JinjaTemplate> byName;
    private final Map<String, Object> specialTokens;
    private final LocalDateTime now;

    private ChatTemplate(
            String source,
            Map<String, JinjaTemplate> byName,
            Map<String, Object> specialTokens,
            LocalDateTime now) {
        this.source = source;
        this.byName = byName;
        this.specialTokens = specialTokens;
        this.now = now;
    }

    /// The template of a model directory: chat_template.jinja, else `chat_template` of tokenizer_config.json, which is a text or a list of
    /// named ones (`default`, and `tool_use` for conversations with tools).
    ///
    /// @throws Failure when there is none, or it is not a template that we understand
    public static ChatTemplate load(Path modelDirectory) {
        return find(modelDirectory).orElseThrow(() -> Failure.badFile(modelDirectory
                + ": no chat template; expected chat_template.jinja, or chat_template in tokenizer_config.json as a text or a list with one named default"));
    }

    /// As [#load], but empty where there is none.
    public static Optional<ChatTemplate> find(Path modelDirectory) {
        Path configFile = modelDirectory.resolve("tokenizer_config.json");
        Optional<ObjectNode> config = JsonFile.readIfPresent(configFile);
        Map<String, Object> specialTokens = new HashMap<>();
        for (String name : SPECIAL_TOKENS) {
            config.map(node -> node.path(name)).ifPresent(token -> {
                JsonNode content = token.isObject() ? token.path("content") : token;
                if (content.isString()) {
                    specialTokens.put(name, content.stringValue());
                }
            });
        }
        Path file = modelDirectory.resolve("chat_template.jinja");
        if (Files.exists(file)) {
            return Optional.of(new ChatTemplate(file.toString(), Map.of("default", parse(file.toString(), read(file))), specialTokens, LocalDateTime.now()));
        }
        JsonNode node = config.map(root -> root.path("chat_template")).orElse(null);
        Map<String, JinjaTemplate> byName = new LinkedHashMap<>();
        if (node != null && node.isString()) {
            byName.put("default", parse(configFile.toString(), node.stringValue()));
        } else if (node != null && node.isArray()) {
            for (JsonNode each : node) {
                String name = each.path("name").asString("");
                if (name.equals("default") || name.equals("tool_use")) {
                    byName.put(name, parse(configFile + " (" + name + ")", each.path("template").asString("")));
                }
            }
        }
        if (byName.isEmpty()) return Optional.empty();
        return Optional.of(new ChatTemplate(configFile.toString(), byName, specialTokens, LocalDateTime.now()));
    }

    /// A template given as text, for recipes that replace the model's own; `specialTokens` are variables such as `bos_token`.
    public static ChatTemplate of(String template, Map<String, String> specialTokens) {
        String source = "chat template";
        return new ChatTemplate(source, Map.of("default", parse(source, template)), Map.copyOf(specialTokens), LocalDateTime.now());
    }

    /// This template with the time that `strftime_now` tells, so that a rendering can be repeated; otherwise it is the time of loading.
    public ChatTemplate at(LocalDateTime now) {
        return new ChatTemplate(source, byName, specialTokens, now);
    }

    /// The conversation as text. `messages` are JSON-like maps (`role`, `content`, and what the template knows: `reasoning_content`,
    /// `tool_calls`...; see [Message#asMap]); `variables` are further names for the template (`tools`, `enable_thinking`...).
    ///
    /// @throws Failure when the template fails or refuses the messages, with its line
    public String render(
            List<? extends Map<String, ? extends @Nullable Object>> messages,
            boolean addGenerationPrompt,
            Map<String, ? extends @Nullable Object> variables) {
        return renderWithSpans(messages, addGenerationPrompt, variables).text();
    }

    /// As [#render], with the assistant's spans; give them to [Tokenizer.Encoding#overlapping] for a mask over tokens.
    public Rendering renderWithSpans(
            List<? extends Map<String, ? extends @Nullable Object>> messages,
            boolean addGenerationPrompt,
            Map<String, ? extends @Nullable Object> variables) {
        Map<String, @Nullable Object> all = new HashMap<>(specialTokens);
        all.put("tools", null);
        all.put("documents", null);
        all.putAll(variables);
        all.put("messages", new ArrayList<>(messages));
        all.put("add_generation_prompt", addGenerationPrompt);
        String name = all.get("tools") != null && byName.containsKey("tool_use") ? "tool_use" : "default";
        JinjaTemplate template = byName.get(name);
        if (template == null) {
            throw Failure.badFile(source + ": no chat template named default; found " + byName.keySet());
        }
        try {
            JinjaRendering rendering = template.render(all, now);
            return new Rendering(rendering.text(), rendering.generated().stream().map(range -> new Tokenizer.Span(range.start(), range.end())).toList());
        } catch (JinjaError e) {
            throw failure(source, e);
        } catch (StackOverflowError e) {
            throw Failure.badFile(source + ": the chat template nests too deep", e);
        }
    }

    private static JinjaTemplate parse(String source, String template) {
        if (template.length() > MAXIMUM_LENGTH) {
            throw Failure.badFile("%s: a chat template of %d characters; expected at most %d"
                    .formatted(source, template.length(), MAXIMUM_LENGTH));
        }
        try {
            return JinjaTemplate.parse(template);
        } catch (JinjaError e) {
            throw failure(source, e);
        }
    }

    private static Failure failure(String source, JinjaError error) {
        return Failure.badFile("%s: line %d of the chat template: %s".formatted(source, error.line, error.getMessage()));
    }

    private static String read(Path file) {
        try {
            if (Files.size(file) > 4L * MAXIMUM_LENGTH) {
                throw Failure.badFile(file + ": " + Files.size(file) + " bytes; expected a chat template of at most " + MAXIMUM_LENGTH);
            }
            return Files.readString(file);
        } catch (IOException e) {
            throw Failure.badFile(file + ": cannot be read as UTF-8 text (" + e + ")", e);
        }
    }
}
