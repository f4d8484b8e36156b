package rqat.verify.mathematics;

import java.util.Set;

/// Removes a unit from the end of an answer, as Math-Verify does: a trailing `\text{...}` and then up to two trailing words of a list that
/// its authors took from the answers of models. It has its oddities: a single `t` behind a number is a unit too.
final class UnitWords {

    private static final Set<String> WORDS = Set.of(
            // length, area, volume
            "mm", "cm", "dm", "m", "km", "mtr", "metre", "meter", "inch", "inches", "ft", "feet", "yard", "mile", "m square", "sq m", "sq . m", "sq inch",
            "sq", "square", "cm 2", "acre", "hectare", "cubic", "cube", "cc", "cu cm", "cu . m", "l", "litre", "liter", "gal", "gallon", "∏ cm ³",
            "pi sq m", "π r 2", "Surface",
            // weight, speed, angle, temperature, electricity
            "g", "gm", "kg", "lb", "pound", "mt", "mph", "kmph", "kmh", "mp", "degree", "deg", "° f", "c", "ohm",
            // time
            "s", "sec", "second", "min", "minw", "minute", "hour", "hr", "h", "day", "month", "year", "yr", "a . m", "p . m", "am", "pm", "noon",
            // money
            "cent", "rupee", "rs", "rs .", "profit of rs", "profit", "loss", "gain", "coin",
            // counted things
            "integerpoint", "digit", "edge", "student", "children ticket", "multiple", "monkey", "men", "man", "women", "woman", "soldier", "pie",
            "tile", "toy", "apple", "meal", "mark", "unit", "number", "rounds", "way", "prime", "ratio",
            // directions and other words
            "east", "west", " m east", "sue", "q .", "rd", "st", "th", "o", "t", "d", "per", "by", "lt", "ab", "bc", "a .", "b .", "c .", "d .", "e .", "f .",
            "g .", "h .", "s .", "no change", "excess", "rise", "are", "more", "less", "pure", "increase", "decrease", "v â € ™");

    private static final int LONGEST = WORDS.stream().mapToInt(String::length).max().orElseThrow();

    private UnitWords() {}

    static String strip(String latex) {
        String text = withoutTrailingText(latex);
        for (int i = 0; i < 2; i++) {
            String shorter = withoutTrailingWord(text);
            text = shorter.isEmpty() ? text : shorter;
        }
        return text;
    }

    /// Everything from the first `\text{` or `\mbox{` on, when the answer ends in a brace, or a brace and a power.
    private static String withoutTrailingText(String latex) {
        int end = latex.length();
        if (end >= 2 && latex.charAt(end - 2) == '^' && isDigit(latex.charAt(end - 1))) {
            end -= 2;
        } else if (end >= 4 && latex.startsWith("{^", end - 4) && isDigit(latex.charAt(end - 2)) && latex.endsWith("}")) {
            end -= 4;
        }
        int start = first(latex, "\\text{", "\\mbox{");
        if (start < 0 || end <= start + 6 || latex.charAt(end - 1) != '}') {
            return latex;
        }
        String rest = latex.substring(0, start).strip();
        return rest.isEmpty() ? latex : rest;
    }

    private static int first(String text, String a, String b) {
        int i = text.indexOf(a);
        int j = text.indexOf(b);
        return i < 0 ? j : j < 0 ? i : Math.min(i, j);
    }

    /// Without the longest unit that ends the text, perhaps in the plural, behind a digit, a brace or white space.
    private static String withoutTrailingWord(String text) {
        String trimmed = text.stripTrailing();
        int end = trimmed.length();
        for (int start = Math.max(1, end - LONGEST - 2); start < end; start++) {
            char before = trimmed.charAt(start - 1);
            if ((isDigit(before) || before == '}' || Character.isWhitespace(before)) && isUnit(trimmed.substring(start))) {
                return trimmed.substring(0, start).stripTrailing();
            }
        }
        return text;
    }

    private static boolean isUnit(String word) {
        return WORDS.contains(word)
                || word.endsWith("s") && WORDS.contains(word.substring(0, word.length() - 1))
                || word.endsWith("es") && WORDS.contains(word.substring(0, word.length() - 2));
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }
}
