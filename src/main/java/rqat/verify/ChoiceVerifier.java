package rqat.verify;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Scores multiple choice by the letter, A to D, that the completion names.
///
/// Looks at the last 100,000 characters only, so the time is bounded.
///
/// @param scope   which part of a completion may hold the answer
/// @param lenient what counts as an answer. Strict: the last `Answer: B` or box that says one letter ([ChosenLetter]). Lenient: as lighteval
///                0.8.0 extracts letters for its `indices` targets, from `final answer is B` down to any capital A to D in the text. With it a
///                model that never answers still gets about a quarter right; look at the strict rate of missing answers beside it
public record ChoiceVerifier(AnswerScope scope, boolean lenient) implements Verifier {
    private static final int LONGEST = 100_000;

    /// Between blanks (a line feed is none), at the start of the text or before its end, perhaps bold. Parentheses are not looked through.
    private static final String LETTER = "(?:^| )(?:\\*\\*)?([A-D])(?:\\*\\*)?(?:[.,: ]|$)";

    /// Most specific first. As Python reads them: only `\n` ends a line, `$` may stand before the last one, `\s` is any white space.
    private static final List<Pattern> LENIENT = List.of(
            python("(?i:final answer is):?\\s*+([A-D])\\.?\\s?I hope"),
            python("(?i:final answer.{0,100}?)\\s++is:?\\s*+([A-D])"),
            python("(?i:answer):.{0,50}?" + LETTER),
            python("(?i:answer).{0,50}?" + LETTER),
            python("^(?:\\*\\*)?([A-D])(?:\\*\\*)?(?:[.,: ]|$)"),
            python(LETTER),
            python("([A-D])"));

    private static Pattern python(String expression) {
        return Pattern.compile(expression, Pattern.UNIX_LINES | Pattern.UNICODE_CHARACTER_CLASS);
    }

    @Override
    public Judge judge(String gold) {
        return attempt -> verdict(attempt, gold.strip());
    }

    private Verdict verdict(Attempt attempt, String gold) {
        int start = scope.start(attempt);
        String completion = attempt.text();
        String text = start < 0 ? "" : completion.substring(Math.max(start, completion.length() - LONGEST));
        String letter = lenient ? last(text) : ChosenLetter.in(text);
        if (letter.isEmpty()) return new Verdict(attempt.truncated() ? Reason.TRUNCATED : Reason.NO_ANSWER, "");
        return new Verdict(letter.equals(gold) ? Reason.MATCH : Reason.MISMATCH, letter);
    }

    /// The letter of the last match of the first pattern that matches at all, empty when none does.
    private static String last(String text) {
        for (Pattern pattern : LENIENT) {
            String found = "";
            for (Matcher matcher = pattern.matcher(text); matcher.find(); ) found = matcher.group(1);
            if (!found.isEmpty()) return found;
        }
        return "";
    }
}
