package rqat.cli;

import java.io.BufferedReader;
import java.io.IOException;
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
import rqat.text.ChatTemplate;
import rqat.text.Tokenizer;
import tools.jackson.core.JacksonException;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.json.JsonMapper;

/// `rqat tokenize`.
@Command(
        name = "tokenize",
        description = "Token ids of texts, or of conversations rendered by the model's chat template; a JSON line for each input line.",
        mixinStandardHelpOptions = true)
final class TokenizeCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Parameters(index = "0", paramLabel = "MODEL", description = "Model directory (tokenizer files suffice), or `embedded`.")
    private String model;

    @Parameters(
            index = "1",
            paramLabel = "FILE.jsonl",
            description = {
                "Lines {\"text\": ..., \"add_special_tokens\": false}",
                "or {\"messages\": [...], \"add_generation_prompt\": ..., other template variables}."
            })
    private Path file;

    @Option(names = "--json", description = "Accepted for clarity: the output is JSON lines.")
    private boolean json;

    private @Nullable ChatTemplate template;

    @Override
    public Integer call() {
        Path directory = Models.directory(model);
        Tokenizer tokenizer = Tokenizer.load(directory);
        try (BufferedReader lines = Files.newBufferedReader(file)) {
            int number = 0;
            for (String line; (line = lines.readLine()) != null; ) {
                number++;
                if (line.isBlank()) continue;
                Output.print(spec, JsonMapper.shared().writeValueAsString(result(directory, tokenizer, line, file + ":" + number)));
            }
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
        return 0;
    }

    private Map<String, Object> result(Path directory, Tokenizer tokenizer, String line, String place) {
        Map<String, Object> request;
        try {
            request = JsonMapper.shared().readValue(line, new TypeReference<LinkedHashMap<String, Object>>() {});
        } catch (JacksonException e) {
            throw Failure.badFile("%s: not a JSON object (%s)".formatted(place, e.getOriginalMessage()), e);
        }
        var result = new LinkedHashMap<String, Object>();
        if (request.get("text") instanceof String text) {
            boolean special = Boolean.TRUE.equals(request.get("add_special_tokens"));
            result.put("ids", special ? tokenizer.encodeWithSpecial(text) : tokenizer.encode(text));
            return result;
        }
        if (!(request.get("messages") instanceof List<?> messages)) {
            throw Failure.badFile("%s: expected {\"text\": \"...\"} or {\"messages\": [...]}".formatted(place));
        }
        if (template == null) template = ChatTemplate.load(directory);
        boolean prompt = Boolean.TRUE.equals(request.remove("add_generation_prompt"));
        request.remove("messages");
        String text;
        try {
            text = template.render(conversation(messages, place), prompt, request);
        } catch (Failure failure) {
            throw Failure.badFile("%s: %s".formatted(place, failure.getMessage()), failure);
        }
        result.put("ids", tokenizer.encode(text));
        result.put("text", text);
        return result;
    }

    @SuppressWarnings("unchecked") // checked element by element; JSON objects have string keys
    private static List<Map<String, Object>> conversation(List<?> messages, String place) {
        if (!messages.stream().allMatch(message -> message instanceof Map)) {
            throw Failure.badFile("%s: every message is an object with `role` and `content`".formatted(place));
        }
        return (List<Map<String, Object>>) messages;
    }
}
