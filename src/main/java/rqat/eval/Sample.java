package rqat.eval;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.generate.StopReason;
import rqat.run.JsonLines;
import rqat.verify.Reason;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// One answer and its score: a line of `samples.jsonl`.
///
/// @param task       name of the task
/// @param seed       seed of the unit; null for a choice, where nothing is sampled
/// @param id         the example
/// @param prompt     the text as the model saw it, special tokens included
/// @param completion what it wrote, special tokens left out; the option that it chose
/// @param gold       the reference answer
/// @param reason     why this is right or wrong
/// @param extracted  the final answer found in the completion
/// @param stop       why the completion ended; null for a choice
/// @param tokens     its length, the stop token included
public record Sample(
        String task,
        @Nullable Long seed,
        String id,
        String prompt,
        String completion,
        String gold,
        Reason reason,
        String extracted,
        @Nullable StopReason stop,
        int tokens) {

    /// Whether the answer is right.
    public boolean correct() {
        return reason == Reason.MATCH;
    }

    /// Whether something was answered; a window of a text that was read is no answer.
    boolean isAnswer() {
        return stop != null || !completion.isEmpty();
    }

    /// Whether the right answer stands in a text whose answer is wrong ([Reached]); never for a choice, where nothing is written.
    public boolean reachedNotGiven() {
        return stop != null && !correct() && Reached.in(completion, gold);
    }

    /// The samples of a `samples.jsonl`, in its order.
    ///
    /// @throws Failure BAD_FILE naming the line that is none
    public static List<Sample> read(Path file) {
        var samples = new ArrayList<Sample>();
        for (JsonNode line : JsonLines.read(file)) {
            try {
                samples.add(of(line));
            } catch (IllegalArgumentException e) {
                throw Failure.badFile("%s:%d: %s. Evaluate again to rewrite it.".formatted(file, samples.size() + 1, e.getMessage()), e);
            }
        }
        return samples;
    }

    /// One line of JSON, without the line feed.
    public String toJson() {
        var fields = new LinkedHashMap<String, @Nullable Object>();
        fields.put("task", task);
        fields.put("seed", seed);
        fields.put("id", id);
        fields.put("prompt", prompt);
        fields.put("completion", completion);
        fields.put("gold", gold);
        fields.put("reason", reason.name().toLowerCase(Locale.ROOT));
        fields.put("extracted", extracted);
        fields.put("stop", stop == null ? null : stop.name().toLowerCase(Locale.ROOT));
        fields.put("tokens", tokens);
        return JsonMapper.shared().writeValueAsString(fields);
    }

    /// The sample of a line that [#toJson] wrote.
    ///
    /// @throws IllegalArgumentException saying which field is wrong
    static Sample of(JsonNode json) {
        JsonNode seed = json.path("seed");
        JsonNode tokens = json.path("tokens");
        if (!(seed.isNull() || seed.isIntegralNumber() && seed.canConvertToLong())) throw bad("seed", "an integer or null", seed);
        if (!(tokens.isIntegralNumber() && tokens.canConvertToInt() && tokens.asInt() >= 0)) throw bad("tokens", "a count", tokens);
        return new Sample(
                text(json, "task"),
                seed.isNull() ? null : seed.asLong(),
                text(json, "id"),
                text(json, "prompt"),
                text(json, "completion"),
                text(json, "gold"),
                constant(Reason.class, json, "reason"),
                text(json, "extracted"),
                json.path("stop").isNull() ? null : constant(StopReason.class, json, "stop"),
                tokens.asInt());
    }

    private static String text(JsonNode json, String key) {
        JsonNode node = json.path(key);
        if (!node.isString()) throw bad(key, "a text", node);
        return node.asString();
    }

    private static <E extends Enum<E>> E constant(Class<E> type, JsonNode json, String key) {
        String text = text(json, key);
        for (E constant : type.getEnumConstants()) {
            if (constant.name().toLowerCase(Locale.ROOT).equals(text)) return constant;
        }
        throw bad(key, "one of " + java.util.Arrays.toString(type.getEnumConstants()).toLowerCase(Locale.ROOT), json.path(key));
    }

    private static IllegalArgumentException bad(String key, String expected, JsonNode found) {
        String shown = found.isMissingNode() ? "missing" : found.toString();
        if (shown.length() > 60) shown = shown.substring(0, 60) + "...";
        return new IllegalArgumentException("`%s` is %s; expected %s".formatted(key, shown, expected));
    }
}
