package rqat.verify.mathematics;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.Candidate.Content;
import rqat.verify.mathematics.Candidate.Piece;

/// Finds the candidates for the answer in a text, best first, in the order of Math-Verify: the more clearly a place is announced, the
/// better; of two that are announced alike, the one that ends later, then the one that begins earlier.
///
/// | rank | announced by |
/// |---|---|
/// | 0 | "final answer is ... I hope" |
/// | as configured | a box |
/// | 50 | "final answer ... is" |
/// | 100 | "answer:" |
/// | 200 | "answer" |
/// | 250 | the start of the text (strings) |
/// | 300 | nothing |
///
/// Every kind of announcement is a scan from left to right that continues behind each find. What a better rank answers, the scans of the
/// others need not look for.
final class CandidateFinder {

    private static final int HOPED = 0;
    private static final int CONCLUDED = 50;
    private static final int COLON = 100;
    private static final int ANSWER = 200;
    private static final int START = 250;
    private static final int UNANNOUNCED = 300;

    private static final int MAX_PIECES = 6;
    private static final int NEAR = 50;
    private static final int FAR = 100;
    private static final String CURRENCIES = "$€£¥₹₽₪₩₫฿₡₢₣₤₥₦₧₨₭₮₯₰₱₲₳₴₵₶₷₸₺₻₼₾₿";
    private static final String[] PERCENTS = {"\\%", "%", "percent", "Percent", "percentage", "Percentage", "pct", "Pct"};

    /// Something found at a place: where it ends and what it says.
    private record Found(int end, Content content) {}

    /// Looks for something at a place; null when it is not there.
    private interface Matcher {
        @Nullable Found at(int index);
    }

    private final String text;
    private final String lower;
    private final Budget budget;
    private final PlainScanner plain;
    /// Those of the rank that is looked for, in the order of the patterns.
    private final List<Candidate> candidates = new ArrayList<>();
    private final Search displayEnd = new Search("$$");
    private final Search bracketEnd = new Search("\\]");
    private final Search parenthesisEnd = new Search("\\)");
    private final Search lineEnd = new Search("\n");

    /// A finder in a text.
    CandidateFinder(String text, Budget budget) {
        this.text = text;
        this.lower = lowerCase(text);
        this.budget = budget;
        this.plain = new PlainScanner(text, budget);
    }

    /// Only ASCII letters, so that every character keeps its place.
    private static String lowerCase(String text) {
        char[] characters = text.toCharArray();
        for (int i = 0; i < characters.length; i++) {
            characters[i] += characters[i] >= 'A' && characters[i] <= 'Z' ? 'a' - 'A' : 0;
        }
        return new String(characters);
    }

    /// The ranks at which there may be candidates, best first.
    static SortedSet<Integer> ranks(List<ReferenceVerifier.Target> targets) {
        var ranks = new TreeSet<>(List.of(HOPED, CONCLUDED, COLON, ANSWER, START, UNANNOUNCED));
        for (ReferenceVerifier.Target target : targets) {
            if (target instanceof ReferenceVerifier.Latex latex && latex.boxRank() >= 0) {
                ranks.add(latex.boxRank());
            }
        }
        return ranks;
    }

    /// The candidates of one rank, best first.
    List<Candidate> find(int rank, List<ReferenceVerifier.Target> targets) {
        candidates.clear();
        for (ReferenceVerifier.Target target : targets) {
            switch (target) {
                case ReferenceVerifier.Latex(int boxRank, boolean unannounced, boolean _) -> latex(rank, boxRank, unannounced);
                case ReferenceVerifier.Plain(boolean unannounced) -> plain(rank, unannounced);
                case ReferenceVerifier.Strings(List<String> strings, boolean unannounced, boolean _) -> strings(rank, strings, unannounced);
            }
        }
        candidates.sort(Comparator.comparingInt((Candidate candidate) -> -candidate.end()).thenComparingInt(Candidate::start));
        return List.copyOf(candidates);
    }

    private void add(int start, Found found) {
        budget.spend(2);
        candidates.add(new Candidate(start, found.end(), found.content()));
    }

    // the patterns of each target

    private void latex(int rank, int boxRank, boolean unannounced) {
        Matcher formulas = index -> formulas(index, false);
        switch (rank) {
            case HOPED -> hoped(index -> behindSpaces(index, formulas));
            case CONCLUDED -> concluded(index -> behindSpaces(index, formulas));
            case COLON -> forEachAnswer(":", end -> within(end, NEAR, true, formulas));
            case ANSWER -> forEachAnswer("", end -> within(end, NEAR, true, formulas));
            case UNANNOUNCED -> {
                if (unannounced) {
                    scan(formulas);
                }
            }
            default -> { }
        }
        if (rank == boxRank) {
            scan(index -> formulas(index, true));
            int box = text.indexOf("\\boxed{");
            int last = text.lastIndexOf('}');
            if (box >= 0 && last > box + 7) {
                add(box, new Found(last + 1, new Candidate.Box(text.substring(box, last + 1))));
            }
        }
    }

    private void plain(int rank, boolean unannounced) {
        Matcher numbers = index -> found(plain.expressionOrNumber(index));
        switch (rank) {
            case HOPED -> hoped(index -> {
                int end = skipSpace(index);
                Found found = end > index ? numbers.at(end - 1) : null;
                return found != null ? found : numbers.at(end);
            });
            case CONCLUDED -> concluded(numbers);
            case COLON -> forEachAnswer(":", this::plainAfterAnswer);
            case ANSWER -> forEachAnswer("", this::plainAfterAnswer);
            case UNANNOUNCED -> {
                if (unannounced) {
                    scan(index -> found(plain.expression(index)));
                    scan(index -> found(plain.number(index)));
                }
            }
            default -> { }
        }
    }

    private static @Nullable Found found(PlainScanner.@Nullable Scanned scanned) {
        return scanned == null ? null : new Found(scanned.end(), scanned.content());
    }

    private void strings(int rank, List<String> strings, boolean unannounced) {
        Matcher bare = index -> string(skipSpace(index), strings);
        Matcher standing = index -> standingString(index, strings, true);
        switch (rank) {
            case HOPED -> hoped(bare);
            case CONCLUDED -> concluded(bare);
            case COLON -> forEachAnswer(":", end -> within(end, NEAR, false, standing));
            case ANSWER -> forEachAnswer("", end -> within(end, NEAR, false, standing));
            case START -> {
                Found first = unannounced ? standingString(0, strings, false) : null;
                if (first != null) {
                    add(0, first);
                }
            }
            case UNANNOUNCED -> {
                if (unannounced) {
                    scan(standing);
                }
            }
            default -> { }
        }
    }

    /// Behind white space, or with the last of it.
    private @Nullable Found behindSpaces(int index, Matcher matcher) {
        int end = skipSpace(index);
        Found found = matcher.at(end);
        return found == null && end > index ? matcher.at(end - 1) : found;
    }

    private void scan(Matcher matcher) {
        int index = 0;
        while (index < text.length()) {
            Found found = matcher.at(index);
            if (found != null) {
                add(index, found);
            }
            index = found != null && found.end() > index ? found.end() : index + 1;
        }
    }

    /// "final answer is X. I hope".
    private void hoped(Matcher matcher) {
        int from = 0;
        for (int at = lower.indexOf("final answer is", from); at >= 0; at = lower.indexOf("final answer is", from)) {
            int end = at + 15;
            budget.spend(4);
            Found found = matcher.at(end < text.length() && text.charAt(end) == ':' ? end + 1 : end);
            int hope = found == null ? -1 : hopeEnd(found.end());
            if (hope > 0) {
                add(at, new Found(hope, found.content()));
            }
            from = Math.max(end, hope);
        }
    }

    private int hopeEnd(int from) {
        int at = from < text.length() && text.charAt(from) == '.' ? from + 1 : from;
        at += at < text.length() && isSpace(text.charAt(at)) ? 1 : 0;
        return text.startsWith("I hope", at) ? at + 6 : -1;
    }

    /// "final answer" and, at most a hundred characters later, "is X".
    private void concluded(Matcher matcher) {
        int from = 0;
        for (int at = lower.indexOf("final answer", from); at >= 0; at = lower.indexOf("final answer", from)) {
            int end = at + 12;
            from = end;
            budget.spend(8);
            int last = Math.min(end + FAR, text.length() - 3);
            int limit = last < end ? end : Math.min(skipSpace(last) + 2, text.length());
            for (int word = indexOf("is", end + 1, limit); word >= 0; word = indexOf("is", word + 1, limit)) {
                if (!isSpace(text.charAt(word - 1))) {
                    continue;
                }
                budget.spend(2);
                int behind = word + 2 < text.length() && text.charAt(word + 2) == ':' ? word + 3 : word + 2;
                Found found = matcher.at(behind);
                if (found != null) {
                    add(at, found);
                    from = Math.max(end, found.end());
                    break;
                }
            }
        }
    }

    private int indexOf(String word, int from, int limit) {
        return from < limit ? lower.indexOf(word, from, limit) : -1;
    }

    private void forEachAnswer(String suffix, Matcher matcher) {
        int from = 0;
        for (int at = lower.indexOf("answer" + suffix, from); at >= 0; at = lower.indexOf("answer" + suffix, from)) {
            int end = at + 6 + suffix.length();
            Found found = matcher.at(end);
            if (found != null) {
                add(at, found);
            }
            from = found != null ? Math.max(end, found.end()) : end;
        }
    }

    /// The first find within so many characters.
    private @Nullable Found within(int from, int distance, boolean overLines, Matcher matcher) {
        budget.spend(16);
        for (int index = from; index <= Math.min(from + distance, text.length()); index++) {
            Found found = matcher.at(index);
            if (found != null) {
                return found;
            }
            if (!overLines && index < text.length() && text.charAt(index) == '\n') {
                return null;
            }
        }
        return null;
    }

    /// Behind the last equals sign that is close, else behind nothing; and not the left side of another equation.
    private @Nullable Found plainAfterAnswer(int from) {
        budget.spend(16);
        int line = text.indexOf('\n', from);
        int limit = Math.min(from + FAR, (line < 0 ? text.length() : line) - 1);
        for (int equals = limit; equals >= from; equals--) {
            if (text.charAt(equals) == '=') {
                int behind = skipSpace(equals + 1);
                for (int index = behind; index > equals; index--) {
                    Found found = found(plain.notEquated(index));
                    if (found != null) {
                        return found;
                    }
                }
            }
        }
        return within(from, NEAR, false, index -> found(plain.notEquated(index)));
    }

    // strings

    private @Nullable Found string(int at, List<String> strings) {
        for (String string : strings) {
            if (text.startsWith(string, at)) {
                return new Found(at + string.length(), new Candidate.Choice(string));
            }
        }
        return null;
    }

    /// A string between white space and white space or punctuation, perhaps in bold.
    private @Nullable Found standingString(int index, List<String> strings, boolean prefix) {
        int at = index;
        if (prefix && !(index < text.length() && isSpace(text.charAt(index)))) {
            if (index > 0) {
                return null;
            }
        } else if (prefix) {
            at++;
        }
        at += text.startsWith("**", at) ? 2 : 0;
        Found found = string(at, strings);
        if (found == null) {
            return null;
        }
        int end = found.end() + (text.startsWith("**", found.end()) ? 2 : 0);
        if (end == text.length()) {
            return new Found(end, found.content());
        }
        char next = text.charAt(end);
        return isSpace(next) || ".,:".indexOf(next) >= 0 ? new Found(end + 1, found.content()) : null;
    }

    // LaTeX

    /// One formula, or up to six with commas, "and" or "or" between them.
    private @Nullable Found formulas(int index, boolean boxed) {
        if (index >= text.length() || !mayOpen(text.charAt(index))) {
            return null;
        }
        Piece[] piece = new Piece[1];
        int end = formula(index, boxed, piece);
        if (end < 0) {
            return null;
        }
        var pieces = new ArrayList<>(List.of(piece[0]));
        while (pieces.size() < MAX_PIECES) {
            int separator = separatorEnd(skipSpace(end));
            int behind = separator < 0 ? -1 : skipSpace(separator);
            int next = separator < 0 ? -1 : formula(behind, boxed, piece);
            next = next < 0 && behind > separator ? formula(behind - 1, boxed, piece) : next;
            if (next < 0) {
                break;
            }
            pieces.add(piece[0]);
            end = next;
        }
        return new Found(end, new Candidate.Latex(List.copyOf(pieces)));
    }

    private int separatorEnd(int at) {
        for (String separator : new String[] {",and", "and", ",or", "or", ","}) {
            if (text.startsWith(separator, at)) {
                return at + separator.length();
            }
        }
        return -1;
    }

    /// The end of the formula at a place with its percent sign, or -1.
    private int formula(int at, boolean boxed, Piece[] piece) {
        if (at >= text.length()) {
            return -1;
        }
        char c = text.charAt(at);
        if (!mayOpen(c)) {
            return -1;
        }
        char before = at > 0 ? text.charAt(at - 1) : 0;
        int start = 0;
        int close = -1;
        int end = 0;
        if (c == '$' && before != '\\' && text.startsWith("$$", at)) {
            start = at + 2;
            int found = displayEnd.from(start);
            close = found > start && text.charAt(found - 1) != '\\' ? found : -1;
            end = close + 2;
        } else if (before != '\\' && text.startsWith("\\[", at)) {
            start = at + 2;
            int found = bracketEnd.from(start);
            close = found > start && text.charAt(found - 1) != '\\' ? found : -1;
            end = close + 2;
        } else if (before != '\\' && text.startsWith("\\(", at)) {
            start = at + 2;
            int found = parenthesisEnd.from(start);
            close = found > start && text.charAt(found - 1) != '\\' && oneLine(start, found) ? found : -1;
            end = close + 2;
        } else if (isSpace(c) && at + 1 < text.length() && text.charAt(at + 1) == '[') {
            start = at + 2;
            close = bracketClose(start);
            end = close + 2;
        }
        if (close < 0 && c == '$' && before != '\\' && !isDigit(before)) {
            start = at + 1;
            close = dollarClose(start);
            end = close + 1;
        }
        String latex = close < 0 ? null : text.substring(start, close);
        if (latex != null && boxed && !hasBox(latex)) {
            return -1;
        }
        if (latex == null && !boxed) {
            end = fractionEnd(at);
            latex = end < 0 ? null : text.substring(at, end);
        }
        if (latex == null) {
            return -1;
        }
        budget.spend(2);
        int behind = skipSpace(end);
        int percent = percentEnd(behind);
        piece[0] = new Piece(latex, percent > 0);
        return percent > 0 ? percent : behind;
    }

    private static boolean mayOpen(char c) {
        return c == '$' || c == '\\' || c == '-' || isSpace(c);
    }

    private static boolean hasBox(String latex) {
        int box = latex.indexOf("\\boxed{");
        return box >= 0 && latex.indexOf('}', box + 8) >= 0;
    }

    private boolean oneLine(int from, int to) {
        int line = lineEnd.from(from);
        return line < 0 || line >= to;
    }

    /// The next place of a delimiter. Remembers the last answer, so that a delimiter that is far away or missing is not looked for from
    /// every place before it.
    private final class Search {
        private final String delimiter;
        private int start = -1;
        private int found = -1;

        Search(String delimiter) {
            this.delimiter = delimiter;
        }

        /// The first place at or behind an index, or -1.
        int from(int index) {
            if (start >= 0 && index < start) {
                int before = text.indexOf(delimiter, index, Math.min(start + delimiter.length() - 1, text.length()));
                found = before >= 0 ? before : found;
                start = index;
            } else if (start < 0 || found >= 0 && found < index) {
                found = text.indexOf(delimiter, index);
                start = index;
            }
            return found;
        }
    }

    private int dollarClose(int from) {
        for (int i = from; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '\\' && i + 1 < text.length() && text.charAt(i + 1) == '$') {
                i++;
            } else if (c == '\n') {
                return -1;
            } else if (c == '$') {
                return i > from ? i : -1;
            }
        }
        return -1;
    }

    private int bracketClose(int from) {
        for (int i = from; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '\n' || c == '[') {
                return -1;
            }
            if (c == ']') {
                return i > from && i + 1 < text.length() && isSpace(text.charAt(i + 1)) ? i : -1;
            }
        }
        return -1;
    }

    /// The end of `\frac{1}{2}` outside of any delimiters, or -1.
    private int fractionEnd(int at) {
        int command = text.charAt(at) == '-' ? at + 1 : at;
        if (!text.startsWith("\\frac{", command)) {
            return -1;
        }
        int numerator = simpleNumberEnd(command + 6);
        if (numerator < 0 || !text.startsWith("}{", numerator)) {
            return -1;
        }
        int denominator = simpleNumberEnd(numerator + 2);
        return denominator >= 0 && text.startsWith("}", denominator) ? denominator + 1 : -1;
    }

    private int simpleNumberEnd(int at) {
        int start = at < text.length() && text.charAt(at) == '-' ? at + 1 : at;
        int end = digitsEnd(start);
        if (end == start) {
            return -1;
        }
        boolean decimal = end < text.length() && (text.charAt(end) == '.' || text.charAt(end) == ',') && digitsEnd(end + 1) > end + 1;
        return decimal ? digitsEnd(end + 1) : end;
    }

    private int percentEnd(int at) {
        for (String percent : PERCENTS) {
            if (text.startsWith(percent, at)) {
                return at + percent.length();
            }
        }
        return -1;
    }

    private int digitsEnd(int from) {
        int end = from;
        while (end < text.length() && isDigit(text.charAt(end))) {
            end++;
        }
        return end;
    }

    private int spaceEnd = -1;
    private int spaceStart = -1;

    /// The end of the white space here; remembers the last run, so that a long one is not walked again from every place in it.
    private int skipSpace(int from) {
        if (from >= spaceStart && from < spaceEnd) {
            return spaceEnd;
        }
        int end = from;
        while (end < text.length() && isSpace(text.charAt(end))) {
            end++;
        }
        if (end > from) {
            spaceStart = from;
            spaceEnd = end;
        }
        return end;
    }

    static boolean isCurrency(char c) {
        return CURRENCIES.indexOf(c) >= 0;
    }

    static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    static boolean isSpace(char c) {
        return Character.isWhitespace(c);
    }
}
