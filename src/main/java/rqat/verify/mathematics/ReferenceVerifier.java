package rqat.verify.mathematics;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import rqat.verify.Attempt;
import rqat.verify.Reason;
import rqat.verify.Verdict;
import rqat.verify.Verifier;
import rqat.verify.mathematics.Candidate.Content;
import rqat.verify.mathematics.Candidate.Piece;
import rqat.verify.mathematics.Expression.FiniteSet;
import rqat.verify.mathematics.Expression.Number;
import rqat.verify.mathematics.Expression.Percent;
import rqat.verify.mathematics.FormulaParser.Dialect;

/// Scores mathematics as Math-Verify does (`math-verify` mode), for results that are to be compared with published ones: the whole text is
/// searched, prose may announce the answer, neighbouring boxes are joined into a set, the gold answer is searched for in its text in the
/// same way, and what cannot be parsed is compared as text. For rewards and honest evaluation use [MathVerifier].
///
/// @param gold          what is looked for in the gold text, in this order of preference
/// @param answer        what is looked for in a completion
/// @param decimalPlaces where decimals are rounded before they are compared
/// @param strict        whether the names of variables matter
/// @param setByRelation whether a gold set may be answered by an inequality that it solves
public record ReferenceVerifier(List<Target> gold, List<Target> answer, int decimalPlaces, boolean strict, boolean setByRelation) implements Verifier {

    /// Only this much of the end of a text is searched: more than any published benchmark lets a model write.
    static final int MAX_TEXT = 100_000;

    /// The steps for searching one text. Of the texts that Math-Verify is tested with, up to 20,000
    /// characters of reasoning, none needs a tenth.
    private static final long SEARCHING = 40_000;

    /// The steps for parsing what was found, up to the first that can be parsed.
    private static final long PARSING = 20_000;

    /// The steps for comparing one pair.
    private static final long COMPARING = 40_000;

    /// Something to look for.
    public sealed interface Target {}

    /// Formulas.
    ///
    /// @param boxRank         how good a box is among the announcements of [CandidateFinder], less being better; negative for not at all
    /// @param unannounced     whether formulas without an announcement count
    /// @param repairOperators whether `\frac12` is understood
    public record Latex(int boxRank, boolean unannounced, boolean repairOperators) implements Target {}

    /// Numbers and arithmetic in running text.
    ///
    /// @param unannounced whether those without an announcement count
    public record Plain(boolean unannounced) implements Target {}

    /// Given strings, such as the letters of choices.
    ///
    /// @param unannounced whether those without an announcement count
    /// @param lowerCase   whether case means nothing
    public record Strings(List<String> strings, boolean unannounced, boolean lowerCase) implements Target {}

    /// What was found in a text.
    ///
    /// @param value  the parsed answer; null when there is none, or it is a string
    /// @param string the string that was asked for, or null
    /// @param text   the best candidate as text, parsed or not; empty when there is no candidate
    record Parsed(@Nullable Expression value, @Nullable String string, String text, boolean exhausted) {}

    /// As Math-Verify is used on reasoning models: boxes first, then formulas and numbers.
    public static ReferenceVerifier forReasoning() {
        List<Target> targets = List.of(new Latex(0, true, true), new Plain(true));
        return new ReferenceVerifier(targets, targets, 6, true, false);
    }

    /// With Math-Verify's own defaults, where a "final answer" in prose is better than a box.
    public static ReferenceVerifier withDefaults() {
        List<Target> targets = List.of(new Latex(50, true, true), new Plain(true));
        return new ReferenceVerifier(targets, targets, 6, true, false);
    }

    public ReferenceVerifier {
        gold = List.copyOf(gold);
        answer = List.copyOf(answer);
    }

    /// Compares with a gold text that was searched and parsed once.
    public static final class Prepared implements Judge {
        private final ReferenceVerifier verifier;
        private final Parsed wanted;

        private Prepared(ReferenceVerifier verifier, Parsed wanted) {
            this.verifier = verifier;
            this.wanted = wanted;
        }

        /// Whether an answer was found and understood. Otherwise only the same text can match it.
        public boolean usable() {
            return wanted.value != null || wanted.string != null;
        }

        @Override
        public Verdict verdict(Attempt attempt) {
            return verifier.verdict(attempt.text(), attempt.truncated(), wanted);
        }
    }

    @Override
    public Prepared judge(String goldText) {
        return new Prepared(this, parse(goldText, gold));
    }

    private Verdict verdict(String completion, boolean truncated, Parsed wanted) {
        Parsed found = parse(completion, answer);
        if (sameText(wanted, found)) {
            return new Verdict(Reason.MATCH, found.text);
        }
        if (found.exhausted) {
            return new Verdict(Reason.TIMEOUT, found.text);
        }
        if (found.value == null && found.string == null) {
            Reason reason = truncated ? Reason.TRUNCATED : found.text.isEmpty() ? Reason.NO_ANSWER : Reason.UNPARSABLE;
            return new Verdict(reason, found.text);
        }
        if (found.value == null || wanted.value == null) {
            return new Verdict(Reason.MISMATCH, found.text);
        }
        try {
            boolean equal = new StatementEquality(decimalPlaces, strict, setByRelation, new Budget(COMPARING)).equal(wanted.value, found.value);
            return new Verdict(equal ? Reason.MATCH : Reason.MISMATCH, found.text);
        } catch (Unreadable e) {
            return new Verdict(Reason.MISMATCH, found.text);
        } catch (Budget.Exhausted e) {
            return new Verdict(Reason.TIMEOUT, found.text);
        }
    }

    private static boolean sameText(Parsed a, Parsed b) {
        boolean same = !a.text.isBlank() && a.text.strip().equals(b.text.strip());
        return same || a.string != null && a.string.equals(b.string);
    }

    /// Searches a text.
    static Parsed parse(String whole, List<Target> targets) {
        String text = whole.length() > MAX_TEXT ? whole.substring(whole.length() - MAX_TEXT) : whole;
        var budget = new Budget(PARSING);
        String first = "";
        try {
            boolean repair = targets.stream().noneMatch(target -> target instanceof Latex latex && !latex.repairOperators());
            boolean lowerCase = targets.stream().anyMatch(target -> target instanceof Strings strings && strings.lowerCase());
            var finder = new CandidateFinder(text, new Budget(SEARCHING));
            for (int rank : CandidateFinder.ranks(targets)) {
                for (Candidate candidate : finder.find(rank, targets)) {
                    var written = new StringBuilder();
                    if (candidate.answer() instanceof Candidate.Choice(String choice)) {
                        return new Parsed(null, lowerCase ? choice.toLowerCase(Locale.ROOT) : choice, first.isEmpty() ? choice : first, false);
                    }
                    Expression value = value(candidate.answer(), repair, written, budget);
                    first = first.isEmpty() ? written.toString() : first;
                    if (value != null) {
                        return new Parsed(value, null, first, false);
                    }
                }
            }
        } catch (Budget.Exhausted e) {
            return new Parsed(null, null, first, true);
        }
        return new Parsed(null, null, first, false);
    }

    /// The value of a candidate, or null when it cannot be parsed; its text is appended.
    private static @Nullable Expression value(Content content, boolean repair, StringBuilder written, Budget budget) {
        switch (content) {
            case Candidate.PlainNumber(String digits, boolean percent) -> {
                written.append(digits);
                Expression number = tryParse(digits, budget);
                return percent && number != null ? new Percent(number) : number;
            }
            case Candidate.Arithmetic(String arithmetic) -> {
                written.append(arithmetic);
                try {
                    return ArithmeticParser.parse(arithmetic, budget);
                } catch (Unreadable e) {
                    return null;
                }
            }
            case Candidate.Box(String latex) -> {
                return pieces(List.of(new Piece(latex, false)), false, repair, written, budget);
            }
            case Candidate.Latex(List<Piece> pieces) -> {
                return pieces(pieces, true, repair, written, budget);
            }
            case Candidate.Choice _ -> throw new IllegalStateException("a choice has no value");
        }
    }

    private static @Nullable Expression tryParse(String digits, Budget budget) {
        try {
            boolean negative = digits.startsWith("-");
            Expression number = StatementParser.parse(negative ? digits.substring(1) : digits, Dialect.REFERENCE, true, budget);
            return negative ? ((Number) number).negate() : number;
        } catch (Unreadable e) {
            return null;
        }
    }

    /// One value, or the set of all when every piece can be parsed.
    private static @Nullable Expression pieces(List<Piece> pieces, boolean allBoxes, boolean repair, StringBuilder written, Budget budget) {
        var texts = new ArrayList<String>();
        var values = new ArrayList<Expression>();
        for (Piece piece : pieces) {
            budget.spend(2 + piece.latex().length() / 32);
            String content = BoxCollector.contents(piece.latex(), allBoxes);
            if (content.length() > LatexNormaliser.MAX_LENGTH) {
                texts.add(content.substring(0, LatexNormaliser.MAX_LENGTH));
                values.add(null);
                continue;
            }
            budget.spend(40 + content.length());
            String latex = LatexNormaliser.normalise(content, repair);
            Expression value = formula(latex, budget);
            texts.add(latex);
            values.add(value != null && piece.percent() ? new Percent(value) : value);
        }
        if (pieces.size() > 1 && !values.contains(null)) {
            var elements = new ArrayList<Expression>();
            for (Expression value : values) {
                if (value instanceof FiniteSet(List<Expression> inner)) elements.addAll(inner); else elements.add(value);
            }
            written.append(String.join(" and ", texts));
            return new FiniteSet(List.copyOf(elements));
        }
        written.append(texts.getFirst());
        return values.getFirst();
    }

    private static @Nullable Expression formula(String latex, Budget budget) {
        try {
            return StatementParser.parse(latex, Dialect.REFERENCE, !isComplex(latex), budget);
        } catch (Unreadable e) {
            String last = lastSide(latex);
            try {
                return last == null ? null : StatementParser.parse(last, Dialect.REFERENCE, !isComplex(last), budget);
            } catch (Unreadable again) {
                return null;
            }
        }
    }

    /// Behind the last equals sign of a chain of equations; null when there is no chain, or a list.
    private static @Nullable String lastSide(String latex) {
        if (latex.indexOf(',') >= 0 || latex.indexOf(';') >= 0) {
            return null;
        }
        int signs = 0;
        int last = -1;
        for (int i = 0; i < latex.length(); i++) {
            if (latex.charAt(i) == '=' && (i == 0 || "\\<!>".indexOf(latex.charAt(i - 1)) < 0)) {
                signs++;
                last = i;
            }
        }
        return signs > 1 ? latex.substring(last + 1) : null;
    }

    private static final List<String> COMPLEX = List.of(
            "\\mathbb{C}", "\\imath", "\\det", "\\operatorname{tr}", "\\operatorname{rank}", "\\text{rank}", "\\arg{", "\\Re{", "\\Im{", "\\operatorname{Re}",
            "\\operatorname{Im}", "\\text{Re}", "\\text{Im}");

    /// Whether a formula seems to be about complex numbers or matrices: then its variables are not real.
    private static boolean isComplex(String latex) {
        for (int i = latex.indexOf('i'); i >= 0; i = latex.indexOf('i', i + 1)) {
            boolean alone = (i == 0 || !isWordPart(latex.charAt(i - 1))) && (i + 1 == latex.length() || !isWordPart(latex.charAt(i + 1)));
            if (alone) {
                return true;
            }
        }
        return COMPLEX.stream().anyMatch(latex::contains);
    }

    private static boolean isWordPart(char c) {
        return Character.isLetterOrDigit(c) || c == '_';
    }
}
