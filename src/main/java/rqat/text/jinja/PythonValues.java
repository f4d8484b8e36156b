package rqat.text.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// Python's rules for the values of a template: what is true, equal, printed, added, indexed. Templates are written against these rules,
/// and a space or a quote more would change the ids of a prompt.
///
/// Values are null (None), Boolean, Long, BigInteger (carried, not computed with), Double, String, List, [Tuple], Map (insertion order),
/// [Undefined], [Markup], and the callables of [JinjaInterpreter]. Strings count and are indexed by code point.
///
/// An instance belongs to one rendering and meters it: templates come with downloaded models and may loop, recurse and multiply.
final class PythonValues {

    /// What a missing name, key or attribute evaluates to: false, empty, and an error in most other uses.
    record Undefined(String name) {}

    /// A text in which HTML's special characters are escaped, or need not be: what is added to it is escaped, and it is not escaped again.
    record Markup(String text) {
        /// `value`, as a string where it is marked up.
        static @Nullable Object plain(@Nullable Object value) {
            return value instanceof Markup markup ? markup.text : value;
        }

        /// `text` with `& < > ' "` as entities.
        static Markup escape(String text) {
            return new Markup(text.replace("&", "&amp;").replace(">", "&gt;").replace("<", "&lt;").replace("'", "&#39;").replace("\"", "&#34;"));
        }
    }

    /// What `groupby` gives: a pair whose items are also `grouper` and `list`.
    static final class Group extends Tuple {
        Group(@Nullable Object grouper, List<@Nullable Object> items) {
            super(Arrays.asList(grouper, items));
        }
    }

    /// An immutable sequence written with parentheses.
    static class Tuple extends AbstractList<@Nullable Object> {
        private final List<@Nullable Object> items;

        Tuple(List<@Nullable Object> items) {
            this.items = items;
        }

        @Override
        public @Nullable Object get(int index) {
            return items.get(index);
        }

        @Override
        public int size() {
            return items.size();
        }
    }

    /// What `items`, `keys` and `values` of a dictionary give: a sequence to go through, with a name when it is printed.
    static final class View extends AbstractList<@Nullable Object> {
        private final String name;
        private final List<@Nullable Object> items;

        View(String name, List<@Nullable Object> items) {
            this.name = name;
            this.items = items;
        }

        @Override
        public @Nullable Object get(int index) {
            return items.get(index);
        }

        @Override
        public int size() {
            return items.size();
        }
    }

    /// One unit is a node evaluated, a list item made or 16 characters copied; rendering a thousand messages takes some hundred thousand.
    private static final long MAXIMUM_WORK = 50_000_000;

    private static final int MAXIMUM_LENGTH = 1 << 26;
    private static final int MAXIMUM_NESTING = 100;

    private long work = MAXIMUM_WORK;

    /// Accounts for work done or about to be done.
    void charge(long units) {
        work -= units;
        if (work < 0) {
            throw new JinjaError("the template does far more work than a conversation needs; is it looping?");
        }
    }

    /// Accounts for a text of `length` characters about to be made.
    void chargeLength(long length) {
        if (length > MAXIMUM_LENGTH) {
            throw new JinjaError("a text of " + length + " characters; at most " + MAXIMUM_LENGTH + " are allowed");
        }
        charge(1 + length / 16);
    }

    /// Appends, as long as the whole stays within bounds.
    void append(StringBuilder out, String text) {
        if ((long) out.length() + text.length() > MAXIMUM_LENGTH) {
            chargeLength((long) out.length() + text.length());
        }
        charge(1 + text.length() / 16);
        out.append(text);
    }

    /// A value of JSON kind (null, Boolean, Number, String, List, Map) as a template sees it.
    @Nullable Object fromJava(@Nullable Object value) {
        return fromJava(value, 0);
    }

    private @Nullable Object fromJava(@Nullable Object value, int nesting) {
        charge(1);
        nested(nesting);
        return switch (value) {
            case null -> null;
            case String text -> text;
            case Boolean flag -> flag;
            case Byte n -> n.longValue();
            case Short n -> n.longValue();
            case Integer n -> n.longValue();
            case Long n -> n;
            case BigInteger n -> n.bitLength() < 64 ? (Object) n.longValue() : n;
            case Float n -> n.doubleValue();
            case Double n -> n;
            case BigDecimal n -> n.doubleValue();
            case List<?> items -> {
                List<@Nullable Object> copy = new ArrayList<>(items.size());
                items.forEach(item -> copy.add(fromJava(item, nesting + 1)));
                yield copy;
            }
            case Map<?, ?> entries -> {
                Map<@Nullable Object, @Nullable Object> copy = LinkedHashMap.newLinkedHashMap(entries.size());
                entries.forEach((key, item) -> copy.put(fromJava(key, nesting + 1), fromJava(item, nesting + 1)));
                yield copy;
            }
            default -> throw new JinjaError("a variable of " + value.getClass() + "; expected what JSON can hold");
        };
    }

    /// Before one more node is written to `out`.
    private void metered(StringBuilder out, int nesting) {
        nested(nesting);
        charge(1);
        if (out.length() > MAXIMUM_LENGTH) {
            chargeLength(out.length());
        }
    }

    private static void nested(int nesting) {
        if (nesting > MAXIMUM_NESTING) {
            throw new JinjaError("a value nested more than " + MAXIMUM_NESTING + " deep");
        }
    }

    // ---- truth, equality, order

    static boolean isTrue(@Nullable Object value) {
        return switch (value) {
            case null -> false;
            case Boolean flag -> flag;
            case Long n -> n != 0;
            case Double n -> n != 0;
            case String text -> !text.isEmpty();
            case List<?> items -> !items.isEmpty();
            case Map<?, ?> entries -> !entries.isEmpty();
            case Undefined _ -> false;
            case Markup markup -> !markup.text.isEmpty();
            default -> true;
        };
    }

    boolean isEqual(@Nullable Object left, @Nullable Object right) {
        return isEqual(Markup.plain(left), Markup.plain(right), 0);
    }

    private boolean isEqual(@Nullable Object left, @Nullable Object right, int nesting) {
        charge(1);
        nested(nesting);
        if (left == right) {
            return !(left instanceof Double n && n.isNaN());
        }
        if (isNumber(left) && isNumber(right)) {
            return left instanceof BigInteger || right instanceof BigInteger
                    ? left.equals(right)
                    : compareNumbers(left, right) == 0 && !isNan(left) && !isNan(right);
        }
        if (left instanceof Undefined && right instanceof Undefined) {
            return true;
        }
        if (left instanceof List<?> a && right instanceof List<?> b) {
            if (a instanceof Tuple != b instanceof Tuple || a.size() != b.size()) {
                return false;
            }
            for (int i = 0; i < a.size(); i++) {
                if (!isEqual(Markup.plain(a.get(i)), Markup.plain(b.get(i)), nesting + 1)) {
                    return false;
                }
            }
            return true;
        }
        if (left instanceof Map<?, ?> a && right instanceof Map<?, ?> b) {
            if (a.size() != b.size()) {
                return false;
            }
            for (Map.Entry<?, ?> entry : a.entrySet()) {
                if (!b.containsKey(entry.getKey()) || !isEqual(Markup.plain(entry.getValue()), Markup.plain(b.get(entry.getKey())), nesting + 1)) {
                    return false;
                }
            }
            return true;
        }
        if (left instanceof String a && right instanceof String b) {
            charge(Math.min(a.length(), b.length()) / 16);
        }
        return left != null && left.equals(right);
    }

    /// Negative, zero or positive, for two numbers, strings or lists; anything else has no order.
    int compare(@Nullable Object left, @Nullable Object right) {
        return compare(Markup.plain(left), Markup.plain(right), 0);
    }

    private int compare(@Nullable Object left, @Nullable Object right, int nesting) {
        charge(1);
        nested(nesting);
        if (isNumber(left) && isNumber(right) && !(left instanceof BigInteger) && !(right instanceof BigInteger)) {
            return compareNumbers(left, right);
        }
        if (left instanceof String a && right instanceof String b) {
            chargeLength(Math.min(a.length(), b.length()));
            return compareCodePoints(a, b);
        }
        if (left instanceof List<?> a && right instanceof List<?> b && a instanceof Tuple == b instanceof Tuple) {
            for (int i = 0; i < Math.min(a.size(), b.size()); i++) {
                Object x = Markup.plain(a.get(i)), y = Markup.plain(b.get(i));
                if (!isEqual(x, y, nesting + 1)) {
                    return compare(x, y, nesting + 1);
                }
            }
            return Integer.compare(a.size(), b.size());
        }
        throw new JinjaError("cannot order " + typeName(left) + " and " + typeName(right));
    }

    private static int compareCodePoints(String a, String b) {
        for (int i = 0; i < Math.min(a.length(), b.length()); i++) {
            if (a.charAt(i) != b.charAt(i)) {
                // Surrogates must sort above the rest of the basic plane, as the characters they spell do.
                int plane = Boolean.compare(Character.isSurrogate(a.charAt(i)), Character.isSurrogate(b.charAt(i)));
                return plane != 0 ? plane : a.charAt(i) - b.charAt(i);
            }
        }
        return a.length() - b.length();
    }

    private static int compareNumbers(@Nullable Object left, @Nullable Object right) {
        return left instanceof Double || right instanceof Double
                ? Double.compare(toDouble(left) + 0.0, toDouble(right) + 0.0)
                : Long.compare(toLong(left), toLong(right));
    }

    private static boolean isNan(@Nullable Object value) {
        return value instanceof Double n && n.isNaN();
    }

    static boolean isNumber(@Nullable Object value) {
        return value instanceof Long || value instanceof Double || value instanceof Boolean || value instanceof BigInteger;
    }

    static boolean isInteger(@Nullable Object value) {
        return value instanceof Long || value instanceof Boolean;
    }

    static long toLong(@Nullable Object value) {
        return switch (value) {
            case Long n -> n;
            case Boolean flag -> flag ? 1 : 0;
            case null, default -> throw new JinjaError("expected an integer, found " + typeName(value));
        };
    }

    static double toDouble(@Nullable Object value) {
        return value instanceof Double n ? n : toLong(value);
    }

    // ---- arithmetic

    @Nullable Object binary(String operator, @Nullable Object left, @Nullable Object right) {
        if (operator.equals("~")) {
            return concatenate(str(left), str(right));
        }
        if (operator.equals("+") && left instanceof String a && right instanceof String b) {
            return concatenate(a, b);
        }
        if (operator.equals("+") && left instanceof List<?> a && right instanceof List<?> b
                && a instanceof Tuple == b instanceof Tuple) {
            charge(a.size() + (long) b.size());
            List<@Nullable Object> joined = new ArrayList<>(a);
            joined.addAll(b);
            return a instanceof Tuple ? new Tuple(joined) : joined;
        }
        if (operator.equals("*") && isInteger(right) && (left instanceof String || left instanceof List<?>)) {
            return repeat(left, toLong(right));
        }
        if (operator.equals("*") && isInteger(left) && (right instanceof String || right instanceof List<?>)) {
            return repeat(right, toLong(left));
        }
        if (isNumber(left) && isNumber(right) && !(left instanceof BigInteger) && !(right instanceof BigInteger)) {
            return left instanceof Double || right instanceof Double || operator.equals("/")
                    ? arithmetic(operator, toDouble(left), toDouble(right))
                    : arithmetic(operator, toLong(left), toLong(right));
        }
        throw new JinjaError("cannot compute " + typeName(left) + " " + operator + " " + typeName(right));
    }

    /// `value` as it may stand in HTML.
    Markup escaped(@Nullable Object value) {
        if (value instanceof Markup markup) return markup;
        String text = str(value);
        chargeLength(6L * text.length());
        return Markup.escape(text);
    }

    /// `-value`
    static Object negate(@Nullable Object value) {
        if (value instanceof Double n) {
            return -n;
        }
        if (toLong(value) == Long.MIN_VALUE) {
            throw new JinjaError("-(" + value + ") does not fit 64 bits");
        }
        return -toLong(value);
    }

    private String concatenate(String left, String right) {
        chargeLength((long) left.length() + right.length());
        return left + right;
    }

    private Object repeat(@Nullable Object value, long times) {
        int count = (int) Math.clamp(times, 0, Integer.MAX_VALUE);
        if (value instanceof String text) {
            chargeLength((long) text.length() * count);
            return text.repeat(count);
        }
        List<?> items = (List<?>) value;
        charge((long) items.size() * count);
        List<@Nullable Object> repeated = new ArrayList<>();
        for (int i = 0; i < count && !items.isEmpty(); i++) {
            repeated.addAll(items);
        }
        return items instanceof Tuple ? new Tuple(repeated) : repeated;
    }

    private Object arithmetic(String operator, long left, long right) {
        if (right == 0 && !operator.equals("+") && !operator.equals("-") && !operator.equals("*") && !operator.equals("**")) {
            throw new JinjaError("division by zero");
        }
        try {
            return switch (operator) {
                case "+" -> Math.addExact(left, right);
                case "-" -> Math.subtractExact(left, right);
                case "*" -> Math.multiplyExact(left, right);
                case "//" -> Math.floorDivExact(left, right);
                case "%" -> Math.floorMod(left, right);
                case "**" -> right < 0 ? (Object) Math.pow(left, right) : (Object) Math.powExact(left, Math.toIntExact(right));
                default -> throw new JinjaError("unknown operator " + operator);
            };
        } catch (ArithmeticException e) {
            throw new JinjaError(left + " " + operator + " " + right + " does not fit 64 bits");
        }
    }

    private static Object arithmetic(String operator, double left, double right) {
        if (right == 0 && (operator.equals("/") || operator.equals("//") || operator.equals("%"))) {
            throw new JinjaError("division by zero");
        }
        return switch (operator) {
            case "+" -> left + right;
            case "-" -> left - right;
            case "*" -> left * right;
            case "/" -> left / right;
            case "//" -> Math.floor(left / right);
            case "%" -> left % right != 0 && left % right < 0 != right < 0 ? left % right + right : left % right;
            case "**" -> Math.pow(left, right);
            default -> throw new JinjaError("unknown operator " + operator);
        };
    }

    // ---- containers

    boolean contains(@Nullable Object container, @Nullable Object item) {
        return switch (container) {
            case Markup markup -> contains(markup.text, item);
            case String text -> {
                if (!(Markup.plain(item) instanceof String part)) {
                    throw new JinjaError("cannot look for " + typeName(item) + " in a string");
                }
                chargeLength(text.length());
                yield text.contains(part);
            }
            case Map<?, ?> entries -> entries.containsKey(key(item));
            case null, default -> {
                for (Object each : iterate(container)) {
                    if (isEqual(each, item)) {
                        yield true;
                    }
                }
                yield false;
            }
        };
    }

    /// The items of a sequence, the keys of a dictionary, the characters of a string; nothing for [Undefined].
    List<@Nullable Object> iterate(@Nullable Object value) {
        return switch (value) {
            case List<?> items -> new ArrayList<>(charged(items));
            case Map<?, ?> entries -> new ArrayList<>(charged(entries.keySet()));
            case String text -> {
                charge(text.length());
                yield new ArrayList<>(text.codePoints().mapToObj(Character::toString).toList());
            }
            case Undefined _ -> new ArrayList<>();
            case Markup markup -> iterate(markup.text);
            case null, default -> throw new JinjaError("cannot iterate over " + typeName(value));
        };
    }

    private <T extends java.util.Collection<?>> T charged(T items) {
        charge(items.size());
        return items;
    }

    /// `value` where it may be the key of a dictionary.
    static @Nullable Object key(@Nullable Object value) {
        if (value instanceof Markup markup) {
            return markup.text;
        }
        if (value == null || value instanceof String || value instanceof Undefined || isNumber(value)) {
            return value;
        }
        throw new JinjaError(typeName(value) + " cannot be a key");
    }

    static int length(@Nullable Object value) {
        return switch (value) {
            case String text -> text.codePointCount(0, text.length());
            case List<?> items -> items.size();
            case Map<?, ?> entries -> entries.size();
            case Undefined _ -> 0;
            case Markup markup -> length(markup.text);
            case null, default -> throw new JinjaError(typeName(value) + " has no length");
        };
    }

    /// `target[index]`, [Undefined] when there is none.
    static @Nullable Object item(@Nullable Object target, @Nullable Object index) {
        if (target instanceof Undefined undefined) {
            throw new JinjaError("'" + undefined.name + "' is undefined");
        }
        if (target instanceof Map<?, ?> entries) {
            return entries.containsKey(key(index)) ? entries.get(index) : new Undefined(label(index));
        }
        if (isInteger(index) && (target instanceof List<?> || target instanceof String)) {
            long size = length(target);
            long at = toLong(index) < 0 ? toLong(index) + size : toLong(index);
            if (at >= 0 && at < size) {
                return target instanceof List<?> items ? items.get((int) at) : codePoints((String) target, (int) at, (int) at + 1);
            }
        }
        return new Undefined(label(index));
    }

    private static String label(@Nullable Object index) {
        return index instanceof String || isNumber(index) ? index.toString() : "an item";
    }

    /// `target[start:stop:step]` of a string or a list.
    @Nullable Object slice(@Nullable Object target, @Nullable Object start, @Nullable Object stop, @Nullable Object step) {
        if (target instanceof Markup markup) {
            return new Markup((String) slice(markup.text, start, stop, step));
        }
        if (target instanceof Undefined undefined) {
            throw new JinjaError("'" + undefined.name + "' is undefined");
        }
        if (!(target instanceof String) && !(target instanceof List<?>)) {
            throw new JinjaError("cannot slice " + typeName(target));
        }
        long stride = step == null ? 1 : toLong(step);
        if (stride == 0) {
            throw new JinjaError("a slice cannot have step 0");
        }
        int size = length(target);
        stride = Math.clamp(stride, -size - 1, size + 1);
        long from = bound(start, size, stride, true);
        long to = bound(stop, size, stride, false);
        charge(1 + size / 16);
        if (target instanceof String text) {
            if (stride == 1) {
                return codePoints(text, (int) from, (int) Math.max(from, to));
            }
            int[] codePoints = text.codePoints().toArray();
            StringBuilder sliced = new StringBuilder();
            for (long i = from; stride > 0 ? i < to : i > to; i += stride) {
                sliced.appendCodePoint(codePoints[(int) i]);
            }
            return sliced.toString();
        }
        List<?> items = (List<?>) target;
        List<@Nullable Object> sliced = new ArrayList<>();
        for (long i = from; stride > 0 ? i < to : i > to; i += stride) {
            sliced.add(items.get((int) i));
        }
        charge(sliced.size());
        return items instanceof Tuple ? new Tuple(sliced) : sliced;
    }

    /// A slice bound as an index from 0 to `size`, or for a negative step from -1 to `size - 1`.
    private static long bound(@Nullable Object value, int size, long step, boolean first) {
        long low = step > 0 ? 0 : -1;
        long high = step > 0 ? size : size - 1;
        if (value == null) {
            return first == step > 0 ? low : high;
        }
        long index = toLong(value);
        return Math.clamp(index < 0 ? index + size : index, low, high);
    }

    private static String codePoints(String text, int from, int to) {
        int start = text.offsetByCodePoints(0, from);
        return text.substring(start, text.offsetByCodePoints(start, to - from));
    }

    // ---- text

    /// `str(value)`
    String str(@Nullable Object value) {
        return switch (value) {
            case String text -> text;
            case Undefined _ -> "";
            case Markup markup -> markup.text;
            case null, default -> {
                StringBuilder out = new StringBuilder();
                repr(value, out, 0);
                yield out.toString();
            }
        };
    }

    /// `repr(value)`
    String repr(@Nullable Object value) {
        StringBuilder out = new StringBuilder();
        repr(value, out, 0);
        return out.toString();
    }

    private void repr(@Nullable Object value, StringBuilder out, int nesting) {
        metered(out, nesting);
        switch (value) {
            case null -> out.append("None");
            case Boolean flag -> out.append(flag ? "True" : "False");
            case Long n -> out.append(n);
            case BigInteger n -> out.append(n);
            case Double n -> out.append(number(n));
            case String text -> {
                chargeLength(text.length());
                quote(text, out);
            }
            case View view -> {
                out.append("dict_").append(view.name).append('(');
                repr(view.items, out, nesting + 1);
                out.append(')');
            }
            case List<?> items -> {
                out.append(items instanceof Tuple ? '(' : '[');
                for (int i = 0; i < items.size(); i++) {
                    out.append(i == 0 ? "" : ", ");
                    repr(items.get(i), out, nesting + 1);
                }
                out.append(!(items instanceof Tuple) ? "]" : items.size() == 1 ? ",)" : ")");
            }
            case Map<?, ?> entries -> {
                out.append('{');
                String separator = "";
                for (Map.Entry<?, ?> entry : entries.entrySet()) {
                    out.append(separator);
                    repr(entry.getKey(), out, nesting + 1);
                    out.append(": ");
                    repr(entry.getValue(), out, nesting + 1);
                    separator = ", ";
                }
                out.append('}');
            }
            case Undefined _ -> out.append("Undefined");
            case Markup markup -> {
                out.append("Markup(");
                repr(markup.text, out, nesting + 1);
                out.append(')');
            }
            default -> throw new JinjaError("cannot print " + typeName(value));
        }
    }

    /// Single quotes unless the text has those and no double ones; what is not printable is escaped.
    private static void quote(String text, StringBuilder out) {
        char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
        out.append(quote);
        text.codePoints().forEach(c -> {
            if (c == quote || c == '\\') {
                out.append('\\').append((char) c);
            } else if (c == '\n') {
                out.append("\\n");
            } else if (c == '\r') {
                out.append("\\r");
            } else if (c == '\t') {
                out.append("\\t");
            } else if (c == ' ' || isPrintable(c)) {
                out.appendCodePoint(c);
            } else {
                out.append(c < 0x100 ? "\\x%02x".formatted(c) : c < 0x10000 ? "\\u%04x".formatted(c) : "\\U%08x".formatted(c));
            }
        });
        out.append(quote);
    }

    private static boolean isPrintable(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.PRIVATE_USE, Character.UNASSIGNED,
                    Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR, Character.SPACE_SEPARATOR -> false;
            default -> true;
        };
    }

    /// `repr` of a float: the shortest digits that read back the same, plain from 1e-4 up to 1e16.
    static String number(double value) {
        if (Double.isNaN(value)) {
            return "nan";
        }
        if (Double.isInfinite(value)) {
            return value > 0 ? "inf" : "-inf";
        }
        if (value == 0) {
            return 1 / value < 0 ? "-0.0" : "0.0";
        }
        BigDecimal exact = new BigDecimal(Double.toString(value)).stripTrailingZeros();
        int exponent = exact.precision() - exact.scale() - 1;
        if (exponent >= -4 && exponent < 16) {
            String plain = exact.toPlainString();
            return plain.contains(".") ? plain : plain + ".0";
        }
        String digits = exact.unscaledValue().abs().toString();
        return (value < 0 ? "-" : "") + digits.charAt(0) + (digits.length() > 1 ? "." + digits.substring(1) : "")
                + "e" + (exponent < 0 ? '-' : '+') + (Math.abs(exponent) < 10 ? "0" : "") + Math.abs(exponent);
    }

    /// How `json.dumps` writes a value; `indent` null means one line.
    record JsonStyle(@Nullable String indent, boolean asciiOnly, boolean sortKeys, String itemSeparator, String keySeparator) {}

    /// `json.dumps(value)`
    String json(@Nullable Object value, JsonStyle style) {
        StringBuilder out = new StringBuilder();
        json(value, style, out, 0);
        return out.toString();
    }

    private void json(@Nullable Object value, JsonStyle style, StringBuilder out, int nesting) {
        metered(out, nesting);
        switch (value) {
            case null -> out.append("null");
            case Boolean flag -> out.append(flag);
            case Long n -> out.append(n);
            case BigInteger n -> out.append(n);
            case Double n -> out.append(jsonNumber(n));
            case String text -> jsonString(text, style.asciiOnly, out);
            case Markup markup -> jsonString(markup.text, style.asciiOnly, out);
            case List<?> items when !(items instanceof View) -> {
                out.append('[');
                for (int i = 0; i < items.size(); i++) {
                    jsonBreak(style, out, i == 0 ? "" : style.itemSeparator, nesting + 1);
                    json(items.get(i), style, out, nesting + 1);
                }
                if (!items.isEmpty()) {
                    jsonBreak(style, out, "", nesting);
                }
                out.append(']');
            }
            case Map<?, ?> entries -> {
                out.append('{');
                String separator = "";
                Map<?, ?> ordered = entries;
                if (style.sortKeys) {
                    TreeMap<Object, Object> sorted = new TreeMap<>(this::compare);
                    sorted.putAll(entries);
                    ordered = sorted;
                }
                for (Map.Entry<?, ?> entry : ordered.entrySet()) {
                    jsonBreak(style, out, separator, nesting + 1);
                    jsonString(jsonKey(entry.getKey()), style.asciiOnly, out);
                    out.append(style.keySeparator);
                    json(entry.getValue(), style, out, nesting + 1);
                    separator = style.itemSeparator;
                }
                if (!entries.isEmpty()) {
                    jsonBreak(style, out, "", nesting);
                }
                out.append('}');
            }
            default -> throw new JinjaError("tojson: " + typeName(value) + " has no JSON form");
        }
    }

    private static void jsonBreak(JsonStyle style, StringBuilder out, String separator, int nesting) {
        out.append(separator);
        if (style.indent != null) {
            out.append('\n').append(style.indent.repeat(nesting));
        }
    }

    private static String jsonKey(@Nullable Object key) {
        return switch (key) {
            case String text -> text;
            case null -> "null";
            case Boolean flag -> flag.toString();
            case Long n -> n.toString();
            case Double n -> jsonNumber(n);
            default -> throw new JinjaError("tojson: " + typeName(key) + " cannot be a key");
        };
    }

    private static String jsonNumber(double value) {
        return Double.isNaN(value) ? "NaN" : Double.isInfinite(value) ? value > 0 ? "Infinity" : "-Infinity" : number(value);
    }

    private void jsonString(String text, boolean asciiOnly, StringBuilder out) {
        chargeLength(text.length());
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                default -> {
                    if (c < 0x20 || asciiOnly && c > 0x7E) {
                        out.append("\\u%04x".formatted((int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }

    /// `text` without leading and trailing characters of `characters`, or without white space when that is null.
    static String strip(String text, @Nullable String characters, boolean left, boolean right) {
        int start = 0;
        int end = text.length();
        while (left && start < end && strippable(text.codePointAt(start), characters)) {
            start += Character.charCount(text.codePointAt(start));
        }
        while (right && end > start && strippable(text.codePointBefore(end), characters)) {
            end -= Character.charCount(text.codePointBefore(end));
        }
        return text.substring(start, end);
    }

    private static boolean strippable(int codePoint, @Nullable String characters) {
        return characters == null ? isSpace(codePoint) : characters.indexOf(codePoint) >= 0;
    }

    /// `str.isspace`
    static boolean isSpace(int c) {
        return Character.isSpaceChar(c) || c >= '\t' && c <= '\r' || c >= 0x1C && c <= 0x1F || c == 0x85;
    }

    /// What messages call the type of a value.
    static String typeName(@Nullable Object value) {
        return switch (value) {
            case null -> "None";
            case Boolean _ -> "a boolean";
            case Long _, BigInteger _ -> "an integer";
            case Double _ -> "a float";
            case String _, Markup _ -> "a string";
            case Tuple _ -> "a tuple";
            case View _ -> "a view of a dictionary";
            case List<?> _ -> "a list";
            case Map<?, ?> _ -> "a dictionary";
            case Undefined undefined -> "the undefined '" + undefined.name + "'";
            default -> "a " + value.getClass().getSimpleName().toLowerCase();
        };
    }
}
