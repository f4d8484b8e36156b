package rqat.verify.mathematics;

import java.util.List;

/// Brings the LaTeX of a candidate answer into the notation of [FormulaLexer], rule by rule in Math-Verify's order: spelling, units, small
/// repairs, malformed operators. Every rule is one pass over the text.
final class LatexNormaliser {

    /// Longer candidates are not answers.
    static final int MAX_LENGTH = 4000;

    private static final List<String> LEFT = List.of("\\{", "{", "\\|", "|", "[", "(", "\\lgroup", "\\lbrace", "\\lbrack", "\\vert", "\\lvert", "\\lceil",
            "\\lfloor", "\\langle", "\\llcorner", "\\ulcorner");
    private static final List<String> RIGHT = List.of("\\}", "}", "\\|", "|", "]", ")", "\\rgroup", "\\rbrace", "\\rbrack", "\\vert", "\\rvert", "\\rceil",
            "\\rfloor", "\\rangle", "\\lrcorner", "\\urcorner");

    private LatexNormaliser() {}

    /// The normal form.
    ///
    /// @param repairOperators whether `\frac12` and `\sqrt3` are understood
    static String normalise(String latex, boolean repairOperators) {
        String text = spellings(latex);
        text = UnitWords.strip(text);
        text = text.startsWith(".") ? "0" + text : text;
        text = text.equals("0.5") ? "\\frac{1}{2}" : text;
        return (repairOperators ? repaired(text) : text).strip();
    }

    // spelling

    private static String spellings(String latex) {
        String text = latex.replace("\\mathrm{T}", "T").replace("\\mathrm{d}", "d").replace("{\\rm d}", "d")
                .replace("\\left[\\begin{matrix}", "\\begin{bmatrix}").replace("\\end{matrix}\\right]", "\\end{bmatrix}");
        text = withoutSizes(singleSpaced(text));
        text = permutations(text);
        text = withoutDecoration(text);
        text = replaced(text).replace('\n', ' ').replace('\t', ' ');
        return text.contains("matrix") ? text : withoutDoubledBackslashes(text);
    }

    /// With at most two characters of white space in a row: more mean no more.
    private static String singleSpaced(String text) {
        var result = new StringBuilder();
        int run = 0;
        for (int i = 0; i < text.length(); i++) {
            run = Character.isWhitespace(text.charAt(i)) ? run + 1 : 0;
            if (run <= 2) {
                result.append(text.charAt(i));
            }
        }
        return result.toString();
    }

    private static String withoutSizes(String text) {
        var result = new StringBuilder();
        int at = 0;
        while (at < text.length()) {
            int command = commandLength(text, at, "\\left", "\\mleft");
            if (command > 0 && startsWithAny(text, at + command, LEFT)) {
                at += command;
                continue;
            }
            command = commandLength(text, at, "\\right", "\\mright");
            if (command > 0 && startsWithAny(text, at + command, RIGHT)) {
                at += command;
                continue;
            }
            result.append(text.charAt(at++));
        }
        return result.toString();
    }

    private static int commandLength(String text, int at, String... commands) {
        for (String command : commands) {
            if (text.startsWith(command, at)) {
                return command.length();
            }
        }
        return 0;
    }

    private static boolean startsWithAny(String text, int at, List<String> prefixes) {
        for (String prefix : prefixes) {
            if (text.startsWith(prefix, at)) {
                return true;
            }
        }
        return false;
    }

    /// `(n)_{k}`, the number of ways to arrange k of n things, as a quotient of factorials.
    private static String permutations(String text) {
        int mark = text.indexOf(")_{");
        if (mark < 0) {
            return text;
        }
        int open = text.lastIndexOf('(', mark);
        int close = text.indexOf('}', mark);
        if (open < 0 || close < 0 || !isSimple(text.substring(open + 1, mark)) || !isSimple(text.substring(mark + 3, close))) {
            return text;
        }
        String n = text.substring(open + 1, mark);
        String k = text.substring(mark + 3, close);
        return text.substring(0, open) + "\\frac{(%s)!}{((%s)-(%s))!}".formatted(n, n, k) + permutations(text.substring(close + 1));
    }

    private static boolean isSimple(String text) {
        return !text.isEmpty() && text.chars().allMatch(c -> c < 128 && Character.isLetterOrDigit(c) || "+-*/\\ ".indexOf(c) >= 0);
    }

    /// Without ordinals, negative spaces, empty texts, dollar signs and quotation marks.
    private static String withoutDecoration(String text) {
        var result = new StringBuilder();
        int at = 0;
        while (at < text.length()) {
            char c = text.charAt(at);
            if (text.startsWith("\\mathrm{th}", at)) {
                at += 11;
            } else if (text.startsWith("\\!", at)) {
                at = skipSpace(text, at + 2);
            } else if (text.startsWith("\\text", at) && emptyGroupEnd(text, skipSpace(text, at + 5)) > 0) {
                at = emptyGroupEnd(text, skipSpace(text, at + 5));
            } else if (text.startsWith("\\displaystyle", at)) {
                at += 13;
            } else if (text.startsWith("\\$", at)) {
                at += 2;
            } else if (c == '$' || (c == '"' || c == '\'') && (at == 0 || text.charAt(at - 1) != '\\')) {
                at++;
            } else {
                result.append(c);
                at++;
            }
        }
        return result.toString();
    }

    private static int emptyGroupEnd(String text, int at) {
        int close = at < text.length() && text.charAt(at) == '{' ? skipSpace(text, at + 1) : text.length();
        return close < text.length() && text.charAt(close) == '}' ? close + 1 : 0;
    }

    /// The one spelling of what has several. A replacement is not looked at again.
    private static String replaced(String text) {
        var result = new StringBuilder();
        int at = 0;
        while (at < text.length()) {
            int end = replace(text, at, result);
            if (end > at) {
                at = end;
            } else {
                result.append(text.charAt(at++));
            }
        }
        return result.toString();
    }

    /// Appends the replacement of what stands here and returns its end, or the position itself when nothing is replaced.
    private static int replace(String text, int at, StringBuilder result) {
        char c = text.charAt(at);
        if (c == '\\') {
            return command(text, at, result);
        }
        boolean space = Character.isWhitespace(c);
        if (space && at + 1 < text.length() && text.charAt(at + 1) == '.') {
            return append(result, " 0.", at + 2);
        }
        if (text.startsWith("{.", at)) {
            return append(result, "{0.", at + 2);
        }
        if (text.startsWith("~=", at)) {
            return append(result, "\\approx", at + 2);
        }
        if (!space && "{,aopi".indexOf(c) < 0) {
            return at;
        }
        int word = space ? skipSpace(text, at) : at;
        int comma = bracedCommaEnd(text, word);
        if (comma > 0) {
            return append(result, ",", comma);
        }
        int conjunction = conjunctionEnd(text, at);
        if (conjunction > 0) {
            return append(result, ",", conjunction);
        }
        if (text.startsWith("infinity", at)) {
            return append(result, "\\infty", at + 8);
        }
        if (text.startsWith(",\\ldots", at)) {
            return append(result, " ", at + 7);
        }
        int percent = percentEnd(text, word);
        if (percent > 0) {
            return append(result, "%", percent);
        }
        if (text.startsWith("inf", at) && (at == 0 || text.charAt(at - 1) != '\\')) {
            return append(result, "\\infty", at + 3);
        }
        return text.startsWith(" sqrt", at) ? append(result, "\\sqrt", at + 5) : at;
    }

    private static int command(String text, int at, StringBuilder result) {
        for (String style : new String[] {"\\mathrm", "\\mathit", "\\mathbf", "\\textnormal", "\\textbf", "\\textit", "\\textrm"}) {
            if (text.startsWith(style, at)) {
                return append(result, "\\text", at + style.length());
            }
        }
        if (text.startsWith("frac", at + 2) && "dtc".indexOf(text.charAt(at + 1)) >= 0) {
            return append(result, "\\frac", at + 6);
        }
        int conjunction = conjunctionEnd(text, at);
        if (conjunction > 0) {
            return append(result, ",", conjunction);
        }
        boolean single = at == 0 || text.charAt(at - 1) != '\\';
        if (single && at + 1 < text.length() && Character.isWhitespace(text.charAt(at + 1))) {
            return append(result, " ", at + 2);
        }
        if (text.startsWith("\\ldots", at)) {
            return append(result, " ", at + 6);
        }
        for (String percent : new String[] {"\\text{percent}", "\\text{pct}", "\\text{percentage}"}) {
            if (text.startsWith(percent, at)) {
                return append(result, "%", at + percent.length());
            }
        }
        return at;
    }

    private static int append(StringBuilder result, String replacement, int end) {
        result.append(replacement);
        return end;
    }

    /// The end of `{,}`, or 0.
    private static int bracedCommaEnd(String text, int at) {
        if (at >= text.length() || text.charAt(at) != '{') {
            return 0;
        }
        int comma = skipSpace(text, at + 1);
        int close = comma < text.length() && text.charAt(comma) == ',' ? skipSpace(text, comma + 1) : text.length();
        return close < text.length() && text.charAt(close) == '}' ? close + 1 : 0;
    }

    /// The end of `and` or `or`, perhaps in `\text{}` and behind a comma, or 0.
    private static int conjunctionEnd(String text, int at) {
        int start = skipSpace(text, text.charAt(at) == ',' ? at + 1 : at);
        boolean afterLetter = at > 0 && isLetter(text.charAt(at - 1));
        int end = wordEnd(text, start);
        if (!afterLetter && end > 0) {
            return end;
        }
        if (!text.startsWith("\\text{", start)) {
            return 0;
        }
        int inside = skipSpace(text, start + 6);
        int word = text.startsWith("and", inside) ? inside + 3 : text.startsWith("or", inside) ? inside + 2 : 0;
        int close = word > 0 ? skipSpace(text, word) : text.length();
        return close < text.length() && text.charAt(close) == '}' ? close + 1 : 0;
    }

    private static int wordEnd(String text, int start) {
        int end = text.startsWith("and", start) ? start + 3 : text.startsWith("or", start) ? start + 2 : 0;
        return end > 0 && (end == text.length() || !isLetter(text.charAt(end))) ? end : 0;
    }

    private static int percentEnd(String text, int start) {
        if (start > 0 && isWordPart(text.charAt(start - 1))) {
            return 0;
        }
        for (String word : new String[] {"percentage", "percent", "pct"}) {
            int end = start + word.length();
            if (text.startsWith(word, start) && (end == text.length() || !isWordPart(text.charAt(end)))) {
                return end;
            }
        }
        return 0;
    }

    private static String withoutDoubledBackslashes(String text) {
        var result = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            boolean doubled = text.startsWith("\\\\", i) && i + 2 < text.length() && isLetter(text.charAt(i + 2));
            if (!doubled) {
                result.append(text.charAt(i));
            }
        }
        return result.toString();
    }

    // malformed operators

    private static String repaired(String latex) {
        String text = parenthesesToBraces(latex, "^");
        text = parenthesesToBraces(text, "sqrt");
        text = text.replace(" sqrt", "\\sqrt");
        text = bracedLogarithms(text);
        text = bracedArguments(text, "\\frac", 2);
        text = bracedArguments(text, "\\sqrt", 1);
        return sloped(text);
    }

    /// `^(a)` means `^{a}`, and `sqrt(a)` means `\sqrt{a}`.
    private static String parenthesesToBraces(String text, String operator) {
        var result = new StringBuilder();
        int at = 0;
        while (true) {
            int found = text.indexOf(operator, at);
            if (found < 0) {
                return result.append(text, at, text.length()).toString();
            }
            int end = found + operator.length();
            int open = end < text.length() && Character.isWhitespace(text.charAt(end)) ? end + 1 : end;
            int close = open < text.length() && text.charAt(open) == '(' ? text.indexOf(')', open) : -1;
            if (close < 0) {
                result.append(text, at, end);
                at = end;
                continue;
            }
            boolean command = operator.equals("sqrt") && (found == 0 || text.charAt(found - 1) != '\\');
            result.append(text, at, found).append(command ? "\\" : "").append(operator).append('{').append(text, open + 1, close).append('}');
            at = close + 1;
        }
    }

    /// Puts braces around the arguments of an operator that are a single character. The second argument of `\frac` takes all digits when
    /// the first is a digit too: `\frac12` and `\frac125` are a half and a twenty-fifth.
    private static String bracedArguments(String text, String operator, int arguments) {
        var result = new StringBuilder();
        int at = 0;
        while (true) {
            int found = text.indexOf(operator, at);
            if (found < 0) {
                return result.append(text, at, text.length()).toString();
            }
            int end = found + operator.length();
            result.append(text, at, end);
            at = end;
            boolean afterDigit = false;
            for (int i = 0; i < arguments; i++) {
                int start = skipSpace(text, at);
                if (start >= text.length() || text.charAt(start) == '[' || isLetter(text.charAt(start)) && start == end && i == 0) {
                    break;
                }
                char c = text.charAt(start);
                if (c == '{') {
                    int close = braceEnd(text, start);
                    result.append(text, start, close);
                    at = close;
                } else if (c == '\\' || c == '}') {
                    break;
                } else {
                    int stop = start + 1;
                    while (i == 1 && afterDigit && isDigit(c) && stop < text.length() && isDigit(text.charAt(stop))) {
                        stop++;
                    }
                    result.append('{').append(text, start, stop).append('}');
                    afterDigit = isDigit(c);
                    at = stop;
                }
            }
        }
    }

    /// `\log_28` and `\log_2 8` are the logarithm of 8 to the base 2.
    private static String bracedLogarithms(String text) {
        var result = new StringBuilder();
        int from = 0;
        while (true) {
            int at = text.indexOf("\\log_", from);
            int base = at < 0 ? 0 : skipSpace(text, at + 5);
            int argument = base + 1 < text.length() ? skipSpace(text, base + 1) : text.length();
            int end = argument;
            while (end < text.length() && isDigit(text.charAt(end))) {
                end++;
            }
            if (at < 0 || end == argument || !isDigit(text.charAt(base))) {
                return result.append(text, from, text.length()).toString();
            }
            result.append(text, from, at).append("\\log_{").append(text.charAt(base)).append("}{").append(text, argument, end).append('}');
            from = end;
        }
    }

    private static int braceEnd(String text, int open) {
        int depth = 0;
        for (int i = open; i < text.length(); i++) {
            char c = text.charAt(i);
            depth += c == '{' ? 1 : c == '}' ? -1 : 0;
            if (depth == 0) {
                return i + 1;
            }
        }
        return text.length();
    }

    /// `a/b` of two integers and nothing else is a fraction.
    private static String sloped(String text) {
        int slash = text.indexOf('/');
        if (slash < 0 || !isInteger(text.substring(0, slash)) || !isInteger(text.substring(slash + 1))) {
            return text;
        }
        return "\\frac{" + text.substring(0, slash) + "}{" + text.substring(slash + 1) + "}";
    }

    private static boolean isInteger(String text) {
        String digits = text.startsWith("-") ? text.substring(1) : text;
        return !digits.isEmpty() && digits.chars().allMatch(c -> c >= '0' && c <= '9') && (digits.length() == 1 || digits.charAt(0) != '0');
    }

    private static int skipSpace(String text, int from) {
        int at = from;
        while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
            at++;
        }
        return at;
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    private static boolean isLetter(char c) {
        return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z';
    }

    private static boolean isWordPart(char c) {
        return Character.isLetterOrDigit(c) || c == '_';
    }
}
