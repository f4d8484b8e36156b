package rqat.verify.mathematics;

import java.util.HashMap;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// A polynomial over the rationals in named generators, expanded: a canonical form. Of bounded size; what is larger throws [Unreadable].
///
/// @param terms monomial (generator to exponent) to non-zero coefficient; empty for zero
record Polynomial(Map<SortedMap<String, Integer>, Rational> terms) {

    private static final int MAX_TERMS = 300;
    private static final int MAX_DEGREE = 200;

    static final Polynomial ZERO = new Polynomial(Map.of());
    static final Polynomial ONE = constant(Rational.ONE);

    static Polynomial constant(Rational value) {
        return value.isZero() ? ZERO : new Polynomial(Map.of(new TreeMap<>(), value));
    }

    static Polynomial generator(String name) {
        return new Polynomial(Map.of(new TreeMap<>(Map.of(name, 1)), Rational.ONE));
    }

    boolean isZero() {
        return terms.isEmpty();
    }

    /// The value of a polynomial without generators, or null.
    @Nullable Rational constant() {
        if (isZero()) {
            return Rational.ZERO;
        }
        return terms.size() == 1 ? terms.get(new TreeMap<String, Integer>()) : null;
    }

    Polynomial plus(Polynomial other, Budget budget) {
        var result = new HashMap<>(terms);
        other.terms.forEach((monomial, coefficient) -> add(result, monomial, coefficient, budget));
        return new Polynomial(result);
    }

    Polynomial negate() {
        return times(Rational.of(-1), new Budget());
    }

    Polynomial times(Rational factor, Budget budget) {
        if (factor.isZero()) {
            return ZERO;
        }
        var result = new HashMap<SortedMap<String, Integer>, Rational>();
        terms.forEach((monomial, coefficient) -> result.put(monomial, coefficient.times(factor, budget)));
        return new Polynomial(result);
    }

    Polynomial times(Polynomial other, Budget budget) {
        var result = new HashMap<SortedMap<String, Integer>, Rational>();
        for (var a : terms.entrySet()) {
            for (var b : other.terms.entrySet()) {
                var monomial = new TreeMap<>(a.getKey());
                b.getKey().forEach((generator, exponent) -> monomial.merge(generator, exponent, Integer::sum));
                if (monomial.values().stream().mapToInt(Integer::intValue).sum() > MAX_DEGREE) {
                    throw new Unreadable("degree too large");
                }
                add(result, monomial, a.getValue().times(b.getValue(), budget), budget);
            }
        }
        return new Polynomial(result);
    }

    Polynomial power(int exponent, Budget budget) {
        if (exponent > MAX_DEGREE) {
            throw new Unreadable("degree too large");
        }
        Polynomial result = ONE;
        for (int i = 0; i < exponent; i++) {
            result = result.times(this, budget);
        }
        return result;
    }

    /// Whether the other is this times a non-zero number.
    boolean isProportionalTo(Polynomial other, Budget budget) {
        if (isZero() || other.isZero() || !terms.keySet().equals(other.terms.keySet())) {
            return false;
        }
        var some = terms.keySet().iterator().next();
        return times(other.terms.get(some).dividedBy(terms.get(some), budget), budget).equals(other);
    }

    private static void add(Map<SortedMap<String, Integer>, Rational> terms, SortedMap<String, Integer> monomial, Rational coefficient, Budget budget) {
        budget.spend(2);
        Rational old = terms.get(monomial);
        Rational sum = old == null ? coefficient : old.plus(coefficient, budget);
        if (sum.isZero()) {
            terms.remove(monomial);
        } else {
            terms.put(monomial, sum);
        }
        if (terms.size() > MAX_TERMS) {
            throw new Unreadable("too many terms");
        }
    }
}
