package rqat.verify.mathematics;

import java.util.List;

/// A place in a text that may be the answer.
///
/// @param start  where it begins, with the words that announce it
/// @param end    behind its last character
/// @param answer what it says
record Candidate(int start, int end, Content answer) {

    /// What a candidate says.
    sealed interface Content {}

    /// LaTeX between delimiters; several pieces are joined into a set.
    record Latex(List<Piece> pieces) implements Content {}

    /// The LaTeX from a box to the last brace of the text.
    record Box(String latex) implements Content {}

    /// A plain number.
    record PlainNumber(String digits, boolean percent) implements Content {}

    /// Plain arithmetic.
    record Arithmetic(String text) implements Content {}

    /// One of the strings that were asked for.
    record Choice(String text) implements Content {}

    /// One formula.
    ///
    /// @param percent whether a percent sign or word follows it
    record Piece(String latex, boolean percent) {}
}
