package rqat.text.jinja;

import static rqat.text.jinja.JinjaFunctions.capitalize;
import static rqat.text.jinja.JinjaFunctions.mapping;
import static rqat.text.jinja.JinjaFunctions.orElse;
import static rqat.text.jinja.JinjaFunctions.splitLines;
import static rqat.text.jinja.JinjaFunctions.string;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import rqat.text.jinja.JinjaValues.Values;
import rqat.text.jinja.PythonValues.JsonStyle;
import rqat.text.jinja.PythonValues.Undefined;

/// The filters that templates may name. What is not listed here is an error, never a guess.
final class JinjaFilters {
    private final PythonValues values;
    private final JinjaFunctions functions;

    JinjaFilters(PythonValues values, JinjaFunctions functions) {
        this.values = values;
        this.functions = functions;
    }

    /// `value | name(arguments)`
    @Nullable Object filter(String name, @Nullable Object value, Values arguments) {
        return switch (name) {
            case "tojson" -> toJson(value, arguments);
            case "default", "d" -> {
                Object[] bound = arguments.bind(name, 0, "default_value", "boolean");
                boolean absent = value instanceof Undefined
                        || PythonValues.isTrue(orElse(bound[1], false)) && !PythonValues.isTrue(value);
                yield absent ? orElse(bound[0], "") : value;
            }
            case "trim" -> {
                Object characters = orElse(arguments.bind(name, 0, "chars")[0], null);
                yield PythonValues.strip(values.str(value), characters == null ? null : string(name, characters), true, true);
            }
            case "replace" -> {
                Object[] bound = arguments.bind(name, 2, "old", "new", "count");
                Object count = orElse(bound[2], null);
                yield functions.replace(values.str(value), values.str(bound[0]), values.str(bound[1]), count == null ? (Object) (-1L) : count);
            }
            case "join" -> {
                Object[] bound = arguments.bind(name, 0, "d", "attribute");
                yield functions.join(attributes(values.iterate(value), bound[1]), values.str(orElse(bound[0], "")), false);
            }
            case "indent" -> indent(string(name, value), arguments);
            case "int" -> {
                Object[] bound = arguments.bind(name, 0, "default");
                yield toInteger(value, orElse(bound[0], 0L));
            }
            case "float" -> {
                Object[] bound = arguments.bind(name, 0, "default");
                yield toFloat(value, orElse(bound[0], 0.0));
            }
            case "dictsort" -> dictionarySort(functions.pairs(mapping(name, value)), arguments);
            case "map" -> map(itemsOf(value), arguments);
            case "select", "reject", "selectattr", "rejectattr" -> select(name, itemsOf(value), arguments);
            default -> {
                arguments.bind("the filter '" + name + "'", 0);
                yield filter(name, value);
            }
        };
    }

    private @Nullable Object filter(String name, @Nullable Object value) {
        return switch (name) {
            case "length", "count" -> (long) PythonValues.length(value);
            case "string" -> values.str(value);
            // Nothing is escaped, so nothing needs to be declared safe.
            case "safe" -> value instanceof Undefined ? "" : values.str(value);
            case "upper" -> values.str(value).toUpperCase(Locale.ROOT);
            case "lower" -> values.str(value).toLowerCase(Locale.ROOT);
            case "title" -> filterTitle(values.str(value));
            case "capitalize" -> capitalize(values.str(value));
            case "list" -> values.iterate(value);
            case "items" -> value instanceof Undefined ? List.of() : functions.pairs(mapping(name, value));
            case "first" -> {
                List<@Nullable Object> items = values.iterate(value);
                yield items.isEmpty() ? new Undefined("the first of nothing") : items.getFirst();
            }
            case "last" -> {
                List<@Nullable Object> items = values.iterate(value);
                yield items.isEmpty() ? new Undefined("the last of nothing") : items.getLast();
            }
            case "reverse" -> {
                List<@Nullable Object> items = values.iterate(value);
                Collections.reverse(items);
                yield value instanceof String ? functions.join(items, "", true) : items;
            }
            case "abs" -> PythonValues.toDouble(value) < 0 ? PythonValues.negate(value) : values.binary("+", 0L, value);
            default -> throw new JinjaError("the filter '" + name + "' is not supported");
        };
    }

    private String toJson(@Nullable Object value, Values arguments) {
        Object[] bound = arguments.bind("tojson", 0, "ensure_ascii", "indent", "separators", "sort_keys");
        Object indent = orElse(bound[1], null);
        Object separators = orElse(bound[2], null);
        String margin = null;
        if (indent != null) {
            long width = indent instanceof String text ? text.length() : Math.max(0, PythonValues.toLong(indent));
            if (width > 100) {
                throw new JinjaError("tojson: an indent of " + width);
            }
            margin = indent instanceof String text ? text : " ".repeat((int) width);
        }
        List<?> pair = separators instanceof List<?> list && list.size() == 2 ? list : List.of(margin == null ? ", " : ",", ": ");
        if (separators != null && pair != separators) {
            throw new JinjaError("tojson: separators must be a pair");
        }
        return values.json(
                value,
                new JsonStyle(
                        margin,
                        PythonValues.isTrue(orElse(bound[0], false)),
                        PythonValues.isTrue(orElse(bound[3], false)),
                        string("tojson", pair.get(0)),
                        string("tojson", pair.get(1))));
    }

    private String indent(String text, Values arguments) {
        Object[] bound = arguments.bind("indent", 0, "width", "first", "blank");
        Object width = orElse(bound[0], 4L);
        String margin = width instanceof String string ? string : (String) values.binary("*", " ", width);
        boolean first = PythonValues.isTrue(orElse(bound[1], false));
        boolean blank = PythonValues.isTrue(orElse(bound[2], false));
        List<@Nullable Object> lines = splitLines(text + "\n", false);
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < lines.size(); i++) {
            String line = string("indent", lines.get(i));
            values.append(out, i == 0 ? "" : "\n");
            values.append(out, (i == 0 ? first : blank || !line.isEmpty()) ? margin : "");
            values.append(out, line);
        }
        return out.toString();
    }

    private static @Nullable Object toInteger(@Nullable Object value, @Nullable Object otherwise) {
        if (PythonValues.isInteger(value)) {
            return PythonValues.toLong(value);
        }
        if (value instanceof String text && PythonValues.strip(text, null, true, true).matches("[-+]?[0-9]{1,18}")) {
            return Long.parseLong(PythonValues.strip(text, null, true, true));
        }
        Object number = toFloat(value, otherwise);
        if (number == otherwise) {
            return otherwise;
        }
        if (number instanceof Double n && Math.abs(n) < 1e18) {
            return (long) (double) n;
        }
        throw new JinjaError("int: " + number + " does not fit 64 bits");
    }

    private static @Nullable Object toFloat(@Nullable Object value, @Nullable Object otherwise) {
        if (value instanceof Undefined undefined) {
            throw new JinjaError("'" + undefined.name() + "' is undefined");
        }
        try {
            return value instanceof String text
                    ? (Object) Double.parseDouble(PythonValues.strip(text, null, true, true))
                    : PythonValues.isNumber(value) ? (Object) PythonValues.toDouble(value) : otherwise;
        } catch (NumberFormatException e) {
            return otherwise;
        }
    }

    /// The pairs of a dictionary by key or value; letter case matters only when asked for.
    private List<@Nullable Object> dictionarySort(List<@Nullable Object> pairs, Values arguments) {
        Object[] bound = arguments.bind("dictsort", 0, "case_sensitive", "by", "reverse");
        boolean caseSensitive = PythonValues.isTrue(orElse(bound[0], false));
        long place = switch (string("dictsort", orElse(bound[1], "key"))) {
            case "key" -> 0;
            case "value" -> 1;
            default -> throw new JinjaError("dictsort: by must be key or value");
        };
        Comparator<@Nullable Object> order = (left, right) -> values.compare(
                sortKey(PythonValues.item(left, place), caseSensitive), sortKey(PythonValues.item(right, place), caseSensitive));
        pairs.sort(PythonValues.isTrue(orElse(bound[2], false)) ? order.reversed() : order);
        return pairs;
    }

    private static @Nullable Object sortKey(@Nullable Object key, boolean caseSensitive) {
        return key instanceof String text && !caseSensitive ? text.toLowerCase(Locale.ROOT) : key;
    }

    /// What `map` and `select` go through: nothing for anything false, even `none`.
    private List<@Nullable Object> itemsOf(@Nullable Object value) {
        return PythonValues.isTrue(value) ? values.iterate(value) : new ArrayList<>();
    }

    private List<@Nullable Object> map(List<@Nullable Object> items, Values arguments) {
        if (arguments.positional().isEmpty()) {
            Object[] bound = arguments.bind("map", 1, "attribute", "default");
            List<@Nullable Object> mapped = attributes(items, bound[0]);
            if (!JinjaValues.isMissing(bound[1])) {
                mapped.replaceAll(item -> item instanceof Undefined ? bound[1] : item);
            }
            return mapped;
        }
        String filter = string("map", arguments.positional().getFirst());
        items.replaceAll(item -> filter(filter, item, rest(arguments, 1)));
        return items;
    }

    private List<@Nullable Object> select(String name, List<@Nullable Object> items, Values arguments) {
        boolean byAttribute = name.endsWith("attr");
        boolean wanted = name.startsWith("select");
        int skipped = byAttribute ? 1 : 0;
        if (arguments.positional().size() < skipped) {
            throw new JinjaError(name + ": the attribute is missing");
        }
        Object attribute = byAttribute ? arguments.positional().getFirst() : null;
        boolean truth = arguments.positional().size() == skipped;
        String test = truth ? "" : string(name, arguments.positional().get(skipped));
        items.removeIf(item -> {
            Object value = byAttribute ? path(item, attribute) : item;
            return wanted != (truth ? PythonValues.isTrue(value) : functions.test(test, value, rest(arguments, skipped + 1)));
        });
        return items;
    }

    private static Values rest(Values arguments, int skipped) {
        return new Values(arguments.positional().subList(skipped, arguments.positional().size()), arguments.named());
    }

    private List<@Nullable Object> attributes(List<@Nullable Object> items, @Nullable Object attribute) {
        if (attribute != null && !JinjaValues.isMissing(attribute)) {
            items.replaceAll(item -> path(item, attribute));
        }
        return items;
    }

    /// An attribute path such as `function.name` or an index, always looked up as an item first.
    private @Nullable Object path(@Nullable Object item, @Nullable Object attribute) {
        if (!(attribute instanceof String names)) {
            return functions.item(item, attribute);
        }
        for (String name : names.split("\\.")) {
            item = functions.item(item, name.matches("[0-9]{1,9}") ? (Object) Long.parseLong(name) : name);
        }
        return item;
    }

    /// Jinja's own idea of a title: words begin after white space, hyphens and opening brackets.
    private static String filterTitle(String text) {
        StringBuilder out = new StringBuilder();
        boolean begins = true;
        for (int c : text.codePoints().toArray()) {
            out.append(begins ? Character.toString(c).toUpperCase(Locale.ROOT) : Character.toString(c).toLowerCase(Locale.ROOT));
            begins = Character.isWhitespace(c) || "-([{<".indexOf(c) >= 0;
        }
        return out.toString();
    }
}
