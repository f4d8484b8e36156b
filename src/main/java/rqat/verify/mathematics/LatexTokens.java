package rqat.verify.mathematics;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Reads the LaTeX (or plain text) of one answer as tokens in a single pass, dropping what does not change its meaning: white space,
/// sizes and spacing, dollar and currency signs, degree signs, text wrappers. Different spellings of one thing (`\dfrac`, `\leq`, `−`)
/// become one token, so the joined tokens are a normal form.
final class LatexTokens {

    /// What a token is.
    enum Kind {
        /// A number as written, without thousands separators: `12`, `0.5`, `0.1(6)` with a repeating part, `1.5e-3`.
        NUMBER,
        /// A run of letters in mathematics: variables.
        LETTERS,
        /// A run of letters inside `\text{}` and its relatives: a word.
        WORD,
        /// A command with its backslash.
        COMMAND,
        /// Any other character, or an escaped brace.
        SYMBOL
    }

    /// One token.
    record Token(Kind kind, String text) {

        boolean is(String symbolOrCommand) {
            return (kind == Kind.SYMBOL || kind == Kind.COMMAND) && text.equals(symbolOrCommand);
        }

        boolean isWord() {
            return kind == Kind.LETTERS || kind == Kind.WORD;
        }
    }

    private static final Set<String> DROPPED = Set.of(
            "left", "right", "middle", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl", "Biggr",
            "hline", "tiny", "scriptsize", "footnotesize", "small", "normalsize", "large", "Large", "LARGE", "huge", "Huge", "bfseries", "itshape",
            "displaystyle", "textstyle", "scriptstyle", "limits", "nolimits", "quad", "qquad", "enspace", "thinspace", "medspace",
            "thickspace", "negthinspace", "space", "nobreakspace", "hfill", "strut", "mathstrut", "rm", "bf", "it", "boxed", "fbox",
            "pounds", "euro");

    private static final Set<String> TEXT = Set.of(
            "text", "textbf", "textit", "textrm", "textsf", "texttt", "textnormal", "textup", "mbox", "hbox", "emph", "mathrm", "mathbf",
            "mathit", "mathsf", "mathtt", "mathnormal", "boldsymbol", "bm", "bold", "underline", "ensuremath", "framebox", "operatorname");

    /// Commands with the name of a colour in braces before what they colour.
    private static final Set<String> COLOURS = Set.of("color", "textcolor");

    private static final Map<String, String> ALIASES = Map.ofEntries(
            Map.entry("dfrac", "\\frac"), Map.entry("tfrac", "\\frac"), Map.entry("cfrac", "\\frac"),
            Map.entry("dbinom", "\\binom"), Map.entry("tbinom", "\\binom"),
            Map.entry("leq", "\\le"), Map.entry("leqslant", "\\le"), Map.entry("geq", "\\ge"), Map.entry("geqslant", "\\ge"),
            Map.entry("neq", "\\ne"), Map.entry("lt", "<"), Map.entry("gt", ">"), Map.entry("times", "*"), Map.entry("cdot", "*"),
            Map.entry("ast", "*"), Map.entry("div", "/"), Map.entry("lbrace", "\\{"), Map.entry("rbrace", "\\}"), Map.entry("lvert", "|"),
            Map.entry("rvert", "|"), Map.entry("vert", "|"), Map.entry("colon", ":"), Map.entry("plusmn", "\\pm"),
            Map.entry("varnothing", "\\emptyset"), Map.entry("cr", "\\\\"), Map.entry("langle", "("), Map.entry("rangle", ")"));

    private static final Map<Character, String> CHARACTERS = Map.ofEntries(
            Map.entry('−', "-"), Map.entry('–', "-"), Map.entry('×', "*"), Map.entry('·', "*"), Map.entry('⋅', "*"), Map.entry('÷', "/"),
            Map.entry('∕', "/"), Map.entry('⁄', "/"), Map.entry('％', "%"), Map.entry('√', "\\sqrt"), Map.entry('π', "\\pi"),
            Map.entry('∞', "\\infty"), Map.entry('±', "\\pm"), Map.entry('≤', "\\le"), Map.entry('≥', "\\ge"), Map.entry('≠', "\\ne"),
            Map.entry('∈', "\\in"), Map.entry('∪', "\\cup"), Map.entry('∅', "\\emptyset"), Map.entry('≈', "\\approx"));

    private static final String DROPPED_CHARACTERS = "$€£¥\"~";

    /// Thousands separators, longest first. Only those with a backslash may have white space behind them, and a plain comma inside
    /// brackets separates coordinates: `(12,102)` is a pair.
    private static final List<String> SEPARATORS = List.of(",\\!\\!", ",\\!", "{,}", "\\,", "\\!", ",", " ");

    /// What an open brace does: it groups, or it only delimits the text of `\text{}`.
    private enum Brace {
        GROUP,
        TEXT
    }

    /// The beginning of an array or of a matrix in another size, with the alignment of its columns.
    private static final Pattern ARRAY = Pattern.compile("\\\\begin\\s{0,4}\\{(?:array}\\s{0,4}\\{(?:[^{}]|\\{[^{}]{0,20}}){0,200}}|smallmatrix})");
    private static final Pattern ARRAY_END = Pattern.compile("\\\\end\\s{0,4}\\{(?:array|smallmatrix)}");
    private static final Pattern ENVIRONMENT = Pattern.compile("\\s{0,4}\\{\\s{0,4}([a-zA-Z]{1,20})\\s{0,4}}");
    /// The space that follows the end of a row.
    private static final Pattern ROW_SPACE = Pattern.compile("\\s{0,4}\\[\\s{0,4}-?[0-9.]{1,10}\\s{0,4}[a-z]{2}\\s{0,4}]");
    /// Numbers of combinations as they are written from country to country: `{}^5C_2`, `_5C_2`; `C_5^2`; `C(5,2)`.
    private static final String COUNT = "\\{?\\s?(\\d{1,4})\\s?}?";
    private static final String CAPITAL_C = "\\s?(?:\\\\(?:mathrm|text|mathbf)\\{C}|C)\\s?";
    private static final Pattern CHOSEN_BETWEEN = Pattern.compile("(?:\\{\\s?})?[\\^_]" + COUNT + CAPITAL_C + "_" + COUNT + "(?![\\d^])");
    private static final Pattern CHOSEN_BEHIND = Pattern.compile("(?<![A-Za-z}\\\\\\d])" + CAPITAL_C + "(?:_" + COUNT + "\\^" + COUNT + "|\\^" + COUNT + "_" + COUNT + ")(?!\\d)");
    private static final Pattern CHOSEN_CALL = Pattern.compile("(?<![A-Za-z}\\\\\\d])C\\s?\\(\\s?(\\d{1,4})\\s?,\\s?(\\d{1,4})\\s?\\)");
    private static final Pattern ANGLES = Pattern.compile("\\\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])|(?<![A-Za-z\\\\])(?:sin|cos|tan)\\s{0,4}\\(");

    private final String text;
    private final boolean matrix;
    /// Whether a degree sign may stand in the argument of a function, where it changes the value.
    private final boolean angles;
    /// Whether a comma may group digits.
    private final boolean grouping;
    private final List<Token> tokens = new ArrayList<>();
    private final Deque<Brace> braces = new ArrayDeque<>();
    private int textDepth;
    private int brackets;
    private int at;

    private LatexTokens(String text, boolean grouping) {
        this.text = text;
        this.matrix = text.contains("\\begin");
        this.angles = ANGLES.matcher(text).find();
        this.grouping = grouping;
    }

    /// The tokens of an answer; total on any text.
    ///
    /// @param grouping whether a comma between digits may group them; otherwise it always separates
    static List<Token> read(String written, boolean grouping) {
        String text = combinations(matrices(written));
        var reader = new LatexTokens(text, grouping);
        while (reader.at < text.length()) {
            reader.next();
        }
        return reader.tokens;
    }

    /// An array in brackets is a matrix like the others, and so is a small one.
    private static String matrices(String text) {
        if (!text.contains("{array}") && !text.contains("{smallmatrix}")) return text;
        return ARRAY_END.matcher(ARRAY.matcher(text).replaceAll("\\\\begin{matrix}")).replaceAll("\\\\end{matrix}");
    }

    private static String combinations(String text) {
        if (text.indexOf('C') < 0) return text;
        String between = CHOSEN_BETWEEN.matcher(text).replaceAll("\\\\binom{$1}{$2}");
        // which of the two is on top differs; the larger is how many there are
        String behind = CHOSEN_BEHIND.matcher(between).replaceAll(found -> {
            int first = Integer.parseInt(found.group(1) != null ? found.group(1) : found.group(3));
            int second = Integer.parseInt(found.group(2) != null ? found.group(2) : found.group(4));
            return "\\\\binom{" + Math.max(first, second) + "}{" + Math.min(first, second) + "}";
        });
        return CHOSEN_CALL.matcher(behind).replaceAll("\\\\binom{$1}{$2}");
    }

    /// The normal form of some tokens: joined by spaces, except that adjacent letters and words are joined directly, and without the
    /// braces around a single token.
    static String join(List<Token> tokens) {
        var parts = new ArrayList<Token>();
        var open = new ArrayDeque<Integer>();
        for (Token token : tokens) {
            parts.add(token);
            if (token.is("{")) {
                open.push(parts.size() - 1);
            } else if (token.is("}") && !open.isEmpty()) {
                int start = open.pop();
                if (parts.size() - start == 3) {
                    Token inner = parts.get(start + 1);
                    parts.subList(start, parts.size()).clear();
                    parts.add(inner);
                }
            }
        }
        var joined = new StringBuilder();
        boolean afterWord = false;
        for (Token part : parts) {
            if (!joined.isEmpty() && !(afterWord && part.isWord())) {
                joined.append(' ');
            }
            joined.append(part.text());
            afterWord = part.isWord();
        }
        return joined.toString();
    }

    private void next() {
        char c = text.charAt(at);
        if (isDigit(at) || c == '.' && isDigit(at + 1)) {
            number();
        } else if (c == '\\') {
            command();
        } else if (c == '{' || c == '}') {
            at++;
            brace(c);
        } else if (Character.isLetter(c) && !CHARACTERS.containsKey(c)) {
            int end = at;
            while (end < text.length() && Character.isLetter(text.charAt(end)) && !CHARACTERS.containsKey(text.charAt(end))) {
                end++;
            }
            add(textDepth > 0 ? Kind.WORD : Kind.LETTERS, text.substring(at, end));
            at = end;
        } else {
            at++;
            character(c);
        }
    }

    private void character(char c) {
        boolean equalsFollows = at < text.length() && text.charAt(at) == '=';
        boolean factorial = c == '!' && !tokens.isEmpty() && (tokens.getLast().kind() == Kind.NUMBER || tokens.getLast().is(")"));
        if (equalsFollows && "<>!".indexOf(c) >= 0 && !factorial) {
            at++;
            add(Kind.COMMAND, c == '<' ? "\\le" : c == '>' ? "\\ge" : "\\ne");
        } else if (c == '²' || c == '³') {
            add(Kind.SYMBOL, "^");
            add(Kind.NUMBER, c == '²' ? "2" : "3");
        } else if (!Character.isWhitespace(c) && !Character.isSpaceChar(c) && Character.getType(c) != Character.FORMAT
                && DROPPED_CHARACTERS.indexOf(c) < 0 && !(c == '°' && !angles)) {
            String symbol = CHARACTERS.getOrDefault(c, String.valueOf(c));
            add(symbol.length() > 1 ? Kind.COMMAND : Kind.SYMBOL, symbol);
        }
    }

    private void brace(char c) {
        if (c == '{') {
            braces.push(Brace.GROUP);
            add(Kind.SYMBOL, "{");
        } else if (!braces.isEmpty() && braces.pop() == Brace.TEXT) {
            textDepth--;
        } else if (endsWith("{")) {
            tokens.removeLast();
        } else {
            add(Kind.SYMBOL, "}");
        }
    }

    private void command() {
        at++;
        int start = at;
        while (at < text.length() && isAsciiLetter(text.charAt(at))) {
            at++;
        }
        String name = text.substring(start, at);
        if (name.isEmpty()) {
            escape();
        } else if (TEXT.contains(name)) {
            skipSpace();
            if (at < text.length() && text.charAt(at) == '{') {
                at++;
                braces.push(Brace.TEXT);
                textDepth++;
            }
        } else if (COLOURS.contains(name)) {
            skipSpace();
            int close = text.indexOf('}', at);
            at = at < text.length() && text.charAt(at) == '{' && close > 0 ? close + 1 : at;
        } else if (name.equals("begin") || name.equals("end")) {
            Matcher environment = ENVIRONMENT.matcher(text).region(at, text.length());
            boolean whole = environment.lookingAt();
            add(Kind.COMMAND, "\\" + name + (whole ? "{" + environment.group(1) + "}" : ""));
            at = whole ? environment.end() : at;
        } else if (name.equals("not")) {
            skipSpace();
            boolean equals = at < text.length() && text.charAt(at) == '=';
            at += equals ? 1 : 0;
            add(Kind.COMMAND, equals ? "\\ne" : "\\not");
        } else if (name.equals("left") || name.equals("right")) {
            skipSpace();
            at += at < text.length() && text.charAt(at) == '.' ? 1 : 0;
        } else if (name.equals("circ") && !angles && (endsWith("^") || endsWith("^", "{"))) {
            // A degree sign. What is left of `^{\circ}` is an empty group, which disappears when it closes.
            tokens.remove(endsWith("^") ? tokens.size() - 1 : tokens.size() - 2);
        } else if (!DROPPED.contains(name) && !(name.equals("degree") && !angles)) {
            String alias = ALIASES.getOrDefault(name, "\\" + name);
            add(alias.length() == 1 || alias.equals("\\{") || alias.equals("\\}") ? Kind.SYMBOL : Kind.COMMAND, alias);
        }
    }

    /// The character behind a backslash. A doubled backslash before a letter is a command that was escaped twice, unless there is a
    /// matrix, whose rows it ends.
    private void escape() {
        if (at == text.length()) {
            return;
        }
        char c = text.charAt(at);
        boolean escapedTwice = c == '\\' && !matrix && at + 1 < text.length() && isAsciiLetter(text.charAt(at + 1));
        if (escapedTwice) {
            return;
        }
        at++;
        if (c == '\\' && matrix) {
            Matcher space = ROW_SPACE.matcher(text).region(at, text.length());
            at = space.lookingAt() ? space.end() : at;
        }
        if (c == '\\' && !matrix || Character.isWhitespace(c) || ",;:!>/$".indexOf(c) >= 0) {
            return;
        }
        add(Kind.SYMBOL, "{}\\|".indexOf(c) >= 0 ? "\\" + c : String.valueOf(c));
    }

    private void number() {
        // `\frac12` is one half: an unbraced argument of \frac is a single digit
        boolean argument = endsWithFraction(0) || tokens.size() >= 2 && tokens.getLast().kind() == Kind.NUMBER && endsWithFraction(1);
        if (argument && isDigit(at)) {
            add(Kind.NUMBER, text.substring(at, ++at));
            return;
        }
        var number = new StringBuilder();
        int digits = digitsEnd(at);
        number.append(text, at, digits);
        at = digits;
        boolean mayGroup = !number.isEmpty() && number.length() <= 3 && number.charAt(0) != '0';
        for (int group = groupEnd(); mayGroup && group > 0; group = groupEnd()) {
            number.append(text, group - 3, group);
            at = group;
        }
        if (at < text.length() && text.charAt(at) == '.' && (isDigit(at + 1) || text.startsWith("\\overline{", at + 1))) {
            int fraction = digitsEnd(at + 1);
            number.append(text, at, fraction);
            at = fraction;
            repeating(number);
        }
        exponent(number);
        add(Kind.NUMBER, number.toString());
    }

    private boolean endsWithFraction(int skipped) {
        int last = tokens.size() - 1 - skipped;
        return last >= 0 && (tokens.get(last).is("\\frac") || tokens.get(last).is("\\binom"));
    }

    private void repeating(StringBuilder number) {
        int start = at + "\\overline{".length();
        int end = text.startsWith("\\overline{", at) ? digitsEnd(start) : start;
        if (end > start && end < text.length() && text.charAt(end) == '}') {
            number.append('(').append(text, start, end).append(')');
            at = end + 1;
        }
    }

    private void exponent(StringBuilder number) {
        if (at < text.length() && (text.charAt(at) == 'e' || text.charAt(at) == 'E')) {
            int sign = at + 1 < text.length() && "+-".indexOf(text.charAt(at + 1)) >= 0 ? 1 : 0;
            int start = at + 1 + sign;
            if (isDigit(start)) {
                number.append('e').append(sign == 1 && text.charAt(at + 1) == '-' ? "-" : "").append(text, start, digitsEnd(start));
                at = digitsEnd(start);
            }
        }
    }

    /// The end of a further group of exactly three digits behind a thousands separator, or -1.
    private int groupEnd() {
        for (String separator : SEPARATORS) {
            if (text.startsWith(separator, at) && !(separator.equals(",") && (brackets > 0 || !grouping || !isGrouped()))) {
                int start = at + separator.length();
                while (separator.length() > 1 && start < text.length() && text.charAt(start) == ' ') {
                    start++;
                }
                // `1 125/1000` is a mixed number
                boolean mixed = separator.equals(" ") && start + 3 < text.length() && text.charAt(start + 3) == '/';
                if (digitsEnd(start) == start + 3 && !mixed) {
                    return start + 3;
                }
            }
        }
        return -1;
    }

    /// Whether the digits and plain commas around this comma are one number: one to three digits, then groups of three. `27,54,108` is a list.
    private boolean isGrouped() {
        int start = at;
        while (start > 0 && (isDigit(start - 1) || text.charAt(start - 1) == ',')) {
            start--;
        }
        int end = digitsEnd(start);
        if (end == start || end - start > 3) {
            return false;
        }
        while (end < text.length() && text.charAt(end) == ',' && isDigit(end + 1)) {
            int group = digitsEnd(end + 1);
            if (group - end != 4) {
                return false;
            }
            end = group;
        }
        return true;
    }

    private int digitsEnd(int from) {
        int end = from;
        while (isDigit(end)) {
            end++;
        }
        return end;
    }

    private boolean isDigit(int index) {
        return index < text.length() && text.charAt(index) >= '0' && text.charAt(index) <= '9';
    }

    private static boolean isAsciiLetter(char c) {
        return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z';
    }

    private void skipSpace() {
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
    }

    private void add(Kind kind, String tokenText) {
        if (kind == Kind.SYMBOL) {
            boolean open = tokenText.equals("(") || tokenText.equals("[") || tokenText.equals("\\{");
            boolean close = tokenText.equals(")") || tokenText.equals("]") || tokenText.equals("\\}");
            brackets = Math.max(0, brackets + (open ? 1 : close ? -1 : 0));
        }
        tokens.add(new Token(kind, tokenText));
    }

    private boolean endsWith(String... symbols) {
        if (tokens.size() < symbols.length) {
            return false;
        }
        for (int i = 0; i < symbols.length; i++) {
            if (!tokens.get(tokens.size() - symbols.length + i).is(symbols[i])) {
                return false;
            }
        }
        return true;
    }
}
