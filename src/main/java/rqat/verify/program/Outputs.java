package rqat.verify.program;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// Whether what a program gave is what was expected, as LiveCodeBench decides it with Python. Total and linear in the length of the
/// texts, whatever they hold.
final class Outputs {
    private static final int MAX_EXPONENT_DIGITS = 18;

    private Outputs() {}

    /// Lines, stripped, must be as many and each the same, or else both be decimals only, separated by whitespace, and the same exact
    /// numbers in order: `1.50` is `1.5`, `0.1` is not `0.10000000001`.
    static boolean sameText(String output, String expected) {
        List<String> found = lines(output);
        List<String> wanted = lines(expected);
        if (found.size() != wanted.size()) return false;
        for (int i = 0; i < found.size(); i++) {
            if (!found.get(i).equals(wanted.get(i)) && !sameDecimals(found.get(i), wanted.get(i))) return false;
        }
        return true;
    }

    /// Python's `==` of two values that JSON can hold: numbers by their exact value whatever their type, `True` as 1, NaN as nothing.
    static boolean sameValue(JsonNode found, JsonNode expected) {
        if (isNumber(found) && isNumber(expected)) return sameNumber(found, expected);
        if (found.isString() && expected.isString()) return found.stringValue().equals(expected.stringValue());
        if (found.isNull() && expected.isNull()) return true;
        if (found.size() != expected.size()) return false;
        if (found.isArray() && expected.isArray()) {
            for (int i = 0; i < found.size(); i++) {
                if (!sameValue(found.get(i), expected.get(i))) return false;
            }
            return true;
        }
        return found.isObject() && expected.isObject() && found.propertyStream()
                .allMatch(property -> expected.has(property.getKey()) && sameValue(property.getValue(), expected.get(property.getKey())));
    }

    private static boolean isNumber(JsonNode value) {
        return value.isNumber() || value.isBoolean();
    }

    private static boolean sameNumber(JsonNode found, JsonNode expected) {
        if (found.isFloatingPointNumber() && !Double.isFinite(found.doubleValue())
                || expected.isFloatingPointNumber() && !Double.isFinite(expected.doubleValue())) {
            return found.isFloatingPointNumber() && expected.isFloatingPointNumber() && found.doubleValue() == expected.doubleValue();
        }
        return exact(found).compareTo(exact(expected)) == 0;
    }

    private static BigDecimal exact(JsonNode number) {
        if (number.isBoolean()) return number.booleanValue() ? BigDecimal.ONE : BigDecimal.ZERO;
        return number.isFloatingPointNumber() ? new BigDecimal(number.doubleValue()) : new BigDecimal(number.bigIntegerValue());
    }

    private static List<String> lines(String text) {
        var lines = new ArrayList<String>();
        for (String line : strip(text).split("\n", -1)) lines.add(strip(line));
        return lines;
    }

    private static boolean sameDecimals(String found, String expected) {
        List<String> first = words(found);
        List<String> second = words(expected);
        if (first.size() != second.size()) return false;
        for (int i = 0; i < first.size(); i++) {
            Decimal a = Decimal.parse(first.get(i));
            if (a == null || !a.equals(Decimal.parse(second.get(i))) || a.digits.equals("nan")) return false;
        }
        return true;
    }

    private static String strip(String text) {
        int start = 0;
        int end = text.length();
        while (start < end && isSpace(text.charAt(start))) start++;
        while (end > start && isSpace(text.charAt(end - 1))) end--;
        return text.substring(start, end);
    }

    private static List<String> words(String line) {
        var words = new ArrayList<String>();
        for (int start = 0, i = 0; i <= line.length(); i++) {
            if (i < line.length() && !isSpace(line.charAt(i))) continue;
            if (i > start) words.add(line.substring(start, i));
            start = i + 1;
        }
        return words;
    }

    /// What Python's `str.strip` and `str.split` take for whitespace.
    private static boolean isSpace(char c) {
        return c >= 9 && c <= 13 || c >= 28 && c <= 32 || c == 0x85 || Character.isSpaceChar(c);
    }

    /// A number in decimal notation of any length, with one form for each value.
    ///
    /// @param digits   without zeros at either end, empty for zero; or `infinity`, or `nan`
    /// @param exponent of ten, of the last digit
    private record Decimal(boolean negative, String digits, long exponent) {
        /// What Python's `Decimal(word)` makes of it; null when that is an error.
        static Decimal parse(String word) {
            int at = 0;
            boolean negative = false;
            if (at < word.length() && (word.charAt(at) == '-' || word.charAt(at) == '+')) negative = word.charAt(at++) == '-';
            String rest = word.substring(at);
            if (rest.equalsIgnoreCase("inf") || rest.equalsIgnoreCase("infinity")) return new Decimal(negative, "infinity", 0);
            if (rest.equalsIgnoreCase("nan")) return new Decimal(false, "nan", 0);
            var digits = new StringBuilder();
            boolean point = false;
            long after = 0;
            for (; at < word.length(); at++) {
                char c = word.charAt(at);
                if (Character.isDigit(c)) {
                    digits.append((char) ('0' + Character.digit(c, 10)));
                    if (point) after++;
                } else if (c == '.' && !point) {
                    point = true;
                } else if (c != '_') {
                    break;
                }
            }
            if (digits.isEmpty()) return null;
            long exponent = 0;
            if (at < word.length()) {
                if (word.charAt(at) != 'e' && word.charAt(at) != 'E') return null;
                String power = word.substring(at + 1).replace("_", "");
                boolean signed = power.startsWith("-") || power.startsWith("+");
                String magnitude = signed ? power.substring(1) : power;
                if (magnitude.isEmpty() || magnitude.length() > MAX_EXPONENT_DIGITS) return null;
                if (!magnitude.chars().allMatch(Character::isDigit)) return null;
                exponent = power.startsWith("-") ? -Long.parseLong(magnitude) : Long.parseLong(magnitude);
            }
            int start = 0;
            int end = digits.length();
            while (start < end && digits.charAt(start) == '0') start++;
            while (end > start && digits.charAt(end - 1) == '0') end--;
            if (start == end) return new Decimal(false, "", 0);
            return new Decimal(negative, digits.substring(start, end), exponent - after + (digits.length() - end));
        }
    }
}
