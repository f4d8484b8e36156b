package rqat.text.jinja;

import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import rqat.text.jinja.JinjaValues.Values;
import rqat.text.jinja.PythonValues.Group;
import rqat.text.jinja.PythonValues.Markup;
import rqat.text.jinja.PythonValues.Tuple;
import rqat.text.jinja.PythonValues.Undefined;
import rqat.text.jinja.PythonValues.View;

/// The tests, methods and global functions that templates may name ([JinjaFilters] has the filters). What is not listed here is an error, never a guess.
final class JinjaFunctions {

    /// Names that are defined without the caller's doing.
    static final Set<String> GLOBALS = Set.of("range", "dict", "namespace", "raise_exception", "strftime_now");

    private static final Set<String> STRING_METHODS = Set.of(
            "split", "rsplit", "splitlines", "strip", "lstrip", "rstrip", "startswith", "endswith", "replace", "upper", "lower",
            "title", "capitalize", "find", "rfind", "count", "join", "removeprefix", "removesuffix", "partition", "rpartition",
            "isdigit", "isalpha", "isalnum", "isspace", "isupper", "islower");

    private static final Set<String> DICTIONARY_METHODS = Set.of("items", "keys", "values", "get");

    private static final Set<String> LIST_METHODS = Set.of("index", "count");

    /// Methods that Python has and we do not: an attribute of this name must not silently be undefined.
    private static final Set<String> UNSUPPORTED_METHODS = Set.of(
            "casefold", "center", "encode", "expandtabs", "format", "format_map", "isascii", "isdecimal", "isidentifier", "isnumeric",
            "isprintable", "istitle", "ljust", "maketrans", "rindex", "rjust", "swapcase", "translate", "zfill", "append", "clear",
            "copy", "extend", "insert", "pop", "remove", "reverse", "sort", "fromkeys", "popitem", "setdefault", "update");

    /// What [JinjaFilters] knows.
    private static final Set<String> FILTERS = Set.of(
            "abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape", "filesizeformat", "first", "float", "forceescape", "format",
            "groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "safe",
            "select", "selectattr", "slice", "sort", "string", "sum", "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount");

    private static final Set<String> TESTS = Set.of(
            "boolean", "callable", "defined", "divisibleby", "eq", "==", "equalto", "escaped", "even", "false", "filter", "float", "ge", ">=", "greaterthan", ">", "gt",
            "in", "integer", "iterable", "le", "<=", "lessthan", "<", "lower", "lt", "mapping", "ne", "!=", "none", "number", "odd", "sameas", "sequence", "string", "test",
            "true", "undefined", "upper");

    /// As in Jinja's sandbox.
    private static final int MAXIMUM_RANGE = 100_000;

    private final PythonValues values;
    private final LocalDateTime now;

    JinjaFunctions(PythonValues values, LocalDateTime now) {
        this.values = values;
        this.now = now;
    }

    // ---- attributes and items

    /// `target.name`: a method or attribute first, then an item, then undefined.
    @Nullable Object attribute(@Nullable Object target, String name) {
        return switch (target) {
            case Undefined undefined -> throw new JinjaError("'" + undefined.name() + "' is undefined, so it has no '" + name + "'");
            case JinjaValues.Namespace namespace ->
                namespace.attributes().containsKey(name) ? namespace.attributes().get(name) : new Undefined(name);
            case JinjaValues.Loop loop -> loopAttribute(loop, name);
            case Markup markup -> attribute(markup.text(), name);
            case Group group when name.equals("grouper") -> group.get(0);
            case Group group when name.equals("list") -> group.get(1);
            case null -> new Undefined(name);
            default -> method(target, name) instanceof Object method ? method : PythonValues.item(target, name);
        };
    }

    /// As [#attribute], but never an item: what `attr` finds.
    @Nullable Object attributeOnly(@Nullable Object target, String name) {
        boolean container = target instanceof String || target instanceof Map<?, ?> || target instanceof List<?> && !(target instanceof Group);
        return !container ? attribute(target, name) : method(target, name) instanceof Object method ? method : new Undefined(name);
    }

    /// `target[index]`: an item first, then for a name a method or attribute, then undefined.
    @Nullable Object item(@Nullable Object target, @Nullable Object index) {
        if (Markup.plain(index) instanceof String name && !(target instanceof Map<?, ?> entries && entries.containsKey(name))) {
            return attribute(target, name);
        }
        return PythonValues.item(Markup.plain(target), index);
    }

    private static @Nullable Object method(Object target, String name) {
        Set<String> methods = switch (target) {
            case String _ -> STRING_METHODS;
            case Map<?, ?> _ -> DICTIONARY_METHODS;
            case List<?> _ -> LIST_METHODS;
            default -> Set.of();
        };
        if (methods.contains(name)) {
            return new JinjaValues.Method(target, name);
        }
        boolean key = target instanceof Map<?, ?> entries && entries.containsKey(name);
        if (name.startsWith("__") || !key && !methods.isEmpty() && UNSUPPORTED_METHODS.contains(name)) {
            throw new JinjaError("the method '" + name + "' of " + PythonValues.typeName(target) + " is not supported");
        }
        return null;
    }

    private @Nullable Object loopAttribute(JinjaValues.Loop loop, String name) {
        int index = loop.index();
        int length = loop.items().size();
        return switch (name) {
            case "index" -> index + 1L;
            case "index0" -> (long) index;
            case "revindex" -> (long) length - index;
            case "revindex0" -> length - index - 1L;
            case "first" -> index == 0;
            case "last" -> index == length - 1;
            case "length" -> (long) length;
            case "previtem" -> index == 0 ? new Undefined(name) : loop.items().get(index - 1);
            case "nextitem" -> index == length - 1 ? new Undefined(name) : loop.items().get(index + 1);
            case "cycle" -> new JinjaValues.Method(loop, name);
            default -> throw new JinjaError("loop." + name + " is not supported");
        };
    }

    // ---- arithmetic

    /// `left operator right`, where `%` formats a string, and strings that meet a text with markup are escaped.
    @Nullable Object binary(String operator, @Nullable Object left, @Nullable Object right) {
        if (operator.equals("%") && left instanceof String template) {
            return new PercentFormat(values).format(template, right);
        }
        if (operator.equals("~") || !(left instanceof Markup) && !(right instanceof Markup)) {
            return values.binary(operator, left, right);
        }
        Object plainLeft = Markup.plain(left), plainRight = Markup.plain(right);
        if (operator.equals("%") && left instanceof Markup template) {
            return new Markup(new PercentFormat(values).format(template.text(), escapedArguments(right)));
        }
        boolean sum = operator.equals("+") && plainLeft instanceof String && plainRight instanceof String;
        Object result = sum
                ? values.binary("+", values.escaped(left).text(), values.escaped(right).text())
                : values.binary(operator, plainLeft, plainRight);
        return result instanceof String text ? new Markup(text) : result;
    }

    /// Numbers have nothing to escape, and must stay numbers for `%d`.
    private @Nullable Object escapedArguments(@Nullable Object arguments) {
        return switch (arguments) {
            case Tuple tuple -> {
                List<@Nullable Object> items = new ArrayList<>(tuple);
                items.replaceAll(this::escapedArguments);
                yield new Tuple(items);
            }
            case Map<?, ?> entries -> {
                Map<@Nullable Object, @Nullable Object> items = new LinkedHashMap<>();
                entries.forEach((key, value) -> items.put(key, escapedArguments(value)));
                yield items;
            }
            case String text -> values.escaped(text).text();
            case null, default -> Markup.plain(arguments);
        };
    }

    // ---- comparisons and tests

    /// One link of a comparison.
    boolean compare(String operator, @Nullable Object left, @Nullable Object right) {
        return switch (operator) {
            case "==" -> values.isEqual(left, right);
            case "!=" -> !values.isEqual(left, right);
            case "<" -> values.compare(left, right) < 0;
            case "<=" -> values.compare(left, right) <= 0;
            case ">" -> values.compare(left, right) > 0;
            case ">=" -> values.compare(left, right) >= 0;
            case "in" -> values.contains(right, left);
            case "not in" -> !values.contains(right, left);
            default -> throw new JinjaError("unknown operator " + operator);
        };
    }

    /// `value is name(arguments)`
    boolean test(String name, @Nullable Object value, Values arguments) {
        return name.equals("escaped") ? value instanceof Markup : plainTest(name, Markup.plain(value), arguments);
    }

    private boolean plainTest(String name, @Nullable Object value, Values arguments) {
        return switch (name) {
            case "divisibleby" -> PythonValues.toLong(values.binary("%", value, argument(name, arguments))) == 0;
            case "eq", "equalto", "==" -> compare("==", value, argument(name, arguments));
            case "ne", "!=" -> compare("!=", value, argument(name, arguments));
            case "lt", "lessthan", "<" -> compare("<", value, argument(name, arguments));
            case "le", "<=" -> compare("<=", value, argument(name, arguments));
            case "gt", "greaterthan", ">" -> compare(">", value, argument(name, arguments));
            case "ge", ">=" -> compare(">=", value, argument(name, arguments));
            case "in" -> compare("in", value, argument(name, arguments));
            case "sameas" -> same(value, argument(name, arguments));
            default -> {
                arguments.bind("the test '" + name + "'", 0);
                yield test(name, value);
            }
        };
    }

    private static @Nullable Object argument(String test, Values arguments) {
        return Markup.plain(arguments.bind("the test '" + test + "'", 1, "other")[0]);
    }

    private static boolean same(@Nullable Object left, @Nullable Object right) {
        boolean constants = left instanceof Boolean || left instanceof Long || left instanceof String;
        return left == right || constants && left.equals(right);
    }

    private boolean test(String name, @Nullable Object value) {
        return switch (name) {
            case "defined" -> !(value instanceof Undefined);
            case "undefined" -> value instanceof Undefined;
            case "none" -> value == null;
            case "true" -> Boolean.TRUE.equals(value);
            case "false" -> Boolean.FALSE.equals(value);
            case "boolean" -> value instanceof Boolean;
            case "string" -> value instanceof String;
            case "number" -> PythonValues.isNumber(value);
            case "integer" -> PythonValues.isNumber(value) && !(value instanceof Boolean) && !(value instanceof Double);
            case "float" -> value instanceof Double;
            case "mapping" -> value instanceof Map<?, ?>;
            case "sequence", "iterable" ->
                value instanceof String || value instanceof List<?> || value instanceof Map<?, ?> || value instanceof Undefined;
            case "callable" -> value instanceof JinjaValues.Callable || value instanceof Undefined;
            case "odd" -> Math.floorMod(PythonValues.toLong(value), 2) == 1;
            case "filter" -> FILTERS.contains(values.str(value));
            case "test" -> TESTS.contains(values.str(value));
            case "even" -> Math.floorMod(PythonValues.toLong(value), 2) == 0;
            case "lower" -> isCased(values.str(value), false);
            case "upper" -> isCased(values.str(value), true);
            default -> throw new JinjaError("the test '" + name + "' is not supported");
        };
    }

    private static boolean isCased(String text, boolean upper) {
        return text.codePoints().noneMatch(upper ? Character::isLowerCase : Character::isUpperCase)
                && text.codePoints().noneMatch(Character::isTitleCase)
                && text.codePoints().anyMatch(upper ? Character::isUpperCase : Character::isLowerCase);
    }

    // ---- globals

    /// `name(arguments)`
    Object global(String name, Values arguments) {
        return switch (name) {
            case "range" -> range(arguments);
            case "dict" -> {
                new Values(arguments.positional(), Map.of()).bind("dict", 0);
                yield new LinkedHashMap<>(arguments.named());
            }
            case "namespace" -> {
                Map<String, @Nullable Object> attributes = new LinkedHashMap<>();
                for (Object initial : arguments.positional()) {
                    if (!(initial instanceof Map<?, ?> entries) || arguments.positional().size() > 1) {
                        throw new JinjaError("namespace: takes one dictionary and named values");
                    }
                    entries.forEach((key, value) -> attributes.put(values.str(key), value));
                }
                attributes.putAll(arguments.named());
                yield new JinjaValues.Namespace(attributes);
            }
            case "raise_exception" ->
                throw new JinjaError("the template refuses these messages: " + values.str(arguments.bind(name, 1, "message")[0]));
            case "strftime_now" -> strftime(values.str(arguments.bind(name, 1, "format")[0]));
            default -> throw new JinjaError("the function '" + name + "' is not supported");
        };
    }

    private List<@Nullable Object> range(Values arguments) {
        Object[] bound = arguments.bind("range", 1, "start", "stop", "step");
        long start = JinjaValues.isMissing(bound[1]) ? 0 : PythonValues.toLong(bound[0]);
        long stop = PythonValues.toLong(bound[JinjaValues.isMissing(bound[1]) ? 0 : 1]);
        long step = JinjaValues.isMissing(bound[2]) ? 1 : PythonValues.toLong(bound[2]);
        if (step == 0) {
            throw new JinjaError("range: the step cannot be 0");
        }
        List<@Nullable Object> numbers = new ArrayList<>();
        for (long i = start; step > 0 ? i < stop : i > stop; i = Math.addExact(i, step)) {
            if (numbers.size() == MAXIMUM_RANGE) {
                throw new JinjaError("range: more than " + MAXIMUM_RANGE + " numbers");
            }
            numbers.add(i);
        }
        values.charge(numbers.size());
        return numbers;
    }

    private String strftime(String format) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < format.length(); i++) {
            if (format.charAt(i) != '%' || i + 1 == format.length()) {
                out.append(format.charAt(i));
                continue;
            }
            boolean unpadded = format.charAt(i + 1) == '-' && i + 2 < format.length();
            i += unpadded ? 2 : 1;
            String pattern = switch (format.charAt(i)) {
                case 'Y' -> "uuuu";
                case 'y' -> "uu";
                case 'm' -> "MM";
                case 'B' -> "MMMM";
                case 'b', 'h' -> "MMM";
                case 'd' -> "dd";
                case 'j' -> "DDD";
                case 'A' -> "EEEE";
                case 'a' -> "EEE";
                case 'H' -> "HH";
                case 'I' -> "hh";
                case 'M' -> "mm";
                case 'S' -> "ss";
                case 'p' -> "a";
                case 'F' -> "uuuu-MM-dd";
                case 'T' -> "HH:mm:ss";
                case '%' -> "'%'";
                default -> throw new JinjaError("strftime_now: %" + format.charAt(i) + " is not supported");
            };
            String text = DateTimeFormatter.ofPattern(pattern, Locale.US).format(now);
            out.append(unpadded && text.startsWith("0") && text.length() > 1 ? text.replaceFirst("^0+(?=.)", "") : text);
        }
        return out.toString();
    }

    // ---- methods

    /// `receiver.name(arguments)`
    @Nullable Object method(Object receiver, String name, Values arguments) {
        return switch (receiver) {
            case String text -> stringMethod(text, name, arguments);
            case Map<?, ?> entries -> switch (name) {
                case "items" -> new View(name, pairs(entries));
                case "keys" -> new View(name, values.iterate(entries));
                case "values" -> {
                    values.charge(entries.size());
                    yield new View(name, new ArrayList<>(entries.values()));
                }
                case "get" -> {
                    Object[] bound = arguments.bind(name, 1, "key", "default");
                    yield entries.containsKey(PythonValues.key(bound[0])) ? entries.get(bound[0]) : orElse(bound[1], null);
                }
                default -> throw new JinjaError("the method '" + name + "' is not supported");
            };
            case List<?> items -> {
                Object sought = arguments.bind(name, 1, "value")[0];
                List<Integer> places = new ArrayList<>();
                for (int i = 0; i < items.size(); i++) {
                    if (values.isEqual(items.get(i), sought)) {
                        places.add(i);
                    }
                }
                if (name.equals("index") && places.isEmpty()) {
                    throw new JinjaError("index: the value is not in the list");
                }
                yield name.equals("index") ? (long) places.getFirst() : (long) places.size();
            }
            case JinjaValues.Loop loop -> {
                List<@Nullable Object> choices = arguments.positional();
                if (choices.isEmpty()) {
                    throw new JinjaError("loop.cycle: no values given");
                }
                yield choices.get(loop.index() % choices.size());
            }
            default -> throw new JinjaError("the method '" + name + "' is not supported");
        };
    }

    private @Nullable Object stringMethod(String text, String name, Values arguments) {
        values.chargeLength(text.length());
        return switch (name) {
            case "strip", "lstrip", "rstrip" -> {
                Object characters = orElse(arguments.bind(name, 0, "chars")[0], null);
                yield PythonValues.strip(
                        text,
                        characters == null ? null : string(name, characters),
                        !name.equals("rstrip"),
                        !name.equals("lstrip"));
            }
            case "split", "rsplit" -> split(text, name, arguments);
            case "splitlines" -> {
                boolean keep = PythonValues.isTrue(orElse(arguments.bind(name, 0, "keepends")[0], false));
                yield splitLines(text, keep);
            }
            case "partition", "rpartition" -> {
                String separator = separator(name, arguments.bind(name, 1, "sep")[0]);
                int at = name.equals("partition") ? text.indexOf(separator) : text.lastIndexOf(separator);
                yield new Tuple(at >= 0
                        ? List.of(text.substring(0, at), separator, text.substring(at + separator.length()))
                        : name.equals("partition") ? List.of(text, "", "") : List.of("", "", text));
            }
            case "startswith", "endswith" -> {
                Object affixes = arguments.bind(name, 1, "prefix")[0];
                for (Object affix : affixes instanceof Tuple tuple ? tuple : Collections.singletonList(affixes)) {
                    String sought = string(name, affix);
                    if (name.equals("startswith") ? text.startsWith(sought) : text.endsWith(sought)) {
                        yield true;
                    }
                }
                yield false;
            }
            case "removeprefix" -> {
                String prefix = string(name, arguments.bind(name, 1, "prefix")[0]);
                yield text.startsWith(prefix) ? text.substring(prefix.length()) : text;
            }
            case "removesuffix" -> {
                String suffix = string(name, arguments.bind(name, 1, "suffix")[0]);
                yield text.endsWith(suffix) ? text.substring(0, text.length() - suffix.length()) : text;
            }
            case "replace" -> {
                Object[] bound = arguments.bind(name, 2, "old", "new", "count");
                yield replace(text, string(name, bound[0]), string(name, bound[1]), orElse(bound[2], -1L));
            }
            case "find", "rfind" -> {
                String sought = string(name, arguments.bind(name, 1, "sub")[0]);
                int at = name.equals("find") ? text.indexOf(sought) : text.lastIndexOf(sought);
                yield at < 0 ? -1L : (long) text.codePointCount(0, at);
            }
            case "count" -> {
                String sought = string(name, arguments.bind(name, 1, "sub")[0]);
                yield sought.isEmpty() ? PythonValues.length(text) + 1L : occurrences(text, sought);
            }
            case "join" -> join(values.iterate(arguments.bind(name, 1, "items")[0]), text, true);
            default -> {
                arguments.bind(name, 0);
                yield switch (name) {
                    case "upper" -> text.toUpperCase(Locale.ROOT);
                    case "lower" -> text.toLowerCase(Locale.ROOT);
                    case "title" -> title(text);
                    case "capitalize" -> capitalize(text);
                    case "isupper" -> isCased(text, true);
                    case "islower" -> isCased(text, false);
                    case "isspace" -> !text.isEmpty() && text.codePoints().allMatch(PythonValues::isSpace);
                    case "isdigit" -> !text.isEmpty() && text.codePoints().allMatch(Character::isDigit);
                    case "isalpha" -> !text.isEmpty() && text.codePoints().allMatch(Character::isLetter);
                    case "isalnum" -> !text.isEmpty() && text.codePoints().allMatch(Character::isLetterOrDigit);
                    default -> throw new JinjaError("the method '" + name + "' is not supported");
                };
            }
        };
    }

    private List<@Nullable Object> split(String text, String name, Values arguments) {
        Object[] bound = arguments.bind(name, 0, "sep", "maxsplit");
        long limit = PythonValues.toLong(orElse(bound[1], -1L));
        Object separator = orElse(bound[0], null);
        boolean right = name.equals("rsplit");
        List<@Nullable Object> parts = new ArrayList<>();
        String rest = separator == null ? PythonValues.strip(text, null, !right, right) : text;
        while (limit != parts.size()) {
            int start;
            int end;
            if (separator != null) {
                String sought = separator(name, separator);
                start = right ? rest.lastIndexOf(sought) : rest.indexOf(sought);
                end = start + sought.length();
            } else if (right) {
                end = rest.length();
                while (end > 0 && !PythonValues.isSpace(rest.charAt(end - 1))) {
                    end--;
                }
                start = PythonValues.strip(rest.substring(0, end), null, false, true).length();
                start = end == 0 ? -1 : start;
            } else {
                start = 0;
                while (start < rest.length() && !PythonValues.isSpace(rest.charAt(start))) {
                    start++;
                }
                end = rest.length() - PythonValues.strip(rest.substring(start), null, true, false).length();
                start = start == rest.length() ? -1 : start;
            }
            if (start < 0) {
                break;
            }
            values.chargeLength(rest.length());
            parts.add(right ? rest.substring(end) : rest.substring(0, start));
            rest = right ? rest.substring(0, start) : rest.substring(end);
        }
        if (separator != null || !rest.isEmpty()) {
            parts.add(rest);
        }
        if (right) {
            Collections.reverse(parts);
        }
        values.charge(parts.size());
        return parts;
    }

    static List<@Nullable Object> splitLines(String text, boolean keepEnds) {
        List<@Nullable Object> lines = new ArrayList<>();
        int start = 0;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c >= '\n' && c <= '\r' || c >= 0x1C && c <= 0x1E || c == 0x85 || c == 0x2028 || c == 0x2029) {
                int end = c == '\r' && i + 1 < text.length() && text.charAt(i + 1) == '\n' ? i + 2 : i + 1;
                lines.add(text.substring(start, keepEnds ? end : i));
                start = end;
                i = end - 1;
            }
        }
        if (start < text.length()) {
            lines.add(text.substring(start));
        }
        return lines;
    }

    String replace(String text, String old, String replacement, @Nullable Object limit) {
        long most = PythonValues.toLong(limit);
        long found = old.isEmpty() ? text.codePointCount(0, text.length()) + 1L : occurrences(text, old);
        long count = most < 0 ? found : Math.min(most, found);
        values.chargeLength(text.length() + count * replacement.length());
        StringBuilder out = new StringBuilder();
        int done = 0;
        for (long i = 0; i < count; i++) {
            // An empty pattern matches before every character and at the end.
            int at = old.isEmpty()
                    ? i == 0 ? 0 : text.offsetByCodePoints(done, 1)
                    : text.indexOf(old, done);
            out.append(text, done, at).append(replacement);
            done = at + old.length();
        }
        return out.append(text, done, text.length()).toString();
    }

    private static long occurrences(String text, String sought) {
        long count = 0;
        for (int at = text.indexOf(sought); at >= 0; at = text.indexOf(sought, at + sought.length())) {
            count++;
        }
        return count;
    }

    String join(List<@Nullable Object> items, String separator, boolean stringsOnly) {
        StringBuilder out = new StringBuilder();
        for (int i = 0; i < items.size(); i++) {
            values.append(out, i == 0 ? "" : separator);
            values.append(out, stringsOnly ? string("join", items.get(i)) : values.str(items.get(i)));
        }
        return out.toString();
    }

    static String capitalize(String text) {
        if (text.isEmpty()) {
            return text;
        }
        int first = text.offsetByCodePoints(0, 1);
        return Character.toString(Character.toTitleCase(text.codePointAt(0))) + text.substring(first).toLowerCase(Locale.ROOT);
    }

    /// `str.title`: a letter after anything that is no letter is upper case, every other one lower case.
    private static String title(String text) {
        StringBuilder out = new StringBuilder();
        boolean inWord = false;
        for (int c : text.codePoints().toArray()) {
            out.appendCodePoint(inWord ? Character.toLowerCase(c) : Character.toTitleCase(c));
            inWord = Character.isUpperCase(c) || Character.isLowerCase(c) || Character.isTitleCase(c);
        }
        return out.toString();
    }

    List<@Nullable Object> pairs(Map<?, ?> entries) {
        values.charge(entries.size());
        List<@Nullable Object> pairs = new ArrayList<>();
        entries.forEach((key, value) -> {
            List<@Nullable Object> pair = new ArrayList<>();
            pair.add(key);
            pair.add(value);
            pairs.add(new Tuple(pair));
        });
        return pairs;
    }

    // ---- arguments

    static @Nullable Object orElse(@Nullable Object argument, @Nullable Object otherwise) {
        return JinjaValues.isMissing(argument) ? otherwise : argument;
    }

    static String string(String function, @Nullable Object value) {
        if (Markup.plain(value) instanceof String text) {
            return text;
        }
        throw new JinjaError(function + ": expected a string, found " + PythonValues.typeName(value));
    }

    private static String separator(String function, @Nullable Object value) {
        String separator = string(function, value);
        if (separator.isEmpty()) {
            throw new JinjaError(function + ": the separator is empty");
        }
        return separator;
    }

    static Map<?, ?> mapping(String function, @Nullable Object value) {
        if (value instanceof Map<?, ?> entries) {
            return entries;
        }
        throw new JinjaError(function + ": expected a dictionary, found " + PythonValues.typeName(value));
    }
}
