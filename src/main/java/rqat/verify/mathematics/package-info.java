/// Are these two mathematical answers equal.
///
/// Here live the extraction of an answer from a completion, its normal form, exact arithmetic and equality. Everything here is total,
/// bounded by step counting (no clock, no thread, no regular expression) and free of deep recursion. No files, no JSON.
///
/// The way of a completion in the default mode, [rqat.verify.mathematics.MathVerifier]: [rqat.verify.mathematics.AnswerExtractor] finds the
/// text of the final answer, [rqat.verify.mathematics.LatexTokens] cleans it, [rqat.verify.mathematics.AnswerParser] reads it as an
/// [rqat.verify.mathematics.Answer], [rqat.verify.mathematics.Equality] compares that with the [rqat.verify.mathematics.Gold]. In the mode
/// that agrees with Math-Verify, [rqat.verify.mathematics.ReferenceVerifier]: [rqat.verify.mathematics.CandidateFinder] finds candidates,
/// [rqat.verify.mathematics.LatexNormaliser] cleans them, [rqat.verify.mathematics.StatementParser] reads an
/// [rqat.verify.mathematics.Expression], [rqat.verify.mathematics.StatementEquality] compares. The default mode uses the same parser and
/// comparison for formulas. A new notation is a token rule or a parser rule; a new kind of mathematics is a new record of the sealed
/// `Expression`.
@NullMarked
package rqat.verify.mathematics;

import org.jspecify.annotations.NullMarked;
