package rqat.openai;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.run.Seeds;
import rqat.text.ReasoningSplitter;
import rqat.text.Tokenizer;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// A request for completions, read and checked: what `/v1/completions` and `/v1/chat/completions` have in common.
///
/// @param chat             whether messages were given, and messages are to come back
/// @param prompts          token ids of each prompt
/// @param n                completions of each
/// @param sampling         of all of them
/// @param seed             of the first completion of each prompt; null for one that is drawn
/// @param stream           whether the answer comes in pieces
/// @param usage            whether a stream ends with a count of tokens
/// @param logProbabilities whether log-probabilities are told
/// @param alternatives     how many of the most probable tokens are told beside each
/// @param echo             whether the prompt is part of the answer
/// @param tokenIds         whether the ids of tokens are told
/// @param skipSpecial      whether special tokens are left out of texts
/// @param nothing          whether nothing is to be generated (`max_tokens: 0`)
/// @param thinking         whether the prompt ends inside thinking
record Call(
        boolean chat,
        List<int[]> prompts,
        int n,
        Sampling sampling,
        @Nullable Long seed,
        boolean stream,
        boolean usage,
        boolean logProbabilities,
        int alternatives,
        boolean echo,
        boolean tokenIds,
        boolean skipSpecial,
        boolean nothing,
        boolean thinking) {

    private static final int MOST_STOPS = 16;
    private static final int MOST_ALTERNATIVES = 20;
    private static final int MOST_SAMPLES = 128;
    private static final int MOST_PROMPTS = 2048;
    /// As the interface's.
    private static final int DEFAULT_COMPLETION = 16;

    /// Reads the body of `/v1/completions`.
    ///
    /// @throws RequestError naming the first field that is wrong
    static Call completion(byte[] body, ServedModel model) {
        Fields fields = Fields.of(body);
        checkModel(fields, model);
        List<int[]> prompts = prompts(fields, model);
        Integer alternatives = fields.integer("logprobs", 0, MOST_ALTERNATIVES);
        boolean echo = fields.flag("echo", false);
        fields.unsupported("suffix");
        Call call = read(fields, model, false, prompts, alternatives != null, alternatives == null ? 0 : alternatives, echo, false, DEFAULT_COMPLETION);
        fields.refuseOthers();
        return call;
    }

    /// Reads the body of `/v1/chat/completions`.
    ///
    /// @throws RequestError naming the first field that is wrong
    static Call chat(byte[] body, ServedModel model) {
        Fields fields = Fields.of(body);
        checkModel(fields, model);
        String prompt = rendered(fields, model);
        int[] ids = model.tokenizer().encode(prompt);
        boolean logProbabilities = fields.flag("logprobs", false);
        Integer alternatives = fields.integer("top_logprobs", 0, MOST_ALTERNATIVES);
        if (alternatives != null && alternatives > 0 && !logProbabilities) throw RequestError.invalid("top_logprobs", "`top_logprobs` needs `logprobs: true`");
        for (String name : List.of("tools", "tool_choice", "functions", "function_call", "audio", "prediction", "reasoning_effort", "web_search_options")) fields.unsupported(name);
        JsonNode modalities = fields.node("modalities");
        if (modalities != null && !modalities.toString().equals("[\"text\"]")) throw Fields.wrong("modalities", modalities, "[\"text\"], or leave it out");
        Call call = read(fields, model, true, List.of(ids), logProbabilities, alternatives == null ? 0 : alternatives, false, ReasoningSplitter.opens(prompt), model.context());
        fields.refuseOthers();
        return call;
    }

    private static Call read(
            Fields fields, ServedModel model, boolean chat, List<int[]> prompts, boolean logProbabilities, int alternatives, boolean echo, boolean thinking, int otherwise) {
        Tokenizer tokenizer = model.tokenizer();
        Integer most = fields.integer("max_tokens", 0, Integer.MAX_VALUE);
        Integer mostOfChat = chat ? fields.integer("max_completion_tokens", 0, Integer.MAX_VALUE) : null;
        int limit = mostOfChat != null ? mostOfChat : most != null ? most : otherwise;
        if (limit == 0 && !echo) throw RequestError.invalid(mostOfChat != null ? "max_completion_tokens" : "max_tokens", "at most 0 tokens are asked for; expected 1 or more");
        for (int[] prompt : prompts) checkPrompt(chat ? "messages" : "prompt", prompt, limit == 0 ? model.context() : model.context() - 1, model);
        int topK = fields.node("top_k") instanceof JsonNode node && node.isIntegralNumber() && node.asLong() == -1 ? 0 : orElse(fields.integer("top_k", 0, Integer.MAX_VALUE), 0);
        Set<Integer> stopIds = new TreeSet<>(fields.integers("stop_token_ids", tokenizer.size() - 1));
        if (!fields.flag("ignore_eos", false)) stopIds.addAll(tokenizer.stopIds());
        List<String> stopTexts = fields.texts("stop", MOST_STOPS);
        double temperature = fields.number("temperature", 1, 0, 100);
        double topP = fields.number("top_p", 1, 0, 1);
        // As other engines take it: of nothing, the most probable token remains.
        var sampling = topP == 0
                ? new Sampling(0, 1, 0, Math.max(1, limit), stopIds, stopTexts)
                : new Sampling(temperature, topP, topK, Math.max(1, limit), stopIds, stopTexts);
        int n = orElse(fields.integer("n", 1, MOST_SAMPLES), 1);
        Integer best = fields.integer("best_of", 1, MOST_SAMPLES);
        if (best != null && best != n) throw RequestError.invalid("best_of", "`best_of` is %d; this server returns all that it samples, so expected %d".formatted(best, n));
        boolean stream = fields.flag("stream", false);
        JsonNode options = fields.node("stream_options");
        if (options != null && !options.isObject()) throw Fields.wrong("stream_options", options, "an object");
        boolean usage = options != null && options.path("include_usage").asBoolean(false);
        JsonNode format = fields.node("response_format");
        if (format != null && !format.path("type").asString("").equals("text")) throw RequestError.invalid("response_format", "only the response format {\"type\": \"text\"} is supported");
        for (String name : List.of("frequency_penalty", "presence_penalty", "logit_bias", "min_p", "min_tokens", "use_beam_search", "guided_json", "guided_regex", "guided_choice")) fields.unsupported(name);
        JsonNode repetition = fields.node("repetition_penalty");
        if (repetition != null && repetition.asDouble(0) != 1) throw RequestError.invalid("repetition_penalty", "`repetition_penalty` is not supported by this server; leave it out");
        fields.ignore("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "parallel_tool_calls");
        return new Call(
                chat, prompts, n, sampling, fields.longInteger("seed"), stream, usage, logProbabilities, alternatives, echo,
                fields.flag("return_token_ids", false), fields.flag("skip_special_tokens", true), limit == 0, thinking);
    }

    private static int orElse(@Nullable Integer value, int otherwise) {
        return value == null ? otherwise : value;
    }

    static void checkModel(Fields fields, ServedModel model) {
        String name = fields.text("model");
        if (name != null && !name.equals(model.name())) {
            throw RequestError.notFound("model", "model_not_found", "there is no model %s here; this server has `%s`".formatted(Failure.quote(name), model.name()));
        }
    }

    private static void checkPrompt(String field, int[] prompt, int longest, ServedModel model) {
        if (prompt.length == 0) throw RequestError.invalid(field, "the prompt is empty; give at least one token");
        if (prompt.length > longest) {
            throw RequestError.tooLong(field, "the prompt has %,d tokens; the model's context of %,d leaves room for at most %,d"
                    .formatted(prompt.length, model.context(), longest));
        }
    }

    /// `prompt`: a text, a list of texts, token ids, or a list of such.
    private static List<int[]> prompts(Fields fields, ServedModel model) {
        JsonNode prompt = fields.node("prompt");
        if (prompt == null) throw RequestError.invalid("prompt", "`prompt` is missing; expected a text, token ids, or a list of either");
        boolean several = prompt.isArray() && !prompt.isEmpty() && !prompt.get(0).isNumber();
        if (several && prompt.size() > MOST_PROMPTS) throw RequestError.invalid("prompt", "%,d prompts; expected at most %,d".formatted(prompt.size(), MOST_PROMPTS));
        var prompts = new ArrayList<int[]>();
        for (JsonNode each : several ? prompt : List.of(prompt)) prompts.add(ids(each, model));
        return prompts;
    }

    static int[] ids(JsonNode prompt, ServedModel model) {
        if (prompt.isString()) return model.tokenizer().encodeWithSpecial(prompt.stringValue());
        if (!prompt.isArray()) throw Fields.wrong("prompt", prompt, "a text, token ids, or a list of either");
        int[] ids = new int[prompt.size()];
        for (int i = 0; i < ids.length; i++) {
            JsonNode id = prompt.get(i);
            if (!id.isIntegralNumber() || !id.canConvertToInt() || id.asInt() < 0) throw Fields.wrong("prompt", id, "token ids, integers from 0");
            ids[i] = id.asInt();
        }
        return ids;
    }

    /// The conversation as the model's template writes it, with the beginning of the assistant's turn.
    static String rendered(Fields fields, ServedModel model) {
        if (model.template() == null) throw RequestError.invalid("messages", "the model has no chat template; use /v1/completions");
        JsonNode messages = fields.node("messages");
        if (messages == null || !messages.isArray() || messages.isEmpty()) {
            throw RequestError.invalid("messages", "`messages` is missing or empty; expected a list of messages with `role` and `content`");
        }
        var turns = new ArrayList<Map<String, @Nullable Object>>();
        for (int i = 0; i < messages.size(); i++) turns.add(turn("messages[%d]".formatted(i), messages.get(i)));
        JsonNode variables = fields.node("chat_template_kwargs");
        if (variables != null && !variables.isObject()) throw Fields.wrong("chat_template_kwargs", variables, "an object of the template's variables");
        Map<String, @Nullable Object> names = new LinkedHashMap<>();
        if (variables != null) variables.properties().forEach(entry -> names.put(entry.getKey(), plain(entry.getValue())));
        try {
            return model.template().render(turns, true, names);
        } catch (Failure e) {
            // The template refuses the conversation, and says why.
            throw RequestError.invalid("messages", e.getMessage());
        }
    }

    private static Map<String, @Nullable Object> turn(String place, JsonNode message) {
        if (!message.isObject()) throw Fields.wrong(place, message, "an object with `role` and `content`");
        Map<String, @Nullable Object> turn = new LinkedHashMap<>();
        message.properties().forEach(entry -> turn.put(entry.getKey(), plain(entry.getValue())));
        String role = message.path("role").asString("");
        if (!List.of("system", "developer", "user", "assistant", "tool").contains(role)) {
            throw Fields.wrong(place + ".role", message.path("role"), "system, user, assistant or tool");
        }
        // Templates know the older name.
        turn.put("role", role.equals("developer") ? "system" : role);
        turn.put("content", content(place + ".content", message.get("content"), role));
        return turn;
    }

    /// A text, or parts that are texts.
    private static String content(String place, @Nullable JsonNode content, String role) {
        if (content == null || content.isNull()) {
            if (role.equals("assistant")) return "";
            throw RequestError.invalid(place, "`%s` is missing; expected a text".formatted(place));
        }
        if (content.isString()) return content.stringValue();
        if (!content.isArray()) throw Fields.wrong(place, content, "a text, or a list of parts of type text");
        var text = new StringBuilder();
        for (JsonNode part : content) {
            if (!part.path("type").asString("").equals("text") || !part.path("text").isString()) {
                throw RequestError.invalid(place, "`%s` has a part of type %s; this model reads text only".formatted(place, Failure.quote(part.path("type").asString("?"))));
            }
            text.append(part.path("text").stringValue());
        }
        return text.toString();
    }

    private static @Nullable Object plain(JsonNode node) {
        return JsonMapper.shared().treeToValue(node, Object.class);
    }

    /// The requests to the scheduler: `n` of each prompt, prompt by prompt.
    ///
    /// @param drawn the seed where the call has none
    List<Request> requests(Tokenizer tokenizer, long drawn) {
        long first = seed == null ? drawn : seed;
        var details = new Request.Details(() -> tokenizer.detokenizer(skipSpecial), alternatives, nothing || echo && logProbabilities);
        var requests = new ArrayList<Request>();
        for (int[] prompt : prompts) {
            for (int i = 0; i < n; i++) requests.add(new Request(prompt, sampling, i == 0 ? first : Seeds.mix(first, i), nothing ? prompt.length : Integer.MAX_VALUE, details));
        }
        return requests;
    }

    /// Tokens of all prompts, each counted once.
    int promptTokens() {
        return prompts.stream().mapToInt(prompt -> prompt.length).sum();
    }
}
