package rqat.text.jinja;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import rqat.text.jinja.PythonValues.Markup;
import rqat.text.jinja.PythonValues.Tuple;

/// Python's `template % arguments`: `%(key)` `flags` `width` `.precision` `conversion`, where conversions are `d i u x X o e E f F g G c s r %`. Numbers are rounded
/// from their exact value, halves to even.
final class PercentFormat {
    /// More digits than any number has.
    private static final int MAXIMUM_PRECISION = 1_000;

    private final PythonValues values;

    PercentFormat(PythonValues values) {
        this.values = values;
    }

    /// One `%...` of a template; `precision` -1 where none is given.
    private record Directive(String flags, int width, int precision, char conversion) {
        boolean has(char flag) {
            return flags.indexOf(flag) >= 0;
        }
    }

    /// What is still to be formatted: a tuple's items one after the other, one value, or the entries of a dictionary by their names.
    private static final class Arguments {
        private final List<? extends @Nullable Object> items;
        private final @Nullable Map<?, ?> entries;
        private int used;

        Arguments(@Nullable Object arguments) {
            this.items = arguments instanceof Tuple tuple ? tuple : java.util.Collections.singletonList(arguments);
            this.entries = arguments instanceof Map<?, ?> map ? map : null;
        }

        @Nullable Object next() {
            if (used == items.size()) throw new JinjaError("%: fewer values than the format has places");
            return items.get(used++);
        }

        @Nullable Object get(String key) {
            if (entries == null) throw new JinjaError("%: the format names '" + key + "', which needs a dictionary or named values");
            if (!entries.containsKey(key)) throw new JinjaError("%: no value named '" + key + "'");
            used = items.size();
            return entries.get(key);
        }

        void requireUsed() {
            if (used < items.size() && entries == null) throw new JinjaError("%: more values than the format has places");
        }
    }

    /// @throws JinjaError where Python raises an error, and for a width or precision that no text has
    String format(String template, @Nullable Object values) {
        Arguments arguments = new Arguments(values);
        StringBuilder out = new StringBuilder();
        int at = 0;
        while (at < template.length()) {
            int percent = template.indexOf('%', at);
            this.values.append(out, template.substring(at, percent < 0 ? template.length() : percent));
            if (percent < 0) break;
            at = directive(template, percent + 1, arguments, out);
        }
        arguments.requireUsed();
        return out.toString();
    }

    /// Formats what begins at `at` and returns where it ends.
    private int directive(String template, int at, Arguments arguments, StringBuilder out) {
        String key = null;
        if (at < template.length() && template.charAt(at) == '(') {
            int end = at;
            int open = 0;
            do {
                if (end == template.length()) throw new JinjaError("%: the name in the format has no end");
                open += template.charAt(end) == '(' ? 1 : template.charAt(end) == ')' ? -1 : 0;
                end++;
            } while (open > 0);
            key = template.substring(at + 1, end - 1);
            at = end;
        }
        int first = at;
        while (at < template.length() && "#0- +".indexOf(template.charAt(at)) >= 0) at++;
        String flags = template.substring(first, at);
        long width = 0;
        if (at < template.length() && template.charAt(at) == '*') {
            width = PythonValues.toLong(arguments.next());
            if (width < 0) {
                flags += "-";
                width = Math.negateExact(width);
            }
            at++;
        } else {
            for (; at < template.length() && isDigit(template.charAt(at)); at++) width = Math.min(10 * width + template.charAt(at) - '0', Integer.MAX_VALUE);
        }
        long precision = -1;
        if (at < template.length() && template.charAt(at) == '.') {
            at++;
            precision = 0;
            if (at < template.length() && template.charAt(at) == '*') {
                precision = Math.max(0, PythonValues.toLong(arguments.next()));
                at++;
            } else {
                for (; at < template.length() && isDigit(template.charAt(at)); at++) precision = Math.min(10 * precision + template.charAt(at) - '0', Integer.MAX_VALUE);
            }
        }
        while (at < template.length() && "hlL".indexOf(template.charAt(at)) >= 0) at++;
        if (at == template.length()) throw new JinjaError("%: the format ends within a place");
        values.chargeLength(width);
        char conversion = template.charAt(at);
        Directive directive = new Directive(flags, (int) width, (int) precision, conversion);
        if (conversion == '%' && key == null && first == at) {
            values.append(out, "%");
        } else {
            values.append(out, padded(directive, key == null ? arguments.next() : arguments.get(key)));
        }
        return at + 1;
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    private String padded(Directive directive, @Nullable Object value) {
        boolean number = "diuxXoeEfFgG".indexOf(directive.conversion) >= 0;
        String text = number ? number(directive, value) : text(directive, value);
        int missing = directive.width - PythonValues.length(text);
        if (missing <= 0) return text;
        if (directive.has('-')) return text + " ".repeat(missing);
        boolean finite = !text.endsWith("inf") && !text.endsWith("nan") && !text.endsWith("INF") && !text.endsWith("NAN");
        if (!number || !directive.has('0')) return " ".repeat(missing) + text;
        // Zeros stand behind the sign and a prefix such as 0x.
        int prefix = !text.isEmpty() && "+- ".indexOf(text.charAt(0)) >= 0 ? 1 : 0;
        if (finite && directive.has('#') && text.length() > prefix + 1 && "xXo".indexOf(directive.conversion) >= 0) prefix += 2;
        return text.substring(0, prefix) + "0".repeat(missing) + text.substring(prefix);
    }

    private String text(Directive directive, @Nullable Object value) {
        String text = switch (directive.conversion) {
            case 's' -> values.str(value);
            case 'r' -> values.repr(value);
            case 'c' -> {
                if (Markup.plain(value) instanceof String one && PythonValues.length(one) == 1) yield one;
                if (PythonValues.isInteger(value) && Character.isValidCodePoint((int) Math.clamp(PythonValues.toLong(value), -1, Integer.MAX_VALUE))) {
                    yield Character.toString((int) PythonValues.toLong(value));
                }
                throw new JinjaError("%c: expected one character, found " + PythonValues.typeName(value));
            }
            default -> throw new JinjaError("%: the conversion '%" + directive.conversion + "' is not supported");
        };
        return directive.precision < 0 || directive.conversion == 'c' || directive.precision >= PythonValues.length(text)
                ? text
                : text.substring(0, text.offsetByCodePoints(0, directive.precision));
    }

    private String number(Directive directive, @Nullable Object value) {
        if (!PythonValues.isNumber(value)) throw new JinjaError("%" + directive.conversion + ": expected a number, found " + PythonValues.typeName(value));
        if (directive.precision > MAXIMUM_PRECISION) throw new JinjaError("%: a precision of " + directive.precision);
        boolean integer = "diuxXo".indexOf(directive.conversion) >= 0;
        String digits = integer ? integer(directive, value) : real(directive, PythonValues.toDouble(value));
        boolean negative = digits.startsWith("-");
        return negative ? digits : directive.has('+') ? "+" + digits : directive.has(' ') ? " " + digits : digits;
    }

    private static String integer(Directive directive, @Nullable Object value) {
        long n;
        if (value instanceof Double number) {
            if ("diu".indexOf(directive.conversion) < 0) throw new JinjaError("%" + directive.conversion + ": expected an integer, found a float");
            if (!(Math.abs(number) < 0x1p63)) throw new JinjaError("%" + directive.conversion + ": " + number + " does not fit 64 bits");
            n = (long) (double) number;
        } else {
            n = PythonValues.toLong(value);
        }
        String sign = n < 0 ? "-" : "";
        String digits = Long.toUnsignedString(Math.abs(n), switch (directive.conversion) {
            case 'x', 'X' -> 16;
            case 'o' -> 8;
            default -> 10;
        });
        digits = "0".repeat(Math.max(0, directive.precision - digits.length())) + digits;
        String prefix = !directive.has('#') ? "" : switch (directive.conversion) {
            case 'x', 'X' -> "0x";
            case 'o' -> "0o";
            default -> "";
        };
        String text = sign + prefix + digits;
        return directive.conversion == 'X' ? text.toUpperCase(Locale.ROOT) : text;
    }

    private static String real(Directive directive, double value) {
        int precision = directive.precision < 0 ? 6 : directive.precision;
        char kind = Character.toLowerCase(directive.conversion);
        String text;
        if (Double.isNaN(value) || Double.isInfinite(value)) {
            text = PythonValues.number(value);
        } else {
            String sign = Double.doubleToRawLongBits(value) < 0 ? "-" : "";
            BigDecimal magnitude = new BigDecimal(Math.abs(value));
            text = sign + switch (kind) {
                case 'f' -> fixed(magnitude, precision, directive.has('#'));
                case 'e' -> scientific(magnitude, precision, directive.has('#'));
                default -> general(magnitude, Math.max(1, precision), directive.has('#'));
            };
        }
        return Character.isUpperCase(directive.conversion) ? text.toUpperCase(Locale.ROOT) : text;
    }

    /// `value` with `precision` digits after the point.
    static String fixed(BigDecimal value, int precision, boolean point) {
        String text = value.setScale(precision, RoundingMode.HALF_EVEN).toPlainString();
        return precision == 0 && point ? text + "." : text;
    }

    private static String scientific(BigDecimal value, int precision, boolean point) {
        BigDecimal rounded = value.round(new MathContext(precision + 1, RoundingMode.HALF_EVEN));
        boolean zero = rounded.signum() == 0;
        int exponent = zero ? 0 : rounded.precision() - rounded.scale() - 1;
        String digits = zero ? "0" : rounded.unscaledValue().toString();
        digits += "0".repeat(Math.max(0, precision + 1 - digits.length()));
        return digits.charAt(0) + (precision > 0 || point ? "." : "") + digits.substring(1, precision + 1)
                + "e" + (exponent < 0 ? '-' : '+') + (Math.abs(exponent) < 10 ? "0" : "") + Math.abs(exponent);
    }

    /// `precision` significant digits, as `%f` where the exponent is from -4 to `precision - 1` and as `%e` elsewhere; without zeros at the end unless `all`.
    private static String general(BigDecimal value, int precision, boolean all) {
        BigDecimal rounded = value.round(new MathContext(precision, RoundingMode.HALF_EVEN));
        int exponent = rounded.signum() == 0 ? 0 : rounded.precision() - rounded.scale() - 1;
        boolean plain = exponent >= -4 && exponent < precision;
        String text = plain ? fixed(rounded, precision - 1 - exponent, all) : scientific(rounded, precision - 1, all);
        if (all || text.indexOf('.') < 0) return text;
        int end = plain ? text.length() : text.indexOf('e');
        int kept = end;
        while (text.charAt(kept - 1) == '0') kept--;
        if (text.charAt(kept - 1) == '.') kept--;
        return text.substring(0, kept) + text.substring(end);
    }
}
