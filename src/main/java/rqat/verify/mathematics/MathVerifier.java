package rqat.verify.mathematics;

import rqat.verify.AnswerScope;
import rqat.verify.Attempt;
import rqat.verify.Reason;
import rqat.verify.Verdict;
import rqat.verify.Verifier;
import rqat.verify.mathematics.AnswerExtractor.Boxed;

/// Scores mathematics: the last `\boxed{}` after the reasoning, compared exactly with the gold answer.
///
/// The design follows Math-Verify (github.com/huggingface/Math-Verify, the checker behind lighteval and TRL's accuracy reward) with
/// four deviations, each in favour of the honest answer. The reasoning is cut before the answer is looked for, so a guess inside
/// `<think>` is neither joined with the answer nor rewarded. The last box wins; boxes are never joined. The gold answer may be bare
/// LaTeX. And only a box is an answer, or where there is none the line behind `####` that GSM8K teaches; prose such as "the answer is 5"
/// is not. The mode that agrees with Math-Verify is [ReferenceVerifier].
///
/// @param scope which part of a completion may hold the answer
public record MathVerifier(AnswerScope scope) implements Verifier {

    /// The default: [AnswerScope#AUTO].
    public MathVerifier() {
        this(AnswerScope.AUTO);
    }

    @Override
    public Judge judge(String gold) {
        Gold answer = Gold.of(gold);
        return attempt -> verify(attempt, answer);
    }

    private Verdict verify(Attempt attempt, Gold gold) {
        String completion = attempt.text();
        boolean truncated = attempt.truncated();
        int start = scope.start(attempt);
        Boxed boxed = start < 0 ? new Boxed.None() : AnswerExtractor.lastBoxed(completion, start);
        if (start >= 0 && boxed instanceof Boxed.None) {
            boxed = AnswerExtractor.markedLine(completion, start);
        }
        return switch (boxed) {
            case Boxed.None() -> new Verdict(truncated ? Reason.TRUNCATED : Reason.NO_ANSWER, "");
            case Boxed.Unclosed(String rest) -> new Verdict(truncated ? Reason.TRUNCATED : Reason.UNPARSABLE, rest);
            case Boxed.Content(String text) when text.length() > AnswerParser.MAX_LENGTH -> new Verdict(Reason.UNPARSABLE, text);
            case Boxed.Content(String text) -> compare(text, truncated, gold);
        };
    }

    private static Verdict compare(String text, boolean truncated, Gold gold) {
        var budget = new Budget();
        try {
            Answer answer = AnswerParser.parse(text, budget);
            if (answer.isEmpty()) {
                return new Verdict(truncated ? Reason.TRUNCATED : Reason.NO_ANSWER, text);
            }
            boolean equal = gold.answer() != null && Equality.equal(gold.answer(), answer, budget);
            if (!equal && gold.answer() != null && (GroupedNumber.isAmbiguous(gold.text()) || GroupedNumber.isAmbiguous(text))) {
                // Groups of three digits without blanks are a number or a list; the other side may be in no doubt.
                equal = Equality.equal(AnswerParser.parseAsList(gold.text(), budget), AnswerParser.parseAsList(text, budget), budget);
            }
            return new Verdict(equal ? Reason.MATCH : Reason.MISMATCH, text);
        } catch (Budget.Exhausted e) {
            return new Verdict(Reason.TIMEOUT, text);
        }
    }
}
