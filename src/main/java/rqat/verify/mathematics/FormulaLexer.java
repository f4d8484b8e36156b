package rqat.verify.mathematics;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// Cuts normalised LaTeX into tokens, one letter a token. What is not part of the notation makes the whole text unreadable, so that half an
/// answer is never taken for the answer.
final class FormulaLexer {

    /// What a token is.
    enum Kind {
        /// `12`, `0.5`, `.5`.
        NUMBER,
        /// A number followed by a percent sign; the text is the number.
        PERCENT,
        /// `2E5`.
        SCIENTIFIC,
        /// A variable: a letter, a Greek letter, another symbol.
        LETTER,
        /// The letter `e`.
        EXPONENTIAL,
        /// A command with a text, as in `\text{cat}` or `\vec{a}`: name, colon, text.
        ACCENT,
        /// The name of a known function.
        FUNCTION,
        /// An operator, relation, bracket or separator in its usual spelling.
        SIGN,
        /// A set with a name.
        SET,
        /// Where a matrix begins or ends; the text is its kind.
        BEGIN, END
    }

    /// One token.
    record Token(Kind kind, String text) {
        boolean is(String sign) {
            return kind == Kind.SIGN && text.equals(sign);
        }
    }

    private static final int MAX_TOKENS = 4000;

    /// Commands and characters that are signs, by spelling.
    private static final Map<String, String> SIGNS = new HashMap<>();
    /// Commands that mean nothing.
    private static final Set<String> SPACES = Set.of(
            "thinspace", "medspace", "thickspace", "quad", "qquad", "negthinspace", "negmedspace", "negthickspace",
            "vrule", "vcenter", "vbox", "vskip", "vspace", "hfil");
    /// Function names, by spelling.
    private static final Map<String, String> FUNCTIONS = new HashMap<>();
    private static final Set<String> STRUCTURES = Set.of("operatorname", "emptyset", "begin", "end");
    private static final Set<String> LETTERS = Set.of(
            "alpha", "beta", "gamma", "Gamma", "delta", "Delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "Theta", "vartheta", "iota",
            "kappa", "lambda", "Lambda", "mu", "nu", "xi", "Xi", "omicron", "pi", "Pi", "varpi", "rho", "varrho", "sigma", "Sigma", "varsigma",
            "tau", "upsilon", "Upsilon", "phi", "Phi", "varphi", "chi", "psi", "Psi", "omega", "Omega", "infty", "wp", "nabla", "bigstar",
            "angle", "measuredangle", "triangle", "square", "ell", "hbar", "imath", "jmath", "Re", "Im", "prime", "varnothing", "Diamond",
            "complement", "diamondsuit", "clubsuit", "heartsuit", "spadesuit", "flat", "natural", "sharp", "blacksquare", "lozenge");
    private static final Set<String> ACCENTS = Set.of(
            "acute", "bar", "overline", "breve", "check", "widecheck", "dot", "ddot", "grave", "hat", "tilde", "widetilde", "vec",
            "overrightarrow", "bm", "boldsymbol", "text", "textit", "textbf", "textnormal", "mathbb", "mathbf", "mathcal", "mathfrak", "mathit",
            "mathnormal", "mathring", "mathrm", "mathscr", "mathsf", "mathtt", "mathop", "mathord", "mathrel", "mathbin", "mbox");
    private static final Map<String, String> SETS = Map.of(
            "ℕ", "N", "ℤ", "Z", "ℚ", "Q", "ℝ", "R", "ℂ", "C", "ℙ", "P", "∅", "");
    private static final Map<Character, String> GREEK = new HashMap<>();
    /// Words that the reference reserves for functions, so that the letters of a word such as `trace` are no product.
    private static final Set<String> RESERVED = Set.of(
            "arsinh", "arcsinh", "arcosh", "arccosh", "artanh", "arctanh", "gcd", "lcm", "floor", "ceil", "eye", "zeros", "ones", "cols", "rows",
            "diag", "norm", "rank", "trace", "tr", "rref", "hstack", "vstack", "orth", "nullspace", "eig", "svd", "SVD", "matrix");

    static {
        for (String function : new String[] {"lim", "int", "sum", "prod", "log", "ln", "exp", "sin", "cos", "tan", "csc", "sec", "cot", "arcsin",
            "arccos", "arctan", "arccsc", "arcsec", "arccot", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "sqrt", "gcd", "lcm", "floor",
            "ceil", "max", "min", "det", "frac", "binom"}) {
            FUNCTIONS.put(function, function);
        }
        FUNCTIONS.putAll(Map.of("arsinh", "arcsinh", "arcosh", "arccosh", "artanh", "arctanh", "dfrac", "frac", "tfrac", "frac", "cfrac", "frac",
                "tbinom", "binom", "dbinom", "binom"));
        spellings("+", "+", "∔", "⊕", "⊞");
        spellings("-", "-", "−", "∸");
        spellings("*", "*", "×", "⋅", "∗", "⋆", "∘", "∙", "⊗", "\\times", "\\cdot");
        spellings("/", "/", "÷", "∕", "\\over", "\\div");
        spellings("(", "(", "\\(", "\\lgroup");
        spellings(")", ")", "\\)", "\\rgroup");
        spellings("[", "[", "\\lbrack");
        spellings("]", "]", "\\rbrack");
        spellings("{", "{");
        spellings("}", "}");
        spellings("\\{", "\\{", "\\lbrace");
        spellings("\\}", "\\}", "\\rbrace");
        spellings("|", "|", "\\vert");
        spellings("=", "=", "==", "≡", "\\equiv", "≔");
        spellings("≈", "~=", "≈", "≃", "≅", "\\approx");
        spellings("<", "<", "\\lt");
        spellings("≤", "<=", "≤", "≦", "\\le", "\\leq", "\\leqslant");
        spellings(">", ">", "\\gt");
        spellings("≥", ">=", "≥", "≧", "\\ge", "\\geq", "\\geqslant");
        spellings("≠", "!=", "!==", "≠", "\\ne", "\\neq");
        spellings("±", "±", "∓", "\\pm", "\\mp");
        spellings("∪", "∪", "\\cup");
        spellings("∩", "∩", "\\cap");
        spellings("∖", "∖", "\\setminus");
        spellings("∈", "\\in");
        spellings("∉", "∉", "\\notin");
        spellings("→", "\\to", "\\rightarrow", "\\Rightarrow", "\\longrightarrow", "\\Longrightarrow");
        spellings("degree", "\\circ", "\\degree", "°");
        spellings("lvert", "\\lvert");
        spellings("rvert", "\\rvert");
        spellings("lfloor", "\\lfloor", "\\llcorner");
        spellings("rfloor", "\\rfloor", "\\lrcorner");
        spellings("lceil", "\\lceil", "\\ulcorner");
        spellings("rceil", "\\rceil", "\\urcorner");
        spellings("top", "\\top");
        for (String same : new String[] {"\\|", "\\langle", "\\rangle", "\\mod", "\\choose", "\\boxed", "\\phantom", "\\partial",
            "&", "\\\\", "_", "^", ":", ";", ",", "!", "'"}) {
            spellings(same, same);
        }
        String[] greek = {"αalpha", "βbeta", "γgamma", "δdelta", "Δdelta", "εepsilon", "ζzeta", "ηeta", "θtheta", "ιiota", "κkappa", "λlambda", "μmu",
            "νnu", "ξxi", "πpi", "ρrho", "σsigma", "Σsigma", "τtau", "υupsilon", "φphi", "Φphi", "χchi", "ψpsi", "ωomega", "Ωomega"};
        for (String letter : greek) {
            GREEK.put(letter.charAt(0), letter.substring(1));
        }
    }

    private final String text;
    private final List<Token> tokens = new ArrayList<>();
    private int at;

    private FormulaLexer(String text) {
        this.text = text;
    }

    private static void spellings(String sign, String... spellings) {
        for (String spelling : spellings) {
            SIGNS.put(spelling, sign);
        }
    }

    /// The tokens of a formula.
    ///
    /// @throws Unreadable when something is not part of the notation
    static List<Token> read(String text) {
        var lexer = new FormulaLexer(text);
        while (lexer.at < text.length()) {
            lexer.next();
            if (lexer.tokens.size() > MAX_TOKENS) {
                throw new Unreadable("formula too long");
            }
        }
        return lexer.tokens;
    }

    private void next() {
        char c = text.charAt(at);
        if (isSpace(c)) {
            at++;
        } else if (isDigit(at) || c == '.' && isDigit(at + 1)) {
            number();
        } else if (c == '\\') {
            command();
        } else if (isLetter(c)) {
            letters();
        } else if (GREEK.containsKey(c)) {
            at++;
            add(Kind.LETTER, GREEK.get(c));
        } else if (c == '∞') {
            at++;
            add(Kind.LETTER, "infty");
        } else if (SETS.containsKey(String.valueOf(c))) {
            at++;
            add(Kind.SET, SETS.get(String.valueOf(c)));
        } else {
            sign();
        }
    }

    private void number() {
        int start = at;
        at = digitsEnd(at);
        if (charAt(at) == '.' && isDigit(at + 1)) {
            at = digitsEnd(at + 1);
        }
        String number = text.substring(start, at);
        int afterSpace = at + (at < text.length() && isSpace(text.charAt(at)) ? 1 : 0);
        int sign = charAt(at + 1) == '-' || charAt(at + 1) == '+' ? 1 : 0;
        if (charAt(at) == 'E' && isDigit(at + 1 + sign)) {
            int end = digitsEnd(at + 1 + sign);
            add(Kind.SCIENTIFIC, number + "e" + (charAt(at + 1) == '-' ? "-" : "") + text.substring(at + 1 + sign, end));
            at = end;
        } else if (charAt(afterSpace) == '%' || text.startsWith("\\%", afterSpace)) {
            at = afterSpace + (charAt(afterSpace) == '%' ? 1 : 2);
            add(Kind.PERCENT, number);
        } else {
            add(Kind.NUMBER, number);
        }
    }

    private void letters() {
        int end = at;
        while (isLetter(charAt(end)) && end - at < 10) {
            end++;
        }
        for (int length = end - at; length > 1; length--) {
            if (RESERVED.contains(text.substring(at, at + length))) {
                throw new Unreadable("reserved word");
            }
        }
        char c = text.charAt(at++);
        if (c == 'd') {
            differential();
        } else {
            add(c == 'e' ? Kind.EXPONENTIAL : Kind.LETTER, String.valueOf(c));
        }
    }

    /// `dx` is one variable.
    private void differential() {
        int next = at;
        while (next < text.length() && isSpace(text.charAt(next))) {
            next++;
        }
        int end = next;
        if (charAt(next) == '\\' && isLetter(charAt(next + 1))) {
            end = commandEnd(next + 1);
            String name = text.substring(next + 1, end);
            if (!LETTERS.contains(name)) {
                end = next;
            }
        } else if (isLetter(charAt(next))) {
            end = next + 1;
        }
        add(Kind.LETTER, end > next ? "d" + text.substring(next, end).replace("\\", "") : "d");
        at = end > next ? end : at;
    }

    /// A command may run into a letter behind it, as in `\quadx`: the longest name that is known counts.
    private void command() {
        int end = commandEnd(at + 1);
        if (end == at + 1) {
            escape();
            return;
        }
        while (end > at + 1 && !isKnown(text.substring(at + 1, end))) {
            end--;
        }
        if (end == at + 1) {
            throw new Unreadable("unknown command");
        }
        String name = text.substring(at + 1, end);
        at = end;
        String sign = SIGNS.get("\\" + name);
        if (sign != null) {
            add(Kind.SIGN, sign);
        } else if (FUNCTIONS.containsKey(name)) {
            add(Kind.FUNCTION, FUNCTIONS.get(name));
        } else if (LETTERS.contains(name)) {
            add(Kind.LETTER, name);
        } else if (ACCENTS.contains(name)) {
            accent(name);
        } else {
            switch (name) {
                case "operatorname" -> operatorName();
                case "emptyset" -> add(Kind.SET, "");
                case "begin", "end" -> environment(name);
                default -> { }
            }
        }
    }

    private static boolean isKnown(String name) {
        return SIGNS.containsKey("\\" + name) || FUNCTIONS.containsKey(name) || LETTERS.contains(name) || ACCENTS.contains(name) || SPACES.contains(name)
                || STRUCTURES.contains(name);
    }

    private void escape() {
        char c = charAt(at + 1);
        if (",:;!$".indexOf(c) >= 0 && c != 0) {
            at += 2;
        } else if (text.startsWith("\\{\\}", at)) {
            at += 4;
            add(Kind.SET, "");
        } else if ("{}|\\()".indexOf(c) >= 0 && c != 0) {
            at += 2;
            add(Kind.SIGN, SIGNS.get("\\" + c));
        } else {
            throw new Unreadable("unknown escape");
        }
    }

    private void accent(String name) {
        int open = at + (at < text.length() && isSpace(text.charAt(at)) ? 1 : 0);
        if (name.equals("mathbb") && "NZQRCP".indexOf(charAt(open)) >= 0 && !isLetter(charAt(open + 1))) {
            add(Kind.SET, String.valueOf(text.charAt(open)));
            at = open + 1;
            return;
        }
        int close = open;
        while (close < text.length() && (text.charAt(close) != '}' || text.charAt(close - 1) == '\\')) {
            close++;
        }
        if (charAt(open) != '{' || close == text.length()) {
            throw new Unreadable("accent");
        }
        String content = text.substring(open + 1, close).strip();
        at = close + 1;
        if (name.equals("mathbb") && content.length() == 1 && "NZQRCP".contains(content)) {
            add(Kind.SET, content);
        } else {
            add(Kind.ACCENT, name + ":" + content);
        }
    }

    private void operatorName() {
        int close = text.indexOf('}', at);
        String name = charAt(at) == '{' && close > at ? text.substring(at + 1, close).strip() : "";
        if (!FUNCTIONS.containsKey(name)) {
            throw new Unreadable("unknown operator");
        }
        at = close + 1;
        add(Kind.FUNCTION, FUNCTIONS.get(name));
    }

    private void environment(String command) {
        skipSpace();
        int close = text.indexOf('}', at);
        boolean braces = charAt(at) == '{' && close > 0;
        int end = braces ? close : commandEnd(at);
        String name = text.substring(braces ? at + 1 : at, end).strip();
        at = braces ? close + 1 : end;
        switch (name) {
            case "matrix", "pmatrix", "bmatrix", "vmatrix" -> add(command.equals("begin") ? Kind.BEGIN : Kind.END, name);
            case "array" -> {
                if (command.equals("begin")) {
                    skipSpace();
                    int columns = text.indexOf('}', at);
                    if (charAt(at) != '{' || columns < 0 || !text.substring(at + 1, columns).chars().allMatch(c -> "clr".indexOf(c) >= 0)) {
                        throw new Unreadable("array");
                    }
                    at = columns + 1;
                }
                add(command.equals("begin") ? Kind.BEGIN : Kind.END, name);
            }
            default -> throw new Unreadable("environment");
        }
    }

    private void sign() {
        for (int length = 3; length >= 1; length--) {
            String sign = at + length <= text.length() ? SIGNS.get(text.substring(at, at + length)) : null;
            if (sign != null) {
                at += length;
                add(Kind.SIGN, sign);
                return;
            }
        }
        throw new Unreadable("unknown character");
    }

    private void add(Kind kind, String tokenText) {
        tokens.add(new Token(kind, tokenText));
    }

    private int commandEnd(int from) {
        int end = from;
        while (isLetter(charAt(end))) {
            end++;
        }
        return end;
    }

    private int digitsEnd(int from) {
        int end = from;
        while (isDigit(end)) {
            end++;
        }
        return end;
    }

    private void skipSpace() {
        while (at < text.length() && isSpace(text.charAt(at))) {
            at++;
        }
    }

    private char charAt(int index) {
        return index < text.length() ? text.charAt(index) : 0;
    }

    private boolean isDigit(int index) {
        return charAt(index) >= '0' && charAt(index) <= '9';
    }

    private static boolean isLetter(char c) {
        return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z';
    }

    private static boolean isSpace(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
    }
}
