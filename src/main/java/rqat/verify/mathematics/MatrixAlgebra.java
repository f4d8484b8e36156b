package rqat.verify.mathematics;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import rqat.verify.mathematics.Expression.Matrix;
import rqat.verify.mathematics.Expression.Number;
import rqat.verify.mathematics.Expression.Power;

/// Sums, products, powers and determinants as they are read; those of matrices are carried out at once, entry by entry.
final class MatrixAlgebra {

    private static final int MAX_DETERMINANT = 5;
    private static final int MAX_POWER = 6;

    private MatrixAlgebra() {}

    static Expression negate(Expression value) {
        return value instanceof Matrix matrix ? map(matrix, Expression::negate) : Expression.negate(value);
    }

    static Expression sum(List<Expression> terms, Budget budget) {
        if (terms.stream().noneMatch(Matrix.class::isInstance)) {
            return Expression.sum(terms);
        }
        Matrix first = requireMatrix(terms.getFirst());
        var columns = new ArrayList<List<Expression>>();
        for (Expression entry : first.entries()) {
            columns.add(new ArrayList<>(List.of(entry)));
        }
        for (Expression term : terms.subList(1, terms.size())) {
            Matrix other = requireMatrix(term);
            if (other.columns() != first.columns() || other.entries().size() != first.entries().size()) {
                throw new Unreadable("matrices of different shape");
            }
            budget.spend(other.entries().size());
            for (int i = 0; i < columns.size(); i++) {
                columns.get(i).add(other.entries().get(i));
            }
        }
        return new Matrix(first.columns(), columns.stream().map(Expression::sum).toList());
    }

    static Expression product(Expression left, Expression right, Budget budget) {
        if (left instanceof Matrix a && right instanceof Matrix b) {
            if (a.columns() != b.rows()) {
                throw new Unreadable("matrices of different shape");
            }
            budget.spend((long) a.rows() * a.columns() * b.columns());
            var entries = new ArrayList<Expression>();
            for (int i = 0; i < a.rows(); i++) {
                for (int j = 0; j < b.columns(); j++) {
                    var terms = new ArrayList<Expression>();
                    for (int k = 0; k < a.columns(); k++) {
                        terms.add(Expression.product(List.of(a.at(i, k), b.at(k, j))));
                    }
                    entries.add(Expression.sum(terms));
                }
            }
            return new Matrix(b.columns(), List.copyOf(entries));
        }
        if (left instanceof Matrix matrix) {
            return map(matrix, entry -> Expression.product(List.of(entry, right)));
        }
        if (right instanceof Matrix matrix) {
            return map(matrix, entry -> Expression.product(List.of(left, entry)));
        }
        return Expression.product(List.of(left, right));
    }

    static Expression power(Expression base, Expression exponent, Budget budget) {
        if (!(base instanceof Matrix)) {
            return new Power(base, exponent);
        }
        boolean small = exponent instanceof Number number && number.isInteger() && number.value().numerator().bitLength() < 31;
        int n = small ? ((Number) exponent).value().numerator().intValueExact() : 0;
        if (n < 1 || n > MAX_POWER) {
            throw new Unreadable("power of a matrix");
        }
        Expression result = base;
        for (int i = 1; i < n; i++) {
            result = product(result, base, budget);
        }
        return result;
    }

    static Expression transpose(Expression value) {
        if (!(value instanceof Matrix matrix)) {
            return value;
        }
        var entries = new ArrayList<Expression>();
        for (int column = 0; column < matrix.columns(); column++) {
            for (int row = 0; row < matrix.rows(); row++) {
                entries.add(matrix.at(row, column));
            }
        }
        return new Matrix(matrix.rows(), List.copyOf(entries));
    }

    /// By expansion along the first row.
    static Expression determinant(Matrix matrix, Budget budget) {
        int n = matrix.columns();
        if (matrix.rows() != n || n > MAX_DETERMINANT) {
            throw new Unreadable("determinant");
        }
        budget.spend((long) n * n);
        if (n == 1) {
            return matrix.entries().getFirst();
        }
        var terms = new ArrayList<Expression>();
        for (int skipped = 0; skipped < n; skipped++) {
            var minor = new ArrayList<Expression>();
            for (int row = 1; row < n; row++) {
                for (int column = 0; column < n; column++) {
                    if (column != skipped) {
                        minor.add(matrix.at(row, column));
                    }
                }
            }
            Expression term = Expression.product(List.of(matrix.at(0, skipped), determinant(new Matrix(n - 1, minor), budget)));
            terms.add(skipped % 2 == 0 ? term : Expression.negate(term));
        }
        return Expression.sum(terms);
    }

    private static Matrix requireMatrix(Expression value) {
        if (value instanceof Matrix matrix) {
            return matrix;
        }
        throw new Unreadable("a matrix plus what is none");
    }

    private static Matrix map(Matrix matrix, UnaryOperator<Expression> function) {
        return new Matrix(matrix.columns(), matrix.entries().stream().map(function).toList());
    }
}
