package rqat.text.jinja;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Cuts a template into tokens, with the white-space rules that chat templates are written for: `trim_blocks` (a newline after a block or
/// comment belongs to it), `lstrip_blocks` (so do the spaces before it on its line), and the explicit `-` and `+` marks.
final class JinjaLexer {

    enum Kind {
        TEXT,
        VARIABLE_BEGIN,
        VARIABLE_END,
        BLOCK_BEGIN,
        BLOCK_END,
        NAME,
        STRING,
        INTEGER,
        FLOAT,
        OPERATOR,
        END
    }

    /// `text` is the literal text, the name, the operator, the digits, or the value of a string.
    record Token(Kind kind, String text, int line) {
        boolean is(Kind kind, String text) {
            return this.kind == kind && this.text.equals(text);
        }
    }

    private static final Pattern BEGIN = pattern("\\{[%{#]([-+]?)");
    private static final Pattern RAW = pattern("\\{%[-+]?\\s*raw\\s*(?:-%\\}\\s*|%\\})");
    private static final Pattern END_RAW = pattern("\\{%([-+]?)\\s*endraw\\s*(?:\\+%\\}|-%\\}\\s*|%\\}\\n?)");
    private static final Pattern END_COMMENT = pattern("\\+#\\}|-#\\}\\s*|#\\}\\n?");
    private static final Pattern END_BLOCK = pattern("\\+%\\}|-%\\}\\s*|%\\}\\n?");
    private static final Pattern END_VARIABLE = pattern("-\\}\\}\\s*|\\}\\}");
    private static final Pattern SPACE = pattern("\\s+");
    private static final Pattern NAME = pattern("[\\p{L}_][\\p{L}\\p{N}_]*");
    private static final Pattern FLOAT = pattern("[0-9]+(?:\\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)");
    private static final Pattern INTEGER = pattern("[0-9]+");
    private static final Pattern OPERATOR = pattern("\\*\\*|//|==|!=|<=|>=|[-+*/%~()\\[\\]{}<>=.:|,]");

    private final String source;
    private final List<Token> tokens = new ArrayList<>();
    private int position;
    private int line = 1;
    /// Whether what was consumed last ended a line.
    private boolean lineStarting = true;

    private JinjaLexer(String source) {
        this.source = source;
    }

    /// The tokens of `template`, ending with [Kind#END].
    static List<Token> tokens(String template) {
        String source = template.replaceAll("\\r\\n?", "\n");
        // As Jinja does by default: one newline at the very end is not part of the template.
        return new JinjaLexer(source.endsWith("\n") ? source.substring(0, source.length() - 1) : source).tokens();
    }

    private List<Token> tokens() {
        Matcher begin = BEGIN.matcher(source);
        while (begin.find(position)) {
            char kind = source.charAt(begin.start() + 1);
            text(begin, kind == '{');
            int opened = line;
            if (kind == '#') {
                consume(begin);
                find(END_COMMENT, "a comment", opened);
            } else if (kind == '{') {
                add(Kind.VARIABLE_BEGIN, consume(begin));
                inside(END_VARIABLE, Kind.VARIABLE_END, opened);
            } else if (at(RAW) instanceof Matcher raw) {
                consume(raw);
                Matcher end = END_RAW.matcher(source);
                if (!end.find(position)) {
                    throw new JinjaError(opened, "the raw block is never closed");
                }
                text(end, false);
                consume(end);
            } else {
                add(Kind.BLOCK_BEGIN, consume(begin));
                inside(END_BLOCK, Kind.BLOCK_END, opened);
            }
        }
        if (position < source.length()) {
            add(Kind.TEXT, source.substring(position));
        }
        add(Kind.END, "end of template");
        return tokens;
    }

    /// Adds the literal text before the tag at `tag`, less the white space that the tag claims, and moves there.
    private void text(Matcher tag, boolean variable) {
        String text = source.substring(position, tag.start());
        int kept = text.length();
        int lineStart = text.lastIndexOf('\n') + 1;
        if (tag.group(1).equals("-")) {
            kept = PythonValues.strip(text, null, false, true).length();
        } else if (tag.group(1).isEmpty() && !variable && (lineStart > 0 || lineStarting)
                && PythonValues.strip(text.substring(lineStart), null, false, true).isEmpty()) {
            kept = lineStart;
        }
        if (kept > 0) {
            add(Kind.TEXT, text.substring(0, kept));
        }
        advance(tag.start());
    }

    /// Tokens up to `end`, which counts only outside brackets.
    private void inside(Pattern end, Kind endKind, int opened) {
        Deque<Character> brackets = new ArrayDeque<>();
        while (position < source.length()) {
            if (brackets.isEmpty() && at(end) instanceof Matcher matcher) {
                add(endKind, consume(matcher));
                return;
            }
            if (at(SPACE) instanceof Matcher space) {
                consume(space);
            } else if (source.charAt(position - 1) != '.' && at(FLOAT) instanceof Matcher number) {
                add(Kind.FLOAT, number);
            } else if (at(INTEGER) instanceof Matcher number) {
                add(Kind.INTEGER, number);
            } else if (at(NAME) instanceof Matcher name) {
                add(Kind.NAME, name);
            } else if (source.charAt(position) == '"' || source.charAt(position) == '\'') {
                string();
            } else if (at(OPERATOR) instanceof Matcher operator) {
                bracket(brackets, operator.group().charAt(0));
                add(Kind.OPERATOR, operator);
            } else {
                throw new JinjaError(line, "unexpected '" + Character.toString(source.codePointAt(position)) + "'");
            }
        }
        throw new JinjaError(opened, "the tag is never closed");
    }

    private void bracket(Deque<Character> brackets, char c) {
        switch (c) {
            case '(' -> brackets.push(')');
            case '[' -> brackets.push(']');
            case '{' -> brackets.push('}');
            case ')', ']', '}' -> {
                if (brackets.isEmpty() || brackets.pop() != c) {
                    throw new JinjaError(line, "unexpected '" + c + "'");
                }
            }
            default -> {}
        }
    }

    /// A quoted string with Python's escapes.
    private void string() {
        int opened = line;
        char quote = source.charAt(position);
        StringBuilder value = new StringBuilder();
        int i = position + 1;
        while (i < source.length() && source.charAt(i) != quote) {
            char c = source.charAt(i++);
            if (c != '\\' || i == source.length()) {
                value.append(c);
                continue;
            }
            char escape = source.charAt(i++);
            switch (escape) {
                case '\n' -> {}
                case '\\', '\'', '"' -> value.append(escape);
                case 'a' -> value.append('\u0007');
                case 'b' -> value.append('\b');
                case 'f' -> value.append('\f');
                case 'n' -> value.append('\n');
                case 'r' -> value.append('\r');
                case 't' -> value.append('\t');
                case 'v' -> value.append('\u000B');
                case 'x' -> i = codePoint(value, i, 2);
                case 'u' -> i = codePoint(value, i, 4);
                case 'U' -> i = codePoint(value, i, 8);
                case 'N', '0', '1', '2', '3', '4', '5', '6', '7' ->
                    throw new JinjaError(line, "the escape \\" + escape + " is not supported");
                default -> value.append('\\').append(escape);
            }
        }
        if (i >= source.length()) {
            throw new JinjaError(opened, "the string is never closed");
        }
        add(Kind.STRING, value.toString());
        advance(i + 1);
    }

    private int codePoint(StringBuilder value, int start, int digits) {
        try {
            value.appendCodePoint(Integer.parseUnsignedInt(source, start, start + digits, 16));
            return start + digits;
        } catch (IndexOutOfBoundsException | IllegalArgumentException e) {
            throw new JinjaError(line, "an escape needs " + digits + " hexadecimal digits of a character");
        }
    }

    /// The match of `pattern` exactly here, or null.
    private @Nullable Matcher at(Pattern pattern) {
        Matcher matcher = pattern.matcher(source).region(position, source.length());
        return matcher.lookingAt() ? matcher : null;
    }

    private void find(Pattern pattern, String what, int opened) {
        Matcher matcher = pattern.matcher(source);
        if (!matcher.find(position)) {
            throw new JinjaError(opened, what + " is never closed");
        }
        consume(matcher);
    }

    private void add(Kind kind, Matcher matcher) {
        add(kind, matcher.group());
        consume(matcher);
    }

    private void add(Kind kind, String text) {
        tokens.add(new Token(kind, text, line));
    }

    private String consume(Matcher matcher) {
        advance(matcher.end());
        lineStarting = matcher.group().endsWith("\n");
        return matcher.group();
    }

    private void advance(int to) {
        for (; position < to; position++) {
            if (source.charAt(position) == '\n') {
                line++;
            }
        }
    }

    private static Pattern pattern(String expression) {
        return Pattern.compile(expression, Pattern.UNICODE_CHARACTER_CLASS);
    }
}
