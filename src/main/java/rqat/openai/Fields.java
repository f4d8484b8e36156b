package rqat.openai;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// The fields of a request, each read once and checked; `null` is the same as absent, as clients send it. What nobody read is refused in the
/// end ([#refuseOthers]): a setting that is silently ignored is a wrong answer.
final class Fields {
    private final ObjectNode object;
    private final Set<String> read = new TreeSet<>();

    private Fields(ObjectNode object) {
        this.object = object;
    }

    /// The fields of a body.
    ///
    /// @throws RequestError when it is no JSON object
    static Fields of(byte[] body) {
        JsonNode json;
        try {
            json = JsonFiles.parse(body, "body", 1);
        } catch (Failure e) {
            throw RequestError.invalid(null, e.getMessage());
        }
        if (json instanceof ObjectNode object) return new Fields(object);
        throw RequestError.invalid(null, "the body is %s; expected a JSON object".formatted(kind(json)));
    }

    /// The field itself, if it is there and not null.
    @Nullable JsonNode node(String name) {
        read.add(name);
        JsonNode node = object.get(name);
        return node == null || node.isNull() ? null : node;
    }

    /// A number from `low` to `high`, both included.
    double number(String name, double otherwise, double low, double high) {
        JsonNode node = node(name);
        if (node == null) return otherwise;
        if (node.isNumber() && node.asDouble() >= low && node.asDouble() <= high) return node.asDouble();
        throw wrong(name, node, "a number from %s to %s".formatted(plain(low), plain(high)));
    }

    /// An integer from `low` to `high`; null when absent.
    @Nullable Integer integer(String name, int low, int high) {
        JsonNode node = node(name);
        if (node == null) return null;
        if (isInteger(node) && node.canConvertToInt() && node.asInt() >= low && node.asInt() <= high) return node.asInt();
        throw wrong(name, node, "an integer from %d to %d".formatted(low, high));
    }

    /// An integer of 64 bits; null when absent.
    @Nullable Long longInteger(String name) {
        JsonNode node = node(name);
        if (node == null) return null;
        if (isInteger(node) && node.canConvertToLong()) return node.asLong();
        throw wrong(name, node, "an integer of 64 bits");
    }

    private static boolean isInteger(JsonNode node) {
        return node.isIntegralNumber() || node.isNumber() && node.asDouble() == Math.rint(node.asDouble());
    }

    boolean flag(String name, boolean otherwise) {
        JsonNode node = node(name);
        if (node == null) return otherwise;
        if (node.isBoolean()) return node.booleanValue();
        throw wrong(name, node, "true or false");
    }

    @Nullable String text(String name) {
        JsonNode node = node(name);
        if (node == null) return null;
        if (node.isString()) return node.stringValue();
        throw wrong(name, node, "a text");
    }

    /// A text or a list of texts, none of them empty.
    List<String> texts(String name, int most) {
        JsonNode node = node(name);
        if (node == null) return List.of();
        var texts = new ArrayList<String>();
        for (JsonNode each : node.isArray() ? node : List.of(node)) {
            if (!each.isString() || each.stringValue().isEmpty()) throw wrong(name, each, "a text that is not empty, or a list of such");
            texts.add(each.stringValue());
        }
        if (texts.size() > most) throw RequestError.invalid(name, "`%s` has %d texts; expected at most %d".formatted(name, texts.size(), most));
        return texts;
    }

    /// A list of integers from 0 to `high`.
    List<Integer> integers(String name, int high) {
        JsonNode node = node(name);
        if (node == null) return List.of();
        if (!node.isArray()) throw wrong(name, node, "a list of integers");
        var integers = new ArrayList<Integer>();
        for (JsonNode each : node) {
            if (!isInteger(each) || !each.canConvertToInt() || each.asInt() < 0 || each.asInt() > high) throw wrong(name, each, "integers from 0 to " + high);
            integers.add(each.asInt());
        }
        return integers;
    }

    /// Fields of the interface that have no bearing on the answer.
    void ignore(String... names) {
        read.addAll(List.of(names));
    }

    /// A field of the interface that is not supported: only a value that asks for nothing passes.
    void unsupported(String name) {
        JsonNode node = node(name);
        if (node == null) return;
        boolean nothing = node.isNumber() && node.asDouble() == 0
                || node.isContainer() && node.isEmpty()
                || node.isBoolean() && !node.booleanValue()
                || node.isString() && (node.stringValue().isEmpty() || node.stringValue().equals("none"));
        if (!nothing) throw RequestError.invalid(name, "`%s` is not supported by this server; leave it out".formatted(name));
    }

    /// @throws RequestError when there is a field that nothing has read
    void refuseOthers() {
        for (String name : object.propertyNames()) {
            if (!read.contains(name)) throw RequestError.invalid(name, "unknown field %s; leave it out".formatted(Failure.quote(name)));
        }
    }

    static RequestError wrong(String name, JsonNode found, String expected) {
        String shown = found.isContainer() ? kind(found) : Failure.quote(found.toString());
        return RequestError.invalid(name, "`%s` is %s; expected %s".formatted(name, shown, expected));
    }

    private static String kind(JsonNode node) {
        return node.isArray() ? "a list of %d".formatted(node.size()) : node.isObject() ? "an object" : node.isNull() ? "null" : Failure.quote(node.toString());
    }

    private static String plain(double value) {
        return value == Math.rint(value) ? String.valueOf((long) value) : String.valueOf(value);
    }
}
