package rqat.openai;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.generate.Choice;
import rqat.generate.Completion;
import rqat.generate.StopReason;
import rqat.text.ReasoningSplitter;
import rqat.text.Tokenizer;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// The answer to a [Call] in the interface's form, whole or piece by piece. One for each call; fed by [Serving.Event]s.
final class Answer {
    private static final double LOWEST = -9999;

    private final Call call;
    private final ServedModel model;
    private final String id;
    private final long created;
    private final Part[] parts;
    private int completionTokens;
    private int reasoningTokens;
    private int open;

    /// One of the completions.
    private final class Part {
        final int index;
        final int[] prompt;
        final @Nullable ReasoningSplitter splitter;
        final StringBuilder reasoning = new StringBuilder();
        final StringBuilder content = new StringBuilder();
        final List<Choice> promptChoices = new ArrayList<>();
        final List<Choice> choices = new ArrayList<>();
        /// Where the text of each choice begins.
        final List<Integer> offsets = new ArrayList<>();
        int length;
        @Nullable Completion completion;

        Part(int index, int[] prompt) {
            this.index = index;
            this.prompt = prompt;
            this.splitter = call.chat() && model.reasoning() ? new ReasoningSplitter(call.thinking()) : null;
            if (call.echo()) content.append(model.tokenizer().decode(prompt, call.skipSpecial()));
            length = content.length();
        }
    }

    Answer(Call call, ServedModel model, String id, long created) {
        this.call = call;
        this.model = model;
        this.id = id;
        this.created = created;
        this.parts = new Part[call.prompts().size() * call.n()];
        for (int i = 0; i < parts.length; i++) parts[i] = new Part(i, call.prompts().get(i / call.n()));
        open = parts.length;
    }

    /// Whether every completion has ended.
    boolean isDone() {
        return open == 0;
    }

    // ---- events

    /// What the prompt of a completion scored.
    void prompt(int index, List<Choice> choices) {
        parts[index].promptChoices.addAll(choices);
    }

    /// One more token; returns the piece to send, null where nothing is to be told yet.
    @Nullable ObjectNode token(int index, Choice choice, String text) {
        Part part = parts[index];
        completionTokens++;
        if (part.splitter != null && part.splitter.thinking()) reasoningTokens++;
        part.choices.add(choice);
        part.offsets.add(part.length);
        part.length += text.length();
        ReasoningSplitter.Parts split = part.splitter == null ? new ReasoningSplitter.Parts("", text) : part.splitter.push(text);
        return told(part, split, List.of(choice), null);
    }

    /// The completion is over; returns the last piece.
    ObjectNode completed(int index, Completion completion) {
        Part part = parts[index];
        part.completion = completion;
        open--;
        ReasoningSplitter.Parts rest = part.splitter == null ? new ReasoningSplitter.Parts("", "") : part.splitter.finish();
        return told(part, rest, List.of(), finish(completion));
    }

    private @Nullable ObjectNode told(Part part, ReasoningSplitter.Parts split, List<Choice> choices, @Nullable String finish) {
        part.reasoning.append(split.reasoning());
        part.content.append(split.content());
        if (!call.stream()) return finish == null ? null : JsonNodeFactory.instance.objectNode();
        boolean silent = split.reasoning().isEmpty() && split.content().isEmpty() && finish == null;
        if (silent && !call.logProbabilities() && !call.tokenIds()) return null;
        ObjectNode chunk = head(true);
        ObjectNode choice = chunk.putArray("choices").addObject().put("index", part.index);
        if (call.chat()) {
            ObjectNode delta = choice.putObject("delta");
            if (!split.reasoning().isEmpty()) delta.put("reasoning_content", split.reasoning());
            if (!split.content().isEmpty()) delta.put("content", split.content());
        } else {
            choice.put("text", split.content());
        }
        if (call.logProbabilities()) {
            if (call.chat()) choice.set("logprobs", chatLogProbabilities(choices));
            else choice.set("logprobs", completionLogProbabilities(part, choices, part.choices.size() - choices.size(), false));
        } else {
            choice.putNull("logprobs");
        }
        if (call.tokenIds()) ids(choice.putArray("token_ids"), choices);
        choice.put("finish_reason", finish);
        return chunk;
    }

    // ---- whole

    /// What a stream of chat begins with: the role of each message; for completions, the echoed prompts. Empty where there is nothing.
    List<ObjectNode> first() {
        var first = new ArrayList<ObjectNode>();
        for (Part part : parts) {
            if (!call.chat() && !call.echo()) continue;
            ObjectNode chunk = head(true);
            ObjectNode choice = chunk.putArray("choices").addObject().put("index", part.index);
            if (call.chat()) choice.putObject("delta").put("role", "assistant").put("content", "");
            else choice.put("text", part.content.toString());
            choice.putNull("logprobs").putNull("finish_reason");
            first.add(chunk);
        }
        return first;
    }

    /// The piece of a stream that counts tokens.
    ObjectNode counted() {
        ObjectNode chunk = head(true);
        chunk.putArray("choices");
        chunk.set("usage", usage());
        return chunk;
    }

    /// All completions together.
    ObjectNode whole() {
        ObjectNode answer = head(false);
        ArrayNode choices = answer.putArray("choices");
        for (Part part : parts) {
            ObjectNode choice = choices.addObject().put("index", part.index);
            if (call.chat()) {
                ObjectNode message = choice.putObject("message").put("role", "assistant").put("content", part.content.toString());
                if (part.splitter != null && !part.reasoning.isEmpty()) message.put("reasoning_content", part.reasoning.toString());
                message.putNull("refusal");
            } else {
                choice.put("text", part.content.toString());
            }
            if (!call.logProbabilities()) choice.putNull("logprobs");
            else if (call.chat()) choice.set("logprobs", chatLogProbabilities(part.choices));
            else choice.set("logprobs", completionLogProbabilities(part, part.choices, 0, call.echo()));
            if (call.tokenIds()) ids(choice.putArray("token_ids"), part.choices);
            Completion completion = part.completion;
            choice.put("finish_reason", completion == null ? null : finish(completion));
            if (completion != null && completion.stop() == StopReason.STOP_TOKEN && !part.choices.isEmpty()) choice.put("stop_reason", part.choices.getLast().token());
        }
        answer.set("usage", usage());
        return answer;
    }

    private String finish(Completion completion) {
        return switch (completion.stop()) {
            case STOP_TOKEN, STOP_TEXT -> "stop";
            case LENGTH -> "length";
            case ABORTED -> "abort";
        };
    }

    private ObjectNode head(boolean chunk) {
        String object = call.chat() ? chunk ? "chat.completion.chunk" : "chat.completion" : "text_completion";
        return JsonNodeFactory.instance.objectNode().put("id", id).put("object", object).put("created", created).put("model", model.name());
    }

    private ObjectNode usage() {
        ObjectNode usage = JsonNodeFactory.instance.objectNode()
                .put("prompt_tokens", call.promptTokens())
                .put("completion_tokens", completionTokens)
                .put("total_tokens", call.promptTokens() + completionTokens);
        if (call.chat() && model.reasoning()) usage.putObject("completion_tokens_details").put("reasoning_tokens", reasoningTokens);
        return usage;
    }

    private static void ids(ArrayNode ids, List<Choice> choices) {
        choices.forEach(choice -> ids.add(choice.token()));
    }

    // ---- log-probabilities

    private ObjectNode chatLogProbabilities(List<Choice> choices) {
        ObjectNode logProbabilities = JsonNodeFactory.instance.objectNode();
        ArrayNode content = logProbabilities.putArray("content");
        for (Choice choice : choices) {
            ObjectNode token = token(content.addObject(), choice.token(), choice.logProbability());
            ArrayNode top = token.putArray("top_logprobs");
            for (Choice.Alternative alternative : choice.alternatives()) token(top.addObject(), alternative.token(), alternative.logProbability());
        }
        logProbabilities.putNull("refusal");
        return logProbabilities;
    }

    private ObjectNode token(ObjectNode object, int id, float logProbability) {
        object.put("token", spelled(id)).put("logprob", finite(logProbability));
        ArrayNode bytes = object.putArray("bytes");
        for (byte b : model.tokenizer().bytes(id)) bytes.add(b & 0xFF);
        return object;
    }

    /// @param first  the place of `choices` among those of the part
    /// @param echoed whether the prompt's tokens come before them
    private ObjectNode completionLogProbabilities(Part part, List<Choice> choices, int first, boolean echoed) {
        ObjectNode logProbabilities = JsonNodeFactory.instance.objectNode();
        ArrayNode tokens = logProbabilities.putArray("tokens");
        ArrayNode values = logProbabilities.putArray("token_logprobs");
        ArrayNode tops = logProbabilities.putArray("top_logprobs");
        ArrayNode offsets = logProbabilities.putArray("text_offset");
        if (echoed) {
            Tokenizer tokenizer = model.tokenizer();
            var detokenizer = tokenizer.detokenizer(call.skipSpecial());
            int offset = 0;
            for (int i = 0; i < part.prompt.length; i++) {
                tokens.add(spelled(part.prompt[i]));
                offsets.add(offset);
                offset += detokenizer.push(part.prompt[i]).length();
                // Nothing comes before the first.
                if (i == 0) {
                    values.addNull();
                    tops.addNull();
                } else {
                    Choice scored = part.promptChoices.get(i - 1);
                    values.add(finite(scored.logProbability()));
                    top(tops, scored);
                }
            }
        }
        for (int i = 0; i < choices.size(); i++) {
            Choice choice = choices.get(i);
            tokens.add(spelled(choice.token()));
            values.add(finite(choice.logProbability()));
            top(tops, choice);
            offsets.add(part.offsets.get(first + i));
        }
        return logProbabilities;
    }

    private void top(ArrayNode tops, Choice choice) {
        if (call.alternatives() == 0) {
            tops.addNull();
            return;
        }
        ObjectNode top = tops.addObject();
        choice.alternatives().forEach(alternative -> top.put(spelled(alternative.token()), finite(alternative.logProbability())));
    }

    private String spelled(int id) {
        return new String(model.tokenizer().bytes(id), StandardCharsets.UTF_8);
    }

    /// JSON has no infinity.
    private static double finite(float logProbability) {
        return Float.isFinite(logProbability) ? logProbability : LOWEST;
    }
}
