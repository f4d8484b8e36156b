/// Is this answer right: one verifier scores a benchmark and rewards a rollout, and says why.
///
/// Here live the extraction of an answer from a completion, its normal form, exact arithmetic and equality. Completions are
/// adversarial input: everything here is total (never an exception), bounded in time and memory by step counting (no clock, no
/// thread, no regular expression) and free of deep recursion. No torch, no files, no JSON.
///
/// The way of a completion in the default mode, [rqat.verify.MathVerifier]: [rqat.verify.AnswerExtractor] finds the text of the final
/// answer, [rqat.verify.LatexTokens] cleans it, [rqat.verify.AnswerParser] reads it as an [rqat.verify.Answer], [rqat.verify.Equality]
/// compares that with the [rqat.verify.Gold]. In the mode that agrees with Math-Verify, [rqat.verify.ReferenceVerifier]:
/// [rqat.verify.CandidateFinder] finds candidates, [rqat.verify.LatexNormaliser] cleans them, [rqat.verify.StatementParser] reads an
/// [rqat.verify.Expression], [rqat.verify.StatementEquality] compares. The default mode uses the same parser and comparison for formulas.
/// A new notation is a token rule or a parser rule; a new kind of mathematics is a new record of the sealed `Expression`.
@NullMarked
package rqat.verify;

import org.jspecify.annotations.NullMarked;
