package rqat.verify.mathematics;

import java.util.Arrays;
import java.util.regex.Pattern;

/// Finds the text of the final answer in a completion with linear scans; no regular expressions over the whole, which backtrack and overflow
/// the stack on long generations.
final class AnswerExtractor {

    private static final String MARK = "####";
    private static final int LONGEST_JOINED = 1000;
    private static final int LONGEST_JOINT = 60;
    private static final String AROUND = "(?:[\\s$*~}]|\\\\[()\\[\\],;: ]|\\\\q?quad\\b|\\\\text\\{)*+";
    private static final Pattern JOINT = Pattern.compile(AROUND + "(?:[,;]" + AROUND + "(?:(?:or|and)\\b)?|(?:or|and)\\b)(?: (?:maybe|possibly|perhaps|else)\\b)?" + AROUND);
    private static final String[] BOXES = {"\\boxed", "\\fbox"};

    private AnswerExtractor() {}

    /// What the search for a box found.
    sealed interface Boxed {
        /// There is no box.
        record None() implements Boxed {}

        /// The last box is never closed; `rest` is the text after its opening brace.
        record Unclosed(String rest) implements Boxed {}

        /// The content of the last box.
        record Content(String text) implements Boxed {}
    }

    /// The outermost box that ends last, with those before it that [#isJoint] joins to it, found in one pass over the text with a stack of open braces. A brace behind a backslash is a
    /// character, not a brace. A number may follow `\boxed` without braces; any other bare `\boxed` is talk about the notation.
    static Boxed lastBoxed(String text, int from) {
        var open = new IntStack();  // for every open brace: where the content of its box begins, or -1 for an ordinary brace
        int lastStart = -1;         // where the content of the last box begins
        int start = -1;             // the closed box that ends last
        int end = -1;
        String before = "";         // the contents of the boxes that are joined to a later one, a comma behind each
        int joined = -1;            // where the content of that one begins
        for (int i = from; i < text.length(); i++) {
            char c = text.charAt(i);
            int box = c == '\\' ? boxLength(text, i) : 0;
            if (box > 0) {
                int next = skipSpace(text, i + box);
                if (end >= 0 && isJoint(text, end, i)) {
                    String earlier = (start == joined ? before : "") + text.substring(start, end) + ", ";
                    boolean shortEnough = earlier.length() <= LONGEST_JOINED;
                    before = shortEnough ? earlier : before;
                    joined = !shortEnough ? joined : next < text.length() && text.charAt(next) == '{' ? next + 1 : next;
                }
                if (next < text.length() && text.charAt(next) == '{') {
                    lastStart = next + 1;
                    open.push(lastStart);
                    i = next;
                } else if (numberEnd(text, next) > next) {
                    lastStart = next;
                    start = next;
                    end = numberEnd(text, next);
                    i = end - 1;
                }
            } else if (c == '\\') {
                boolean escapedBox = text.startsWith("\\", i + 1) && boxLength(text, i + 1) > 0;
                i += escapedBox ? 0 : 1;
            } else if (c == '{') {
                open.push(-1);
            } else if (c == '}' && !open.isEmpty()) {
                int content = open.pop();
                if (content >= 0) {
                    start = content;
                    end = i;
                }
            }
        }
        if (lastStart < 0) {
            return new Boxed.None();
        }
        return lastStart > end ? new Boxed.Unclosed(text.substring(lastStart)) : new Boxed.Content((start == joined ? before : "") + text.substring(start, end));
    }

    /// Whether nothing but "or", "and" or a comma stands between two boxes: then both together are the answer, one of two guesses is none.
    private static boolean isJoint(String text, int end, int start) {
        return start - end <= LONGEST_JOINT && JOINT.matcher(text).region(end, start).matches();
    }

    /// The final answer of a text that writes it as GSM8K does, in a line behind `####`; the last such line counts.
    static Boxed markedLine(String text, int from) {
        int mark = text.lastIndexOf(MARK);
        if (mark < from) {
            return new Boxed.None();
        }
        int line = text.indexOf('\n', mark);
        String answer = text.substring(mark + MARK.length(), line < 0 ? text.length() : line).strip();
        return answer.isEmpty() ? new Boxed.None() : new Boxed.Content(answer);
    }

    /// The length of the box command at a backslash, 0 when it is another command.
    private static int boxLength(String text, int at) {
        char next = at + 1 < text.length() ? text.charAt(at + 1) : 0;
        if (next != 'b' && next != 'f') {
            return 0;
        }
        for (String box : BOXES) {
            int end = at + box.length();
            if (text.startsWith(box, at) && (end == text.length() || !Character.isLetter(text.charAt(end)))) {
                return box.length();
            }
        }
        return 0;
    }

    private static int skipSpace(String text, int at) {
        int i = at;
        while (i < text.length() && Character.isWhitespace(text.charAt(i))) {
            i++;
        }
        return i;
    }

    /// The end of the plain number that begins here, `from` when there is none.
    private static int numberEnd(String text, int from) {
        int i = from;
        int end = from;
        while (i < text.length() && (isDigit(text.charAt(i)) || ".,".indexOf(text.charAt(i)) >= 0 || i == from && text.charAt(i) == '-')) {
            i++;
            end = isDigit(text.charAt(i - 1)) ? i : end;
        }
        return end;
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    /// A growing stack of numbers: a hostile completion opens a million braces, so neither boxing nor recursion will do.
    private static final class IntStack {
        private int[] values = new int[16];
        private int size;

        void push(int value) {
            if (size == values.length) {
                values = Arrays.copyOf(values, 2 * size);
            }
            values[size++] = value;
        }

        int pop() {
            return values[--size];
        }

        boolean isEmpty() {
            return size == 0;
        }
    }
}
