package rqat.verify.mathematics;

import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.verify.mathematics.AnswerExtractor.Boxed;

/// A reference answer, parsed once for many completions.
public final class Gold {

    private final String text;
    private final @Nullable Answer answer;

    private Gold(String text, @Nullable Answer answer) {
        this.text = text;
        this.answer = answer;
    }

    /// Reads a reference answer as data sets publish it: a whole solution whose answer is its last `\boxed{}` (MATH), a solution that
    /// ends in `#### 42` (GSM8K), or the answer itself with or without dollar signs (AIME, NuminaMath). Bare LaTeX needs no wrapping.
    public static Gold of(String published) {
        String text = published;
        if (AnswerExtractor.lastBoxed(published, 0) instanceof Boxed.Content(String content)) {
            text = content;
        } else if (published.lastIndexOf("####") >= 0) {
            text = published.substring(published.lastIndexOf("####") + 4);
        }
        text = text.strip();
        if (text.length() > AnswerParser.MAX_LENGTH) {
            return new Gold(text, null);
        }
        try {
            Answer answer = AnswerParser.parse(text, new Budget());
            return new Gold(text, answer.isEmpty() ? null : answer);
        } catch (Budget.Exhausted e) {
            return new Gold(text, null);
        }
    }

    /// Whether anything can match this answer. It is false for an empty or an absurdly long one: drop such rows at loading, for no
    /// completion can earn a reward on them.
    public boolean usable() {
        return answer != null;
    }

    /// Whether the answer is a number, a formula, a list or a name with a value, and not a text that only the same text matches. Answers
    /// in words are rightly texts; a formula among those listed by [#texts] is one that is not in the grammar.
    public boolean understood() {
        try {
            return answer != null && (!(answer instanceof Answer.Text) || FormulaEquality.formula(answer, new Budget()) != null);
        } catch (Budget.Exhausted e) {
            return false;
        }
    }

    /// The reference answers among these that are only compared as text, or that nothing can match: what to look at before a data set is
    /// used for rewards.
    public static List<String> texts(Collection<String> published) {
        return published.stream().filter(answer -> !Gold.of(answer).understood()).toList();
    }

    /// The text of the answer alone, without the solution around it.
    public String text() {
        return text;
    }

    /// The parsed answer; null when not [#usable].
    @Nullable Answer answer() {
        return answer;
    }

    @Override
    public String toString() {
        return text;
    }
}
