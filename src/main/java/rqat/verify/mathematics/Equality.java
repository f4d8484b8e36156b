package rqat.verify.mathematics;

import java.math.BigDecimal;
import java.util.List;
import rqat.verify.mathematics.Answer.Named;
import rqat.verify.mathematics.Answer.Number;
import rqat.verify.mathematics.Answer.Sequence;
import rqat.verify.mathematics.Answer.Text;

/// When two answers are the same.
///
/// Numbers are equal exactly. One exception follows Math-Verify: a decimal stands for the fraction or root that it equals when both are
/// rounded to six places (`0.333333` is `1/3`, `0.3333` is not). It does not extend to integers, and not to values that round to zero,
/// where six places say nothing. What is no number and not the same text is compared as a formula by [FormulaEquality].
final class Equality {

    private static final int DECIMAL_PLACES = 6;

    private Equality() {}

    static boolean equal(Answer gold, Answer answer, Budget budget) {
        budget.spend(1);
        return switch (gold) {
            case Named named when named.isEquation() && !(answer instanceof Named) && !(answer instanceof Text) -> false;
            case Named(String name, Answer value) -> switch (answer) {
                case Named(String otherName, Answer otherValue) when name.equals(otherName) && equal(value, otherValue, budget) -> true;
                case Named _ -> FormulaEquality.equal(gold, answer, budget);
                case Text(String normalised) when normalised.contains("=") -> FormulaEquality.equal(gold, answer, budget);
                default -> equal(value, answer, budget);
            };
            case Text(String normalised) when answer instanceof Named && normalised.contains("=") -> FormulaEquality.equal(gold, answer, budget);
            case Answer _ when answer instanceof Named(_, Answer value) -> equal(gold, value, budget);
            case Number number when answer instanceof Number other -> equalNumbers(number, other, budget);
            case Sequence sequence when answer instanceof Sequence other -> equalSequences(sequence, other, budget);
            case Text text when answer instanceof Text other && equalTexts(text, other) -> true;
            case Number _, Text _, Sequence _ -> FormulaEquality.equal(gold, answer, budget);
        };
    }

    private static boolean equalNumbers(Number a, Number b, Budget budget) {
        if (a.value().equals(b.value())) {
            return true;
        }
        boolean approximate = a.decimal() || b.decimal();
        boolean integer = isInteger(a) || isInteger(b);
        if (!approximate || integer) {
            return false;
        }
        BigDecimal first = a.value().rounded(DECIMAL_PLACES, budget);
        BigDecimal second = b.value().rounded(DECIMAL_PLACES, budget);
        return first != null && first.equals(second) && first.signum() != 0;
    }

    private static boolean isInteger(Number number) {
        return !number.decimal() && number.value().isInteger();
    }

    /// Order means nothing between bare lists and sets; brackets fix it. A tuple or open interval may be written without its brackets,
    /// a closed or half-open interval may not, and neither is a set.
    private static boolean equalSequences(Sequence a, Sequence b, Budget budget) {
        if (a.isUnordered() && b.isUnordered()) {
            return contains(a.elements(), b.elements(), budget) && contains(b.elements(), a.elements(), budget);
        }
        boolean sameBrackets = a.open().equals(b.open()) && a.close().equals(b.close());
        boolean bareTuple = a.isBare() && b.isTuple() || a.isTuple() && b.isBare();
        if (!sameBrackets && !bareTuple || a.elements().size() != b.elements().size()) {
            return false;
        }
        for (int i = 0; i < a.elements().size(); i++) {
            if (!equal(a.elements().get(i), b.elements().get(i), budget)) {
                return false;
            }
        }
        return true;
    }

    private static boolean contains(List<Answer> set, List<Answer> elements, Budget budget) {
        return elements.stream().allMatch(element -> set.stream().anyMatch(other -> equal(other, element, budget)));
    }

    private static boolean equalTexts(Text a, Text b) {
        return a.normalised().equals(b.normalised())
                || a.isWords() && b.isWords() && a.normalised().equalsIgnoreCase(b.normalised());
    }
}
