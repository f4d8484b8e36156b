package rqat.model;

import java.nio.file.Path;
import rqat.Failure;
import tools.jackson.databind.JsonNode;

/// The keys of one object of a `config.json`, with errors that name file and key. Null counts as absent, as in transformers.
///
/// @param file for messages
/// @param json the object
record ConfigKeys(Path file, JsonNode json) {
    private static final int LARGEST = 100_000_000;

    boolean has(String key) {
        return !json.path(key).isMissingNode() && !json.path(key).isNull();
    }

    /// A positive integer that must be there.
    int size(String key) {
        JsonNode node = json.path(key);
        if (!node.isIntegralNumber() || !node.canConvertToInt() || node.asInt() < 1 || node.asInt() > LARGEST) {
            throw bad("`%s` is %s; expected a positive integer".formatted(key, shown(node)));
        }
        return node.asInt();
    }

    int size(String key, int otherwise) {
        return has(key) ? size(key) : otherwise;
    }

    /// A positive, finite number that must be there.
    double positive(String key) {
        JsonNode node = json.path(key);
        if (!node.isNumber() || !(node.asDouble() > 0) || Double.isInfinite(node.asDouble())) {
            throw bad("`%s` is %s; expected a positive number".formatted(key, shown(node)));
        }
        return node.asDouble();
    }

    double positive(String key, double otherwise) {
        return has(key) ? positive(key) : otherwise;
    }

    /// As [#positive(String, double)] where 0, too, stands for the default.
    double positiveOrZero(String key, double otherwise) {
        return json.path(key).isNumber() && json.path(key).asDouble() == 0 ? otherwise : positive(key, otherwise);
    }

    boolean flag(String key, boolean otherwise) {
        if (!has(key)) return otherwise;
        JsonNode node = json.path(key);
        if (!node.isBoolean()) throw bad("`%s` is %s; expected true or false".formatted(key, shown(node)));
        return node.asBoolean();
    }

    String text(String key, String otherwise) {
        if (!has(key)) return otherwise;
        JsonNode node = json.path(key);
        if (!node.isString()) throw bad("`%s` is %s; expected a string".formatted(key, shown(node)));
        return node.stringValue();
    }

    /// The object under `key`, empty where there is none.
    ConfigKeys object(String key) {
        if (has(key) && !json.path(key).isObject()) throw bad("`%s` is %s; expected an object".formatted(key, shown(json.path(key))));
        return new ConfigKeys(file, json.path(key));
    }

    boolean isEmpty() {
        return json.isEmpty();
    }

    static String shown(JsonNode node) {
        return node.isMissingNode() ? "missing" : Failure.quote(node.toString());
    }

    Failure bad(String what) {
        return Failure.badFile(file + ": " + what);
    }
}
