package rqat.verify;

import rqat.verify.AnswerExtractor.Boxed;

/// Scores mathematics: the last `\boxed{}` after the reasoning, compared exactly with the gold answer.
///
/// The design follows Math-Verify (github.com/huggingface/Math-Verify, the checker behind lighteval and TRL's accuracy reward) with
/// four deviations, each in favour of the honest answer. The reasoning is cut before the answer is looked for, so a guess inside
/// `<think>` is neither joined with the answer nor rewarded. The last box wins; boxes are never joined. The gold answer may be bare
/// LaTeX. And only a box is an answer, or where there is none the line behind `####` that GSM8K teaches; prose such as "the answer is 5"
/// is not. The mode that agrees with Math-Verify is [ReferenceVerifier].
///
/// @param scope which part of a completion may hold the answer
public record MathVerifier(Scope scope) implements Verifier {

    /// Which part of a completion may hold the answer.
    public enum Scope {
        /// After the last `</think>`; without one the model never finished thinking and there is no answer. For prompts that end in an
        /// open `<think>`, whose completions need not contain the opening tag.
        AFTER_THINK,
        /// As [#AFTER_THINK] if the completion contains a thinking tag, else everything.
        AUTO,
        /// Everything, as the published evaluation harnesses do.
        WHOLE
    }

    /// The default: [Scope#AUTO].
    public MathVerifier() {
        this(Scope.AUTO);
    }

    @Override
    public Judge judge(String gold) {
        Gold answer = Gold.of(gold);
        return (completion, truncated) -> verify(completion, truncated, answer);
    }

    private Verdict verify(String completion, boolean truncated, Gold gold) {
        int start = AnswerExtractor.answerStart(completion, scope);
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
            return new Verdict(equal ? Reason.MATCH : Reason.MISMATCH, text);
        } catch (Budget.Exhausted e) {
            return new Verdict(Reason.TIMEOUT, text);
        }
    }
}
