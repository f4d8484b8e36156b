package rqat.verify.mathematics;

import org.jspecify.annotations.Nullable;

/// Numbers with a comma between groups of three digits: `1,234` is one number, `1, 234` and `12,34` are two.
final class GroupedNumber {

    private GroupedNumber() {}

    /// The digits of a text that is such a number and nothing else, without sign and commas; null for any other text. With a zero in front
    /// the comma is a decimal one: `0,125`.
    static @Nullable String withoutSeparators(String text) {
        String number = text.strip();
        int at = number.startsWith("-") ? 1 : 0;
        int firstEnd = digitsEnd(number, at);
        if (firstEnd == at || firstEnd - at > 3) {
            return null;
        }
        var digits = new StringBuilder(number.substring(at, firstEnd));
        int groups = 0;
        int end = firstEnd;
        while (end < number.length() && number.charAt(end) == ',' && digitsEnd(number, end + 1) - end == 4) {
            if (at == 0 && groups == 0 && number.charAt(0) == '0') {
                digits.append('.');
            }
            digits.append(number, end + 1, end + 4);
            groups++;
            end += 4;
        }
        if (groups == 0) {
            return null;
        }
        if (end < number.length() && number.charAt(end) == '.') {
            int fraction = digitsEnd(number, end + 1);
            if (fraction == end + 1 || digits.indexOf(".") >= 0) {
                return null;
            }
            digits.append(number, end, fraction);
            end = fraction;
        }
        return end == number.length() ? digits.toString() : null;
    }

    /// Whether a text is such a number and nothing else, which a list without blanks looks like too.
    static boolean isAmbiguous(String text) {
        return text.indexOf(',') >= 0 && withoutSeparators(text) != null;
    }

    private static int digitsEnd(String text, int from) {
        int end = from;
        while (end < text.length() && text.charAt(end) >= '0' && text.charAt(end) <= '9') {
            end++;
        }
        return end;
    }
}
