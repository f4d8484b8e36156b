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
    /// @param open  the opening bracket of a tuple or interval, `\{` of a set, empty for a bare list; the order of the last two means nothing
    /// @param close the closing bracket, likewise
    record Sequence(String open, String close, List<Answer> elements) implements Answer {

        boolean isBare() {
            return open.isEmpty();
        }

        /// Whether the order of the elements means nothing.
        boolean isUnordered() {
            return isBare() || open.equals("\\{");
        }

        /// `(a, b)`, which may be a tuple or an open interval.
        boolean isTuple() {
            return open.equals("(") && close.equals(")");
        }
    }

    /// A value with a name, as in `x = 5` or `x \in [0, 1)`.
    record Named(String name, Answer value) implements Answer {

        /// Whether a calculation has the value, as in `m + n = 42`. An answer may be put so; where a problem's own answer is, it is the equation
        /// that is asked for, and the bare value does not say it.
        boolean isEquation() {
            return name.chars().anyMatch(character -> "+-*/^".indexOf(character) >= 0);
        }
    }

    /// Anything else, as its normalised text.
    record Text(String normalised) implements Answer {

        /// Whether it is an answer in words, whose case means nothing; a single letter is a symbol and keeps its case.
        boolean isWords() {
            return normalised.length() > 1 && normalised.chars().allMatch(Character::isLetter);
        }
    }
}
