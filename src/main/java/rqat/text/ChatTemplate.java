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
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.text.jinja.JinjaError;
import rqat.text.jinja.JinjaRendering;
import rqat.text.jinja.JinjaTemplate;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.MissingNode;
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

    private static final String DEFAULT = "default";
    private static final String TOOL_USE = "tool_use";

    /// The folder of a model's further templates, `NAME.jinja` each.
    private static final String FOLDER = "additional_chat_templates";

    /// A template, parsed when it is first needed, and where its text comes from.
    private static final class Named {
        final String source;
        private final String text;
        private @Nullable JinjaTemplate parsed;

        Named(String source, String text) {
            this.source = source;
            this.text = text;
        }

        synchronized JinjaTemplate template() {
            if (parsed == null) parsed = parse(source, text);
            return parsed;
        }
    }

    private final Map<String, Named> byName;
    private final Map<String, Object> specialTokens;
    private final LocalDateTime now;

    /// Parses what every conversation may need; a template for another purpose may be one that we do not understand.
    private ChatTemplate(Map<String, Named> byName, Map<String, Object> specialTokens, LocalDateTime now) {
        for (String name : List.of(DEFAULT, TOOL_USE)) {
            if (byName.containsKey(name)) byName.get(name).template();
        }
        this.byName = byName;
        this.specialTokens = specialTokens;
        this.now = now;
    }

    /// The templates of a model directory: `chat_template` of tokenizer_config.json, which is a text or a list of named ones, then chat_template.jinja in place of its
    /// `default`, then `additional_chat_templates/NAME.jinja` in place of those of the same name. Used is `default`, or `tool_use` for conversations with tools where
    /// there is one, or the one that the variable `chat_template` names.
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
        Map<String, Named> byName = new LinkedHashMap<>();
        JsonNode node = config.map(root -> root.path("chat_template")).orElse(MissingNode.getInstance());
        if (node.isString()) byName.put(DEFAULT, new Named(configFile.toString(), node.stringValue()));
        for (JsonNode each : node) {
            String name = each.path("name").asString("");
            if (!name.isEmpty()) byName.put(name, new Named("%s (%s)".formatted(configFile, Failure.quote(name)), each.path("template").asString("")));
        }
        Path file = modelDirectory.resolve("chat_template.jinja");
        if (Files.exists(file)) byName.put(DEFAULT, new Named(file.toString(), read(file)));
        for (Path further : further(modelDirectory.resolve(FOLDER))) {
            String name = further.getFileName().toString();
            byName.put(name.substring(0, name.lastIndexOf('.')), new Named(further.toString(), read(further)));
        }
        return byName.isEmpty() ? Optional.empty() : Optional.of(new ChatTemplate(byName, specialTokens, LocalDateTime.now()));
    }

    private static List<Path> further(Path folder) {
        if (!Files.isDirectory(folder)) return List.of();
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.getFileName().toString().matches("[^.].*\\.jinja")).sorted().toList();
        } catch (IOException e) {
            throw Failure.badFile(folder + ": cannot be read (" + e + ")", e);
        }
    }

    /// A template given as text, for recipes that replace the model's own; `specialTokens` are variables such as `bos_token`.
    public static ChatTemplate of(String template, Map<String, String> specialTokens) {
        return new ChatTemplate(Map.of(DEFAULT, new Named("chat template", template)), Map.copyOf(specialTokens), LocalDateTime.now());
    }

    /// This template with the time that `strftime_now` tells, so that a rendering can be repeated; otherwise it is the time of loading.
    public ChatTemplate at(LocalDateTime now) {
        return new ChatTemplate(byName, specialTokens, now);
    }

    /// The conversation as text. `messages` are JSON-like maps (`role`, `content`, and what the template knows: `reasoning_content`,
    /// `tool_calls`...; see [Message#asMap]); `variables` are further names for the template (`tools`, `enable_thinking`...), and `chat_template` the name of the one to use.
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
        Named named = choose(all);
        try {
            JinjaRendering rendering = named.template().render(all, now);
            return new Rendering(rendering.text(), rendering.generated().stream().map(range -> new Tokenizer.Span(range.start(), range.end())).toList());
        } catch (JinjaError e) {
            throw failure(named.source, e);
        } catch (StackOverflowError e) {
            throw Failure.badFile(named.source + ": the chat template nests too deep", e);
        }
    }

    private Named choose(Map<String, @Nullable Object> variables) {
        Object asked = variables.remove("chat_template");
        String name = asked != null ? asked.toString() : variables.get("tools") != null && byName.containsKey(TOOL_USE) ? TOOL_USE : DEFAULT;
        Named named = byName.get(name);
        if (named != null) return named;
        String found = byName.keySet().stream().map(Failure::quote).collect(Collectors.joining(", "));
        String message = "no chat template named %s; the model has %s".formatted(Failure.quote(name), found);
        throw asked != null ? Failure.usage(message) : Failure.badFile(message + "; name one of them as `chat_template`");
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
