package rqat.text;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import rqat.Failure;

/// Cuts text into the pieces that are merged on their own (words, digits, runs of spaces), by one or more regular expressions in turn.
///
/// The expressions of tokenizer.json are Oniguruma's. [#translate] accepts the subset that means the same to java.util.regex and refuses
/// the rest; a step budget and the caught stack overflow keep a hostile expression from hanging or killing the process.
final class PreTokenizer {

    /// One cut: matches are pieces, and so are the gaps between them unless `matchesOnly`.
    record Split(Pattern pattern, boolean matchesOnly) {}

    /// A piece, `start` to `end` of the text.
    record Piece(int start, int end) {}

    /// Escapes and property names of the common subset, then the same inside a character class and outside it.
    private static final String ESCAPE = "\\\\(?:[rntsSdD]|[pP]\\{\\^?[A-Z][a-z]?\\}|[^\\p{Alnum}])";

    private static final String CLASS = "\\[\\^?(?:[^\\[\\]\\\\&]|&(?!&)|" + ESCAPE + ")+\\]";
    private static final Pattern COMMON_SUBSET = Pattern.compile("(?:" + CLASS + "|" + ESCAPE
            + "|\\((?!\\?)|\\(\\?(?:i?:|[=!>]|<[=!])|[)|?*+]|\\{\\d+\\}(?![+?])|\\{\\d+,\\d*\\}(?!\\+)|[^\\\\\\[\\](){}?*+|.^$])*+");

    private static final int MAXIMUM_LENGTH = 2_000;

    /// Steps allowed for one text: far above what the published expressions need (about 10 per character).
    private static final long STEPS_PER_CHARACTER = 1_000;

    /// The expression that a ByteLevel pre-tokenizer brings along (GPT-2).
    static final Pattern GPT2 =
            translate("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");

    private final List<Split> splits;

    PreTokenizer(List<Split> splits) {
        this.splits = List.copyOf(splits);
    }

    /// The Java form of an Oniguruma expression.
    ///
    /// @throws IllegalArgumentException when it is malformed or uses what the two engines understand differently
    static Pattern translate(String expression) {
        if (expression.length() > MAXIMUM_LENGTH || !COMMON_SUBSET.matcher(expression).matches()) {
            throw new IllegalArgumentException("uses constructs outside the subset that rqat understands");
        }
        return Pattern.compile(
                expression.replaceAll("\\\\p\\{\\^", "\\\\P{"),
                Pattern.UNICODE_CASE | Pattern.UNICODE_CHARACTER_CLASS | Pattern.UNIX_LINES);
    }

    /// The pieces of `text` between `from` and `to`, in order and without empty ones; what lies outside is not looked at.
    List<Piece> pieces(String text, int from, int to) {
        List<Piece> pieces = List.of(new Piece(from, to));
        for (Split split : splits) {
            List<Piece> finer = new ArrayList<>();
            for (Piece piece : pieces) {
                cut(text, piece, split, finer);
            }
            pieces = finer;
        }
        return pieces;
    }

    private static void cut(String text, Piece piece, Split split, List<Piece> pieces) {
        Matcher matcher = split.pattern.matcher(new Metered(text.substring(piece.start, piece.end)));
        int done = piece.start;
        try {
            while (matcher.find()) {
                int start = piece.start + matcher.start();
                int end = piece.start + matcher.end();
                if (!split.matchesOnly && done < start) {
                    pieces.add(new Piece(done, start));
                }
                if (start < end) {
                    pieces.add(new Piece(start, end));
                }
                done = end;
            }
        } catch (StackOverflowError e) {
            throw Failure.badFile("tokenizer.json: the split expression needs too much stack on a text of "
                    + (piece.end - piece.start) + " characters: " + split.pattern, e);
        }
        if (!split.matchesOnly && done < piece.end) {
            pieces.add(new Piece(done, piece.end));
        }
    }

    /// Text that counts how often the regular-expression engine looks at it, which is the only brake that engine offers.
    private static final class Metered implements CharSequence {
        private final String text;
        private long steps;

        Metered(String text) {
            this.text = text;
            this.steps = 100_000 + STEPS_PER_CHARACTER * text.length();
        }

        @Override
        public char charAt(int index) {
            if (--steps < 0) {
                throw Failure.badFile("tokenizer.json: the split expression backtracks without end on a text of "
                        + text.length() + " characters; expected an expression that takes linear time");
            }
            return text.charAt(index);
        }

        @Override
        public int length() {
            return text.length();
        }

        @Override
        public CharSequence subSequence(int start, int end) {
            return text.subSequence(start, end);
        }

        @Override
        public String toString() {
            return text;
        }
    }
}
