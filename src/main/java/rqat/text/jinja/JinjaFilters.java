package rqat.text.jinja;

import static rqat.text.jinja.JinjaFunctions.capitalize;
import static rqat.text.jinja.JinjaFunctions.mapping;
import static rqat.text.jinja.JinjaFunctions.orElse;
import static rqat.text.jinja.JinjaFunctions.splitLines;
import static rqat.text.jinja.JinjaFunctions.string;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import rqat.text.jinja.JinjaValues.Values;
import rqat.text.jinja.PythonValues.Group;
import rqat.text.jinja.PythonValues.JsonStyle;
import rqat.text.jinja.PythonValues.Markup;
import rqat.text.jinja.PythonValues.Tuple;
import rqat.text.jinja.PythonValues.Undefined;

/// The filters that templates may name. What is not listed here is an error, never a guess.
final class JinjaFilters {
    /// A word of `wordcount`.
    private static final Pattern WORD = Pattern.compile("[\\p{L}\\p{N}_]+");

    private final PythonValues values;
    private final JinjaFunctions functions;

    JinjaFilters(PythonValues values, JinjaFunctions functions) {
        this.values = values;
        this.functions = functions;
    }

    /// Filters that give marked-up text where they get it.
    private static final Set<String> KEEPING_MARKUP = Set.of("capitalize", "center", "indent", "lower", "reverse", "string", "trim", "truncate", "upper");

    /// `value | name(arguments)`
    @Nullable Object filter(String name, @Nullable Object value, Values arguments) {
        return switch (name) {
            case "escape", "e" -> escape(name, value, arguments);
            case "forceescape" -> escape(name, Markup.plain(value), arguments);
            case "safe" -> {
                arguments.bind(name, 0);
                yield value instanceof Markup ? value : new Markup(values.str(value));
            }
            case "format" -> format(value, arguments);
            case "default", "d" -> otherwise(name, value, arguments);
            default -> {
                Object result = plain(name, Markup.plain(value), arguments);
                yield value instanceof Markup && KEEPING_MARKUP.contains(name) && result instanceof String text ? new Markup(text) : result;
            }
        };
    }

    private Markup escape(String name, @Nullable Object value, Values arguments) {
        arguments.bind(name, 0);
        return values.escaped(value);
    }

    private @Nullable Object format(@Nullable Object value, Values arguments) {
        if (!arguments.positional().isEmpty() && !arguments.named().isEmpty()) throw new JinjaError("format: takes values or named values, not both");
        Object template = value instanceof Markup ? value : values.str(value);
        return functions.binary("%", template, arguments.named().isEmpty() ? new Tuple(arguments.positional()) : arguments.named());
    }

    private static @Nullable Object otherwise(String name, @Nullable Object value, Values arguments) {
        Object[] bound = arguments.bind(name, 0, "default_value", "boolean");
        boolean absent = value instanceof Undefined || PythonValues.isTrue(orElse(bound[1], false)) && !PythonValues.isTrue(value);
        return absent ? orElse(bound[0], "") : value;
    }

    private @Nullable Object plain(String name, @Nullable Object value, Values arguments) {
        return switch (name) {
            case "tojson" -> toJson(value, arguments);
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
                Object[] bound = arguments.bind(name, 0, "default", "base");
                yield toInteger(value, orElse(bound[0], 0L), PythonValues.toLong(orElse(bound[1], 10L)));
            }
            case "float" -> {
                Object[] bound = arguments.bind(name, 0, "default");
                yield toFloat(value, orElse(bound[0], 0.0));
            }
            case "dictsort" -> dictionarySort(functions.pairs(mapping(name, value)), arguments);
            case "map" -> map(itemsOf(value), arguments);
            case "sort" -> sort(values.iterate(value), arguments);
            case "unique" -> unique(values.iterate(value), arguments);
            case "min", "max" -> extreme(name, values.iterate(value), arguments);
            case "groupby" -> group(values.iterate(value), arguments);
            case "sum" -> sum(values.iterate(value), arguments);
            case "batch", "slice" -> cut(name, values.iterate(value), arguments);
            case "round" -> round(value, arguments);
            case "attr" -> functions.attributeOnly(value, string(name, arguments.bind(name, 1, "name")[0]));
            case "center" -> center(values.str(value), arguments);
            case "truncate" -> truncate(string(name, value), arguments);
            case "filesizeformat" -> fileSize(value, arguments);
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
            case "urlencode" -> urlEncode(value);
            case "wordcount" -> (long) WORD.matcher(values.str(value)).results().count();
            case "abs" -> PythonValues.toDouble(value) < 0 ? PythonValues.negate(value) : values.binary("+", 0L, value);
            case "random" -> throw new JinjaError("the filter 'random' is not supported: a prompt that is drawn cannot be repeated");
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

    /// `int(value, base)` of a string in another base than 10: an optional sign and a prefix that agrees with the base.
    private static @Nullable Long inBase(String text, long base) {
        if (base < 2 || base > 36) throw new JinjaError("int: the base is " + base);
        Matcher number = Pattern.compile("([-+]?)(0[" + switch ((int) base) {
            case 2 -> "bB";
            case 8 -> "oO";
            case 16 -> "xX";
            default -> "\\u0000";
        } + "]_?)?([0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)").matcher(text);
        if (!number.matches()) return null;
        try {
            return Long.parseLong(number.group(1) + number.group(3).replace("_", ""), (int) base);
        } catch (NumberFormatException e) {
            return null;
        }
    }

    private static @Nullable Object toInteger(@Nullable Object value, @Nullable Object otherwise, long base) {
        if (value instanceof String text && base != 10 && inBase(PythonValues.strip(text, null, true, true), base) instanceof Long number) {
            return number;
        }
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

    // ---- order and groups

    /// What items are compared by: themselves or an attribute; letter case matters only when asked for.
    private UnaryOperator<@Nullable Object> key(@Nullable Object attribute, @Nullable Object caseSensitive) {
        Object path = orElse(attribute, null);
        boolean cased = PythonValues.isTrue(orElse(caseSensitive, false));
        return item -> sortKey(path == null ? item : path(item, path), cased);
    }

    /// Several attributes, with commas between them, count one after the other.
    private List<@Nullable Object> sort(List<@Nullable Object> items, Values arguments) {
        Object[] bound = arguments.bind("sort", 0, "reverse", "case_sensitive", "attribute");
        Object attribute = Markup.plain(orElse(bound[2], null));
        List<UnaryOperator<@Nullable Object>> keys = new ArrayList<>();
        if (attribute instanceof String names) {
            for (String name : names.split(",", -1)) keys.add(key(name, bound[1]));
        } else {
            keys.add(key(attribute, bound[1]));
        }
        Comparator<List<@Nullable Object>> order = values::compare;
        record Keyed(List<@Nullable Object> key, @Nullable Object item) {}
        List<Keyed> keyed = new ArrayList<>();
        for (Object item : items) {
            List<@Nullable Object> key = new ArrayList<>();
            for (UnaryOperator<@Nullable Object> each : keys) key.add(each.apply(item));
            keyed.add(new Keyed(key, item));
        }
        keyed.sort(Comparator.comparing(Keyed::key, PythonValues.isTrue(orElse(bound[0], false)) ? order.reversed() : order));
        items.clear();
        for (Keyed each : keyed) items.add(each.item);
        return items;
    }

    /// The first item of every key.
    private List<@Nullable Object> unique(List<@Nullable Object> items, Values arguments) {
        Object[] bound = arguments.bind("unique", 0, "case_sensitive", "attribute");
        UnaryOperator<@Nullable Object> key = key(bound[1], bound[0]);
        Set<Object> seen = new HashSet<>();
        items.removeIf(item -> !seen.add(hashable(key.apply(item))));
        return items;
    }

    /// `value` such that Java finds equal what Python does.
    private static Object hashable(@Nullable Object value) {
        return switch (Markup.plain(value)) {
            case null -> Map.of();
            case Boolean flag -> (Object) (flag ? 1L : 0L);
            case Double n when n == Math.rint(n) && Math.abs(n) < 0x1p63 -> (long) (double) n;
            case Undefined _ -> Set.of();
            case Tuple tuple -> tuple.stream().map(JinjaFilters::hashable).toList();
            case List<?> _, Map<?, ?> _ -> throw new JinjaError("unique: " + PythonValues.typeName(value) + " has no hash");
            case Object other -> other;
        };
    }

    private @Nullable Object extreme(String name, List<@Nullable Object> items, Values arguments) {
        Object[] bound = arguments.bind(name, 0, "case_sensitive", "attribute");
        if (items.isEmpty()) return new Undefined("the " + name + " of nothing");
        UnaryOperator<@Nullable Object> key = key(bound[1], bound[0]);
        Object best = items.getFirst();
        Object bestKey = key.apply(best);
        for (Object item : items.subList(1, items.size())) {
            Object itemKey = key.apply(item);
            int order = values.compare(itemKey, bestKey);
            if (name.equals("min") ? order < 0 : order > 0) {
                best = item;
                bestKey = itemKey;
            }
        }
        return best;
    }

    /// Groups in the order of their keys; a group is named as its first item spells the key.
    private List<@Nullable Object> group(List<@Nullable Object> items, Values arguments) {
        Object[] bound = arguments.bind("groupby", 1, "attribute", "default", "case_sensitive");
        Object otherwise = orElse(bound[1], null);
        boolean caseSensitive = PythonValues.isTrue(orElse(bound[2], false));
        record Keyed(@Nullable Object name, @Nullable Object key, @Nullable Object item) {}
        List<Keyed> keyed = new ArrayList<>();
        for (Object item : items) {
            Object name = path(item, bound[0], otherwise);
            keyed.add(new Keyed(name, sortKey(name, caseSensitive), item));
        }
        keyed.sort(Comparator.comparing(Keyed::key, values::compare));
        List<@Nullable Object> groups = new ArrayList<>();
        for (int i = 0; i < keyed.size();) {
            Keyed first = keyed.get(i);
            List<@Nullable Object> members = new ArrayList<>();
            while (i < keyed.size() && values.isEqual(keyed.get(i).key, first.key)) members.add(keyed.get(i++).item);
            // NaN is not even equal to itself.
            if (members.isEmpty()) members.add(keyed.get(i++).item);
            groups.add(new Group(first.name, members));
        }
        return groups;
    }

    private @Nullable Object sum(List<@Nullable Object> items, Values arguments) {
        Object[] bound = arguments.bind("sum", 0, "attribute", "start");
        Object total = orElse(bound[1], 0L);
        if (Markup.plain(total) instanceof String) throw new JinjaError("sum: cannot add up strings; use join");
        for (Object item : attributes(items, bound[0])) total = functions.binary("+", total, item);
        return total;
    }

    /// `batch`: lists of `count` items; `slice`: `count` lists of nearly the same length. Short ones are filled where a value is given.
    private List<@Nullable Object> cut(String name, List<@Nullable Object> items, Values arguments) {
        Object[] bound = arguments.bind(name, 1, name.equals("batch") ? "linecount" : "slices", "fill_with");
        long count = PythonValues.toLong(bound[0]);
        Object filler = orElse(bound[1], null);
        List<@Nullable Object> parts = new ArrayList<>();
        if (name.equals("batch")) {
            // As in Jinja, where a list is given away when its length is the count: 0 only before the first item, a negative one never.
            if (count == 0 && !items.isEmpty()) parts.add(new ArrayList<>());
            long length = count <= 0 ? Long.MAX_VALUE : count;
            for (int i = 0; i < items.size();) {
                int end = (int) Math.min(items.size(), i + Math.min(length, items.size()));
                List<@Nullable Object> part = new ArrayList<>(items.subList(i, end));
                values.charge(filler == null || count <= 0 ? 1 : count);
                while (filler != null && part.size() < count) part.add(filler);
                parts.add(part);
                i = end;
            }
            return parts;
        }
        if (count == 0) throw new JinjaError("slice: into 0 parts");
        values.charge(Math.max(0, count));
        int start = 0;
        for (long i = 0; i < count; i++) {
            boolean longer = i < items.size() % count;
            int end = start + (int) (items.size() / count) + (longer ? 1 : 0);
            List<@Nullable Object> part = new ArrayList<>(items.subList(start, end));
            if (filler != null && !longer) part.add(filler);
            parts.add(part);
            start = end;
        }
        return parts;
    }

    // ---- numbers and texts

    /// `common` rounds halves to even, from the exact value; `ceil` and `floor` give floats.
    private Object round(@Nullable Object value, Values arguments) {
        Object[] bound = arguments.bind("round", 0, "precision", "method");
        Object precision = orElse(bound[0], 0L);
        String method = string("round", orElse(bound[1], "common"));
        if (!PythonValues.isNumber(value) || value instanceof BigInteger) throw new JinjaError("round: expected a number, found " + PythonValues.typeName(value));
        if (!method.equals("common")) {
            if (!method.equals("ceil") && !method.equals("floor")) throw new JinjaError("round: the method must be common, ceil or floor");
            Object unit = values.binary("**", 10L, precision);
            double scaled = PythonValues.toDouble(values.binary("*", value, unit));
            if (Double.isNaN(scaled) || Double.isInfinite(scaled)) throw new JinjaError("round: " + PythonValues.number(scaled) + " is no integer");
            return values.binary("/", 0.0 + (method.equals("ceil") ? Math.ceil(scaled) : Math.floor(scaled)), unit);
        }
        int digits = (int) Math.clamp(PythonValues.toLong(precision), -400, 400);
        if (value instanceof Double number) {
            if (Double.isNaN(number) || Double.isInfinite(number)) return number;
            double rounded = new BigDecimal(number).setScale(digits, RoundingMode.HALF_EVEN).doubleValue();
            return Math.copySign(rounded, number);
        }
        long number = PythonValues.toLong(value);
        if (digits >= 0) return number;
        BigDecimal rounded = BigDecimal.valueOf(number).setScale(digits, RoundingMode.HALF_EVEN);
        if (rounded.toBigInteger().bitLength() > 63) throw new JinjaError("round: " + rounded.toPlainString() + " does not fit 64 bits");
        return rounded.longValue();
    }

    /// As `str.center`: where the space is odd, the left side of an odd width has more.
    private String center(String text, Values arguments) {
        long width = PythonValues.toLong(orElse(arguments.bind("center", 0, "width")[0], 80L));
        values.chargeLength(width);
        int space = (int) Math.max(0, width - PythonValues.length(text));
        int left = space / 2 + (int) (space & width & 1);
        return " ".repeat(left) + text + " ".repeat(space - left);
    }

    private String truncate(String text, Values arguments) {
        Object[] bound = arguments.bind("truncate", 0, "length", "killwords", "end", "leeway");
        long length = PythonValues.toLong(orElse(bound[0], 255L));
        String end = string("truncate", orElse(bound[2], "..."));
        Object leeway = orElse(bound[3], null);
        long spare = leeway == null ? 5 : PythonValues.toLong(leeway);
        long kept = length - PythonValues.length(end);
        if (kept < 0) throw new JinjaError("truncate: a length of " + length + " has no room for '" + end + "'");
        if (spare < 0) throw new JinjaError("truncate: a leeway of " + spare);
        if (PythonValues.length(text) - spare <= length) return text;
        String beginning = text.substring(0, text.offsetByCodePoints(0, (int) kept));
        int space = beginning.lastIndexOf(' ');
        return (PythonValues.isTrue(orElse(bound[1], false)) || space < 0 ? beginning : beginning.substring(0, space)) + end;
    }

    private String fileSize(@Nullable Object value, Values arguments) {
        boolean binary = PythonValues.isTrue(orElse(arguments.bind("filesizeformat", 0, "binary")[0], false));
        if (!(toFloat(value, null) instanceof Double bytes)) throw new JinjaError("filesizeformat: expected a number, found " + PythonValues.typeName(value));
        if (bytes == 1) return "1 Byte";
        double base = binary ? 1024 : 1000;
        if (bytes < base) return (long) (double) bytes + " Bytes";
        double unit = base;
        int prefix = 0;
        while (prefix < 7 && bytes >= unit * base) {
            unit *= base;
            prefix++;
        }
        if (Double.isNaN(bytes) || Double.isInfinite(bytes)) return PythonValues.number(bytes) + (binary ? " YiB" : " YB");
        return PercentFormat.fixed(new BigDecimal(base * bytes / (unit * base)), 1, false) + " " + (binary ? "KMGTPEZY" : "kMGTPEZY").charAt(prefix) + (binary ? "iB" : "B");
    }

    /// A string, or the pairs of a dictionary or list as a query.
    private String urlEncode(@Nullable Object value) {
        boolean query = value instanceof Map<?, ?> || value instanceof List<?>;
        if (!query) return urlQuote(values.str(value), false);
        StringBuilder out = new StringBuilder();
        for (Object pair : value instanceof Map<?, ?> entries ? functions.pairs(entries) : values.iterate(value)) {
            List<@Nullable Object> two = values.iterate(pair);
            if (two.size() != 2) throw new JinjaError("urlencode: expected pairs, found " + PythonValues.typeName(pair));
            values.append(out, out.isEmpty() ? "" : "&");
            values.append(out, urlQuote(values.str(two.get(0)), true) + "=" + urlQuote(values.str(two.get(1)), true));
        }
        return out.toString();
    }

    private String urlQuote(String text, boolean query) {
        values.chargeLength(9L * text.length());
        StringBuilder out = new StringBuilder();
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            boolean plain = b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || "_.-~".indexOf(b) >= 0 || !query && b == '/';
            if (plain) out.append((char) b);
            else if (query && b == ' ') out.append('+');
            else out.append("%%%02X".formatted(b & 0xFF));
        }
        return out.toString();
    }

    private static @Nullable Object sortKey(@Nullable Object key, boolean caseSensitive) {
        return Markup.plain(key) instanceof String text && !caseSensitive ? text.toLowerCase(Locale.ROOT) : key;
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
        return path(item, attribute, null);
    }

    /// As [#path(Object, Object)], with `otherwise` in place of what is undefined unless that is none.
    private @Nullable Object path(@Nullable Object item, @Nullable Object attribute, @Nullable Object otherwise) {
        List<Object> parts = new ArrayList<>();
        if (Markup.plain(attribute) instanceof String names) {
            for (String name : names.split("\\.", -1)) parts.add(name.matches("[0-9]{1,9}") ? (Object) Long.parseLong(name) : name);
        } else {
            parts.add(attribute);
        }
        for (Object part : parts) {
            item = functions.item(item, part);
            if (item instanceof Undefined && otherwise != null) item = otherwise;
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
