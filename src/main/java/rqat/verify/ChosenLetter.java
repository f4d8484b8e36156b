package rqat.verify;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/// Which of the choices A to D a text settles on, read as a careful person would: the last place that announces an answer counts, `Answer:`
/// or a box, and it must say one letter. Two letters with "or" between them are no choice, and neither is a letter that is not on offer.
final class ChosenLetter {
    private static final Pattern ANNOUNCEMENT = Pattern.compile("(?i:answer)(?:[\\s*_]{1,4}is)?[\\s*_\"'`]{0,6}[:\uFF1A]|\\\\(?:boxed|fbox)\\s{0,4}\\{");
    /// How much of a place is read, and how many places from the end: more than anyone writes.
    private static final int LONGEST = 300;
    private static final int MOST = 200;

    /// Commands and characters that only decorate: they count as blanks.
    private static final Pattern DECORATION = Pattern.compile(
            "\\\\(?:text|math)(?:bf|it|rm|sf|tt|normal|up|md)?(?![a-z])|\\\\(?:boldsymbol|bm|mbox|hbox|emph|underline|bf|rm|boxed|fbox|left|right|quad)(?![a-z])"
                    + "|\\\\[,;:! ()\\[\\]]|[*_`$~{}<>\"'\u201C\u201D\u2018\u2019]");
    private static final Set<String> LEADING =
            Set.of("option", "options", "choice", "choices", "letter", "answer", "the", "is", "it", "its", "correct", "right", "final", "best", "most", "likely", "definitely", "clearly", "would", "be", "must", "should", "statement", "alternative", "i", "think", "believe", "choose", "select", "pick", "go", "with", "that");
    private static final Set<String> JOINING = Set.of("or", "and", "/", ",", "&", "|", "\\lor", "\\vee", "+", ";");
    /// What may go between the letters of a choice that was not made.
    private static final Set<String> HEDGES = Set.of("possibly", "maybe", "perhaps", "even", "probably", "else", "option", "choice", "also", "alternatively", "either", "both");
    /// What makes an `A` at the beginning of a sentence a letter and not an article.
    private static final Set<String> AFTER_LETTER =
            Set.of("because", "since", "as", "is", "for", "and", "or", "but", "by", "due", "with", "which", "not", "wins", "holds", "follows", "given", "from", "therefore", "if", "when", "has", "was");

    private ChosenLetter() {}

    /// The letter, or nothing.
    static String in(String text) {
        List<MatchResult> places = ANNOUNCEMENT.matcher(text).results().toList();
        for (MatchResult place : places.subList(Math.max(0, places.size() - MOST), places.size()).reversed()) {
            boolean box = place.group().startsWith("\\");
            Choice choice = choice(box ? braced(text, place.end()) : line(text, place.end()), box);
            if (choice != Choice.NOTHING) return choice.letter;
        }
        return "";
    }

    /// What an announced place says: a letter, that there is none, or nothing about letters at all.
    private record Choice(String letter) {
        static final Choice NONE = new Choice("");
        static final Choice NOTHING = new Choice("nothing");
    }

    /// The rest of the line, or the next line that is not blank.
    private static String line(String text, int from) {
        int start = from;
        while (start < text.length() && start < from + LONGEST && (Character.isWhitespace(text.charAt(start)) || "*_".indexOf(text.charAt(start)) >= 0)) start++;
        int end = text.indexOf('\n', start);
        return text.substring(start, Math.min(end < 0 ? text.length() : end, Math.min(text.length(), start + LONGEST)));
    }

    private static String braced(String text, int from) {
        int depth = 1;
        for (int i = from; i < text.length() && i < from + LONGEST; i++) {
            char c = text.charAt(i);
            depth += c == '{' ? 1 : c == '}' ? -1 : 0;
            if (depth == 0) return text.substring(from, i);
        }
        return "";
    }

    private static Choice choice(String said, boolean box) {
        List<String> words = words(DECORATION.matcher(said).replaceAll(" "));
        int at = 0;
        while (at < words.size() && (LEADING.contains(words.get(at).toLowerCase(Locale.ROOT)) || words.get(at).equals("(") || words.get(at).equals("["))) at++;
        String first = at < words.size() ? words.get(at) : "";
        if (first.equalsIgnoreCase("either") || first.equalsIgnoreCase("both") || first.equalsIgnoreCase("neither")) return Choice.NONE;
        boolean alone = at + 1 >= words.size() || words.subList(at + 1, words.size()).stream().allMatch(word -> ").]!".contains(word));
        if (!isLetter(first, alone)) return !box && first.length() == 1 && Character.isUpperCase(first.charAt(0)) ? Choice.NONE : Choice.NOTHING;
        boolean closed = false;
        int next = at + 1;
        while (next < words.size() && (words.get(next).equals(")") || words.get(next).equals("]"))) {
            next++;
            closed = true;
        }
        if (isJoined(words, next)) return Choice.NONE;
        String after = next < words.size() ? words.get(next) : "";
        boolean sign = after.isEmpty() || ".,:;!-\u2013\u2014([=".contains(after);
        // a box says its letter and no more, but for the text of the choice behind a mark; a formula that begins with a letter is none
        if (box && !after.isEmpty() && !closed && !(".:)".contains(after))) return Choice.NOTHING;
        boolean article = first.equalsIgnoreCase("a") && !closed && !sign && !AFTER_LETTER.contains(after.toLowerCase(Locale.ROOT));
        if (article) return Choice.NOTHING;
        return new Choice(first.toUpperCase(Locale.ROOT));
    }

    /// Whether another letter follows behind "or", "and", a slash or a comma.
    private static boolean isJoined(List<String> words, int from) {
        int at = from;
        boolean joined = false;
        while (at < words.size()) {
            String word = words.get(at).toLowerCase(Locale.ROOT);
            if (JOINING.contains(word)) joined = true;
            else if (!joined || !(HEDGES.contains(word) || word.equals("("))) break;
            at++;
        }
        if (!joined || at >= words.size() || !isLetter(words.get(at), false)) return false;
        // `A, B is too high`: the comma ends the answer, and a sentence about another letter begins
        String separator = words.get(at - 1);
        String after = at + 1 < words.size() ? words.get(at + 1).toLowerCase(Locale.ROOT) : "";
        boolean sentence = after.equals("is") || after.equals("was") || after.equals("has") || after.equals("would") || after.equals("does") || after.equals("fails") || after.equals("contradicts");
        return !(separator.equals(",") || separator.equals(";") || separator.equals("and")) || !sentence;
    }

    /// A capital A to D as a word of its own; a small one where it is all that is said.
    private static boolean isLetter(String word, boolean alone) {
        return word.length() == 1 && ("ABCD".contains(word) || alone && "abcd".contains(word));
    }

    /// Words and signs; a letter with its punctuation is two.
    private static List<String> words(String text) {
        var words = new ArrayList<String>();
        for (int i = 0; i < text.length(); ) {
            char c = text.charAt(i);
            int end = i + 1;
            if (Character.isLetterOrDigit(c) || c == '\\') {
                while (end < text.length() && (Character.isLetterOrDigit(text.charAt(end)))) end++;
            }
            if (!Character.isWhitespace(c)) words.add(text.substring(i, end));
            i = end;
        }
        return words;
    }
}
