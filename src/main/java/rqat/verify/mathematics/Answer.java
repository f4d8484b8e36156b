package rqat.verify.mathematics;

import java.util.List;

/// A final answer in a form that can be compared; made by [AnswerParser], compared by [Equality].
sealed interface Answer {

    /// Whether nothing is left after cleaning.
    default boolean isEmpty() {
        return this instanceof Text(String normalised) && normalised.isEmpty();
    }

    /// An exact real number.
    ///
    /// @param decimal whether it was written with a decimal point, which makes it an approximation when compared with a fraction or root
    record Number(ExactNumber value, boolean decimal) implements Answer {}

    /// Several answers.
    ///
    /// @param open  the opening bracket of a tuple or interval, empty for a set or a bare list, whose order means nothing
    /// @param close the closing bracket, likewise
    record Sequence(String open, String close, List<Answer> elements) implements Answer {

        boolean isBare() {
            return open.isEmpty();
        }

        /// `(a, b)`, which may be a tuple or an open interval.
        boolean isTuple() {
            return open.equals("(") && close.equals(")");
        }
    }

    /// A value with a name, as in `x = 5` or `x \in [0, 1)`.
    record Named(String name, Answer value) implements Answer {}

    /// Anything else, as its normalised text.
    record Text(String normalised) implements Answer {

        /// Whether it is an answer in words, whose case means nothing; a single letter is a symbol and keeps its case.
        boolean isWords() {
            return normalised.length() > 1 && normalised.chars().allMatch(Character::isLetter);
        }
    }
}
