package rqat.verify.mathematics;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.LatexTokens.Kind;
import rqat.verify.mathematics.LatexTokens.Token;

/// Reads the text of one answer: lists, tuples and intervals, named values, plus-minus pairs, then exact numbers with their units, and
/// for everything else the normalised text. Any text up to [#MAX_LENGTH] is an answer.
final class AnswerParser {

    /// Longer texts are not answers.
    static final int MAX_LENGTH = 10_000;

    private static final int MAX_DEPTH = 32;
    private static final int MAX_ELEMENTS = 100;
    private static final int LONGEST_INTRODUCTION = 8;
    private static final Set<String> PUNCTUATION = Set.of(".", ",", ";", ":");
    private static final Set<String> OPENING = Set.of("(", "[", "{", "\\{");
    private static final Set<String> CLOSING = Set.of(")", "]", "}", "\\}");
    private static final Set<String> RELATIONS = Set.of("<", ">", "\\le", "\\ge", "\\ne", "\\not", "\\pm");

    /// Commands that stand for something unknown.
    private static final Set<String> UNKNOWNS = Set.of("\\angle", "\\triangle", "\\ldots", "\\cdots", "\\dots", "\\theta", "\\alpha", "\\beta");

    private final Budget budget;

    private AnswerParser(Budget budget) {
        this.budget = budget;
    }

    /// Reads an answer.
    ///
    /// @throws Budget.Exhausted when it costs too many steps
    static Answer parse(String text, Budget budget) {
        return new AnswerParser(budget).answer(LatexTokens.read(text, true), 0);
    }

    /// Reads an answer whose commas all separate: `100,200,300` may be one number or three, and only the other side knows.
    ///
    /// @throws Budget.Exhausted when it costs too many steps
    static Answer parseAsList(String text, Budget budget) {
        return new AnswerParser(budget).answer(LatexTokens.read(text, false), 0);
    }

    private Answer answer(List<Token> written, int depth) {
        List<Token> tokens = trim(written);
        budget.spend(1 + tokens.size() / 8);
        if (tokens.isEmpty() || depth > MAX_DEPTH) {
            return text(tokens);
        }
        Outline outline = Outline.of(tokens);
        if (!outline.separators.isEmpty()) {
            return list("", "", tokens, outline.separators, depth);
        }
        if (!outline.relations.isEmpty()) {
            return named(tokens, outline, depth);
        }
        if (outline.enclosed) {
            Answer inner = enclosed(tokens, depth);
            if (inner != null) {
                return inner;
            }
        }
        if (outline.plusMinus >= 0) {
            return plusMinus(tokens, outline.plusMinus, depth);
        }
        return NumberParser.parse(tokens, budget) instanceof Answer.Number number ? number : text(tokens);
    }

    private static List<Token> trim(List<Token> tokens) {
        int end = tokens.size();
        while (end > 0 && tokens.get(end - 1).kind() == Kind.SYMBOL && PUNCTUATION.contains(tokens.get(end - 1).text())) {
            end--;
        }
        int start = end > 1 && tokens.getFirst().is("\\approx") ? 1 : 0;
        while (end - start > 2 && tokens.get(start).is("*") && tokens.get(end - 1).is("*")) {
            // `**29**`
            start++;
            end--;
        }
        return tokens.subList(start + introduction(tokens.subList(start, end)), end);
    }

    /// The length of `the answer is` or `Answer:` in front of an answer; 0 where there is none, or nothing behind it.
    private static int introduction(List<Token> tokens) {
        boolean announced = false;
        for (int i = 0; i < tokens.size() - 1 && i < LONGEST_INTRODUCTION; i++) {
            Token token = tokens.get(i);
            String word = token.text().toLowerCase(Locale.ROOT);
            boolean ends = announced && (word.equals("is") || word.equals("equals") || token.is(":") || token.is("="));
            if (ends) {
                return i + 1;
            }
            if (!token.isWord()) {
                return 0;
            }
            announced |= word.equals("answer") || word.equals("result");
        }
        return 0;
    }

    private static Answer.Text text(List<Token> tokens) {
        int choose = Outline.of(tokens).choose;
        if (choose < 0) {
            return new Answer.Text(LatexTokens.join(tokens));
        }
        // What is above and below it ends where the whole ends, whose braces are gone by now.
        return new Answer.Text("\\binom { " + LatexTokens.join(tokens.subList(0, choose)) + " } { "
                + LatexTokens.join(tokens.subList(choose + 1, tokens.size())) + " }");
    }

    private Answer list(String open, String close, List<Token> tokens, List<Integer> separators, int depth) {
        if (separators.size() >= MAX_ELEMENTS) {
            return text(tokens);
        }
        var elements = new ArrayList<Answer>();
        int start = 0;
        for (int i = 0; i <= separators.size(); i++) {
            int end = i < separators.size() ? separators.get(i) : tokens.size();
            Answer element = answer(tokens.subList(start, end), depth + 1);
            if (element instanceof Answer.Sequence sequence && sequence.isBare()) {
                elements.addAll(sequence.elements());
            } else if (!element.isEmpty()) {
                elements.add(element);
            }
            start = end + 1;
        }
        boolean one = elements.stream().distinct().count() == 1; // `4 or 4` too
        return open.isEmpty() && one ? elements.getFirst() : new Answer.Sequence(open, close, List.copyOf(elements));
    }

    /// A tuple, interval or set; a single value in braces; a letter in parentheses, as choices are written. Null for a parenthesised
    /// expression.
    private @Nullable Answer enclosed(List<Token> tokens, int depth) {
        String open = tokens.getFirst().text();
        String close = tokens.getLast().text();
        List<Token> inside = tokens.subList(1, tokens.size() - 1);
        Outline outline = Outline.of(inside);
        boolean braces = open.endsWith("{") && close.endsWith("}");
        if (inside.isEmpty() && open.equals("\\{") && close.equals("\\}")) {
            return new Answer.Text("\\emptyset");
        }
        if (!outline.separators.isEmpty()) {
            boolean grouping = open.equals("{") && close.equals("}");
            return list(grouping ? "" : open, grouping ? "" : close, inside, outline.separators, depth + 1);
        }
        boolean letter = open.equals("(") && inside.size() == 1 && inside.getFirst().isWord();
        return braces || letter ? answer(inside, depth + 1) : null;
    }

    /// `name = value`: the value behind the last relation sign, or the other way round. A name is made of symbols: a letter, `f(2)`, `AB^2`, and
    /// sums and products of such, with numbers among them where there are several letters (`10a + b`); an equation in one unknown such as
    /// `2x + 1 = 5` stays a text, so that it cannot pass for its right side. A chain is its value only if it holds: every value in it that
    /// can be calculated must be the last one (`2 + 3 = 5`, `\log_2 8 = 3`, but not `2 + 4 = 5`).
    private Answer named(List<Token> tokens, Outline outline, int depth) {
        List<List<Token>> sides = sides(tokens, outline.relations);
        if (sides.stream().anyMatch(List::isEmpty)) {
            return text(tokens);
        }
        List<Token> left = sides.getFirst();
        List<Token> right = sides.getLast();
        if (sides.size() == 2 && !isSymbol(left) && (isSymbol(right) || calculated(left) != null && calculated(right) == null && isName(right))) {
            left = sides.getLast();
            right = sides.getFirst();
        }
        Answer value = answer(right, depth + 1);
        if (value.isEmpty()) {
            return text(tokens);
        }
        boolean calculation = false;
        for (List<Token> side : sides) {
            Answer calculated = side == right ? null : calculated(side);
            if (calculated != null && !Equality.equal(calculated, value, budget)) {
                return text(tokens);
            }
            calculation |= calculated != null;
        }
        if (calculation) {
            return value;
        }
        return isName(left) ? new Answer.Named(LatexTokens.join(left), value) : text(tokens);
    }

    private static List<List<Token>> sides(List<Token> tokens, List<Integer> relations) {
        var sides = new ArrayList<List<Token>>();
        int start = 0;
        for (int relation : relations) {
            sides.add(tokens.subList(start, relation));
            start = relation + 1;
        }
        sides.add(tokens.subList(start, tokens.size()));
        return sides;
    }

    /// A variable, perhaps with an index.
    private static boolean isSymbol(List<Token> tokens) {
        boolean letter = tokens.getFirst().kind() == Kind.LETTERS && tokens.getFirst().text().length() == 1;
        return letter && (tokens.size() == 1 || tokens.get(1).is("_") && tokens.size() <= 5);
    }

    /// What one side of a chain says where it has no unknown in it; null for any other.
    private @Nullable Answer calculated(List<Token> side) {
        Answer.Number number = NumberParser.parse(side, budget);
        boolean letters = side.stream().anyMatch(token -> token.isWord() || token.text().length() > 2 && UNKNOWNS.contains(token.text()));
        if (number != null || letters || side.stream().noneMatch(token -> token.kind() == Kind.NUMBER)) {
            return number;
        }
        Answer.Text text = text(side);
        return FormulaEquality.isConstant(text, budget) ? text : null;
    }

    private static boolean isName(List<Token> left) {
        boolean several = left.stream().filter(Token::isWord).map(Token::text).distinct().count() > 1;
        int depth = 0;
        for (int i = 0; i < left.size(); i++) {
            Token token = left.get(i);
            if (token.kind() == Kind.SYMBOL && OPENING.contains(token.text())) {
                depth++;
            } else if (token.kind() == Kind.SYMBOL && CLOSING.contains(token.text())) {
                depth--;
            } else if (depth == 0) {
                boolean index = i > 0 && (left.get(i - 1).is("_") || left.get(i - 1).is("^"));
                if (token.kind() == Kind.NUMBER && !index && !several || RELATIONS.contains(token.text())) {
                    return false;
                }
            }
        }
        return true;
    }

    private Answer plusMinus(List<Token> tokens, int at, int depth) {
        var elements = new ArrayList<Answer>();
        for (String sign : List.of("+", "-")) {
            var signed = new ArrayList<>(tokens);
            signed.set(at, new Token(Kind.SYMBOL, sign));
            elements.add(answer(signed, depth + 1));
        }
        return new Answer.Sequence("", "", List.copyOf(elements));
    }

    /// Where the marks outside all brackets are. Round and square brackets close each other, as in half-open intervals.
    private static final class Outline {

        /// Commas, semicolons and the words `and`, `or`.
        private final List<Integer> separators = new ArrayList<>();
        /// Every `=` and `\in`.
        private final List<Integer> relations = new ArrayList<>();
        /// The only plus-minus sign, or -1.
        private int plusMinus = -1;
        /// Whether one pair of brackets holds everything.
        private boolean enclosed;
        /// The first `\choose`, or -1.
        private int choose = -1;

        static Outline of(List<Token> tokens) {
            var outline = new Outline();
            int depth = 0;
            int plusMinusCount = 0;
            boolean reachedBottom = false;
            for (int i = 0; i < tokens.size(); i++) {
                Token token = tokens.get(i);
                boolean symbol = token.kind() == Kind.SYMBOL;
                if (symbol && OPENING.contains(token.text())) {
                    depth++;
                } else if (symbol && CLOSING.contains(token.text())) {
                    depth--;
                } else if (depth == 0 && isSeparator(token)) {
                    outline.separators.add(i);
                } else if (depth == 0 && (token.is("=") || token.is("\\in"))) {
                    outline.relations.add(i);
                } else if (depth == 0 && token.is("\\pm")) {
                    outline.plusMinus = i;
                    plusMinusCount++;
                }
                if (outline.choose < 0 && depth == 0 && token.is("\\choose")) {
                    outline.choose = i;
                }
                reachedBottom |= depth == 0 && i < tokens.size() - 1;
            }
            outline.plusMinus = plusMinusCount == 1 ? outline.plusMinus : -1;
            outline.enclosed = tokens.size() >= 2 && !reachedBottom && depth == 0;
            return outline;
        }

        private static boolean isSeparator(Token token) {
            return token.is(",") || token.is(";")
                    || token.isWord() && (token.text().equalsIgnoreCase("and") || token.text().equalsIgnoreCase("or"));
        }
    }
}
