package rqat.verify;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// Scores multiple choice by the letter, A to D, that the completion names.
///
/// The patterns are bounded in what they may skip and look at the last 100,000 characters only, so the time is bounded too.
///
/// @param scope   which part of a completion may hold the answer
/// @param lenient what counts as an answer. Strict: a last `Answer: B`, or a box around a letter. Lenient: as lighteval extracts letters for
///                its `indices` targets, from `final answer is B` down to any capital A to D in the text. With it a model that never
///                answers still gets about a quarter right; look at the strict rate of missing answers beside it
public record ChoiceVerifier(AnswerScope scope, boolean lenient) implements Verifier {
    private static final int LONGEST = 100_000;

    private static final String DECORATION =
            "(?:[\\s*$({\\[\\\\_]|(?:text|textbf|textit|mathrm|mathbf|boxed|bf|rm)(?![A-Za-z])|(?i:option|choice)(?![A-Za-z])){0,12}";
    /// After an announcement, or in a box.
    private static final Pattern STRICT = Pattern.compile("(?:(?i:answer)\\s{0,4}(?:is)?\\*{0,2}\\s{0,4}:|\\\\f?boxed\\s{0,4}\\{)" + DECORATION + "([A-D])(?![A-Za-z])");
    /// What makes it no clear choice: another letter beside it.
    private static final Pattern ANOTHER = Pattern.compile("[\\s*$)}\\]]{0,8}(?:[,/&]|(?i:or|and)(?![A-Za-z]))" + DECORATION + "[A-D](?![A-Za-z])");

    private static final String LETTER = "(?:^|\\s)(?:\\*\\*)?([A-D])(?:\\*\\*)?(?:[.,:\\s]|$)";

    /// Most specific first.
    private static final List<Pattern> LENIENT = List.of(
            Pattern.compile("(?i:final answer is):?\\s{0,4}([A-D])\\.?\\s?I hope"),
            Pattern.compile("(?i:final answer.{0,100}?)\\s{1,4}is:?\\s{0,4}([A-D])"),
            Pattern.compile("(?i:answer):.{0,50}?" + LETTER),
            Pattern.compile("(?i:answer).{0,50}?" + LETTER),
            Pattern.compile("\\A(?:\\*\\*)?([A-D])(?:\\*\\*)?(?:[.,:\\s]|$)"),
            Pattern.compile("\\n(?:\\*\\*)?([A-D])(?:\\*\\*)?(?:[.,:\\s]|$)"),
            Pattern.compile(LETTER),
            Pattern.compile("([A-D])"));

    @Override
    public Judge judge(String gold) {
        return attempt -> verdict(attempt, gold.strip());
    }

    private Verdict verdict(Attempt attempt, String gold) {
        int start = scope.start(attempt);
        String completion = attempt.text();
        String text = start < 0 ? "" : completion.substring(Math.max(start, completion.length() - LONGEST));
        String letter = lenient ? last(LENIENT, text) : chosen(text);
        if (letter.isEmpty()) return new Verdict(attempt.truncated() ? Reason.TRUNCATED : Reason.NO_ANSWER, "");
        return new Verdict(letter.equals(gold) ? Reason.MATCH : Reason.MISMATCH, letter);
    }

    /// The letter of the last announcement or box, empty where it names several.
    private static String chosen(String text) {
        String found = "";
        Matcher another = ANOTHER.matcher(text);
        for (Matcher matcher = STRICT.matcher(text); matcher.find(); ) {
            boolean several = another.region(matcher.end(), text.length()).lookingAt();
            found = several ? "" : matcher.group(1);
        }
        return found;
    }

    /// The letter of the last match of the first pattern that matches at all, empty when none does.
    private static String last(List<Pattern> patterns, String text) {
        for (Pattern pattern : patterns) {
            String found = "";
            for (Matcher matcher = pattern.matcher(text); matcher.find(); ) found = matcher.group(1);
            if (!found.isEmpty()) return found;
        }
        return "";
    }
}
