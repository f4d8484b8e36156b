package rqat.verify.mathematics;

/// Bounds the work on one answer by counting steps, so that the same answer meets the same end on every machine. A step is roughly 150 ns
/// once the code is compiled, and several times that in the first calls of a process, which the limits allow for.
final class Budget {

    /// Total steps for parsing and comparing one answer: about 10 ms. Of the pairs that Math-Verify is tested with none needs a third.
    static final long STEPS = 60_000;

    private long left;

    Budget() {
        this(STEPS);
    }

    Budget(long steps) {
        left = steps;
    }

    /// Pays for work that is about to be done.
    void spend(long steps) {
        left -= steps;
        if (left < 0) {
            throw new Exhausted();
        }
    }

    /// Thrown by [#spend]; carries no stack trace because it is a result, not a defect.
    static final class Exhausted extends RuntimeException {
        Exhausted() {
            super("step budget exhausted", null, false, false);
        }
    }
}
