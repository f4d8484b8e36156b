package rqat.verify.mathematics;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/// The contents of the boxes of a text as Math-Verify joins them, found from the right. The last box counts; one to its left counts too,
/// joined by a comma, when fewer than ten characters are between them, or fewer than seventy with a separator among them and the contents
/// differ. This rule is what turns `\boxed{3}. \boxed{4}` into a set, and why our own mode does not join.
final class BoxCollector {

    private static final int NEAR = 10;
    private static final int FAR = 70;

    private BoxCollector() {}

    /// The joined contents, or the text itself when there is no box.
    ///
    /// @param all whether every box counts, however far apart
    static String contents(String text, boolean all) {
        var contents = new ArrayList<String>();
        int boxed = Integer.MAX_VALUE;
        int fbox = Integer.MAX_VALUE;
        int before = text.length();
        int nextStart = -1;
        while (true) {
            boxed = boxed >= before ? text.lastIndexOf("\\boxed", before - 6) : boxed;
            fbox = fbox >= before ? text.lastIndexOf("\\fbox", before - 5) : fbox;
            int start = Math.max(boxed, fbox);
            if (start < 0) {
                break;
            }
            int limit = nextStart < 0 ? text.length() : nextStart;
            int open = skipSpace(text, start + (boxed > fbox ? 6 : 5), limit);
            int close = open < limit && text.charAt(open) == '{' ? close(text, open, limit) : -1;
            if (close < 0) {
                // what follows a box that never closes is the answer, unless there is a better box
                if (contents.isEmpty() && open < limit) {
                    contents.add(text.substring(open));
                }
                break;
            }
            String content = text.substring(open + 1, close).strip();
            if (!all && nextStart >= 0 && !belong(content, contents.getLast(), text.substring(close + 1, nextStart))) {
                break;
            }
            if (contents.isEmpty() || !contents.getLast().equals(content)) {
                contents.add(content);
            }
            nextStart = start;
            before = start;
        }
        if (contents.isEmpty()) {
            return text;
        }
        List<String> inOrder = new ArrayList<>(contents);
        Collections.reverse(inOrder);
        return String.join(",", inOrder);
    }

    private static boolean belong(String content, String next, String between) {
        return between.length() < NEAR || between.length() < FAR && !content.equals(next) && hasSeparator(between);
    }

    private static boolean hasSeparator(String text) {
        return text.indexOf(',') >= 0 || text.indexOf(';') >= 0 || hasWord(text, "and") || hasWord(text, "or");
    }

    private static boolean hasWord(String text, String word) {
        for (int at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
            int end = at + word.length();
            if ((at == 0 || !isWordPart(text.charAt(at - 1))) && (end == text.length() || !isWordPart(text.charAt(end)))) {
                return true;
            }
        }
        return false;
    }

    private static boolean isWordPart(char c) {
        return Character.isLetterOrDigit(c) || c == '_';
    }

    private static int skipSpace(String text, int from, int limit) {
        int at = from;
        while (at < limit && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
        return at;
    }

    private static int close(String text, int open, int limit) {
        int depth = 0;
        for (int i = open; i < limit; i++) {
            char c = text.charAt(i);
            depth += c == '{' ? 1 : c == '}' ? -1 : 0;
            if (depth == 0) {
                return i;
            }
        }
        return -1;
    }
}
