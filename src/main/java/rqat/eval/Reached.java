package rqat.eval;

import java.util.regex.Pattern;

/// Whether the right answer stands somewhere in a text: "reached but not given", when the verdict on that text is not a match.
///
/// Low-bit models often arrive at the answer and reason on past it (arXiv 2606.00206: in up to half of the failures); accuracy alone hides
/// that. What counts here is only what can be seen in the text: the reference answer as a word or number of its own, spaces and the commas
/// that group thousands left out. `45` is not reached by `145`, `4.5`, `45.5` or `-45`, but by `15*3=45` and `45.`. An answer that is written
/// in another way (`1/2` for `0.5`) is missed, so the share is a lower bound; and one that is passed by chance counts.
final class Reached {
    /// Longer references are programs or texts, which nobody passes by.
    private static final int LONGEST = 40;
    private static final Pattern SPACES = Pattern.compile("\\s+");
    private static final Pattern GROUPING = Pattern.compile("(?<=\\d),(?=\\d{3}(?!\\d))");

    private Reached() {}

    /// Whether `gold` stands in `text`. Never for a letter, which every text holds.
    static boolean in(String text, String gold) {
        String wanted = plain(gold.strip());
        if (wanted.startsWith("$") && wanted.endsWith("$") && wanted.length() > 2) wanted = wanted.substring(1, wanted.length() - 1);
        boolean letter = wanted.length() == 1 && !Character.isDigit(wanted.charAt(0));
        if (wanted.isEmpty() || wanted.length() > LONGEST || letter) return false;
        // A space stays between words and numbers, where leaving it out would join them.
        String searched = plain(text);
        for (int at = searched.indexOf(wanted); at >= 0; at = searched.indexOf(wanted, at + 1)) {
            if (beginsAlone(searched, at, wanted) && endsAlone(searched, at + wanted.length(), wanted)) return true;
        }
        return false;
    }

    /// Without the commas of thousands, and without spaces but where they part letters and digits, or a word and a sign.
    private static String plain(String text) {
        String ungrouped = GROUPING.matcher(text).replaceAll("");
        var plain = new StringBuilder();
        String spaced = SPACES.matcher(ungrouped).replaceAll(" ");
        for (int i = 0; i < spaced.length(); i++) {
            char c = spaced.charAt(i);
            if (c != ' ' || !plain.isEmpty() && i + 1 < spaced.length() && parted(plain.charAt(plain.length() - 1), spaced.charAt(i + 1))) plain.append(c);
        }
        return plain.toString();
    }

    private static boolean parted(char before, char after) {
        return Character.isLetterOrDigit(before) && Character.isLetterOrDigit(after) || Character.isLetter(before) && isMinus(after);
    }

    private static boolean isMinus(char c) {
        return c == '-' || c == '\u2212';
    }

    private static boolean beginsAlone(String text, int at, String wanted) {
        if (at == 0 || !Character.isLetterOrDigit(wanted.charAt(0))) return true;
        char before = text.charAt(at - 1);
        if (Character.isLetterOrDigit(before)) return false;
        if (!Character.isDigit(wanted.charAt(0))) return true;
        char earlier = at >= 2 ? text.charAt(at - 2) : ' ';
        // A decimal fraction's digits, unless a sentence ended there; a negative number's, unless there is something to subtract from.
        if (before == '.') return !Character.isDigit(earlier);
        return !isMinus(before) || Character.isLetterOrDigit(earlier) || earlier == ')';
    }

    private static boolean endsAlone(String text, int end, String wanted) {
        if (end == text.length() || !Character.isLetterOrDigit(wanted.charAt(wanted.length() - 1))) return true;
        char after = text.charAt(end);
        if (Character.isLetterOrDigit(after)) return false;
        return !(after == '.' && end + 1 < text.length() && Character.isDigit(text.charAt(end + 1)));
    }
}
