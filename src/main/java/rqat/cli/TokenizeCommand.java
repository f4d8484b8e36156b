package rqat.cli;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.text.ChatTemplate;
import rqat.text.Tokenizer;
import tools.jackson.core.json.JsonWriteFeature;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// `rqat tokenize`: the ids that a model would see, a JSON line (`ids`, and for messages the rendered `text`) for each line of a JSONL file.
///
/// A line is `{"text": ...}`, encoded as it stands unless `"add_special_tokens": true` asks for what the post-processor adds, or
/// `{"messages": [...], "add_generation_prompt": false, ...}`, rendered by the chat template (every other key is a variable of it) and
/// then encoded as it stands. Blank lines are skipped.
@Command(
        name = "tokenize",
        description = "Token ids of texts, or of conversations rendered by the model's chat template; a JSON line for each input line.",
        mixinStandardHelpOptions = true)
final class TokenizeCommand implements Callable<Integer> {

    /// Escapes what is not ASCII, so that no terminal setting can damage a text.
    private static final JsonMapper JSON =
            JsonMapper.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

    @Spec
    private CommandSpec spec;

    @Parameters(index = "0", paramLabel = "MODEL", description = "Directory with the tokenizer's files, or `embedded`.")
    private String model;

    @Parameters(
            index = "1",
            paramLabel = "FILE.jsonl",
            description = "Lines of {\"text\": ...} or {\"messages\": [...], \"add_generation_prompt\": true, \"tools\": [...], ...}.")
    private Path file;

    @Option(names = "--json", description = "Accepted for clarity: the output is JSON lines.")
    private boolean json;

    /// Loaded by the first line with messages; a directory without one still encodes texts.
    private @Nullable ChatTemplate template;

    @Override
    public Integer call() {
        Path directory = Models.directory(model);
        Tokenizer tokenizer = Tokenizer.load(directory);
        try (BufferedReader lines = Files.newBufferedReader(file)) {
            int number = 0;
            boolean empty = true;
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                number++;
                if (line.isBlank()) continue;
                empty = false;
                Output.print(spec, tokenize(tokenizer, directory, line, number));
            }
            if (empty) throw Failure.badFile("%s: holds no line to tokenize; expected at least one".formatted(file));
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
        return 0;
    }

    private String tokenize(Tokenizer tokenizer, Path directory, String line, int number) {
        JsonNode request = JsonFiles.parse(line.getBytes(StandardCharsets.UTF_8), file.toString(), number);
        JsonNode text = request.path("text");
        JsonNode messages = request.path("messages");
        require(text.isString() != messages.isArray(), number, "either `text`, a string, or `messages`, a list");
        require(messages.valueStream().allMatch(JsonNode::isObject), number, "`messages` to be a list of objects");
        boolean special = flag(request, "add_special_tokens", number);
        boolean prompt = flag(request, "add_generation_prompt", number);
        var fields = new LinkedHashMap<String, Object>();
        try {
            if (text.isString()) {
                fields.put("ids", special ? tokenizer.encodeWithSpecial(text.stringValue()) : tokenizer.encode(text.stringValue()));
            } else {
                String rendered = render(directory, request, prompt);
                fields.put("ids", tokenizer.encode(rendered));
                fields.put("text", rendered);
            }
        } catch (Failure failure) {
            throw Failure.badFile("%s:%d: %s".formatted(file, number, failure.getMessage()), failure);
        }
        return JSON.writeValueAsString(fields);
    }

    private String render(Path directory, JsonNode request, boolean prompt) {
        if (template == null) template = ChatTemplate.load(directory);
        List<Map<String, Object>> messages = JSON.convertValue(request.get("messages"), new TypeReference<>() {});
        Map<String, Object> variables = JSON.convertValue(request, new TypeReference<>() {});
        return template.render(messages, prompt, variables);
    }

    private boolean flag(JsonNode request, String key, int number) {
        JsonNode flag = request.path(key);
        require(flag.isMissingNode() || flag.isBoolean(), number, "`%s` to be true or false".formatted(key));
        return flag.asBoolean(false);
    }

    private void require(boolean condition, int number, String expected) {
        if (!condition) throw Failure.badFile("%s:%d: expected %s".formatted(file, number, expected));
    }
}
