package rqat.train;

/// The learning rate over a run as a factor of its peak: linear warm-up, then half a cosine down to a floor.
///
/// @param warmUp steps before the peak; step 0 already moves, at `1 / (warmUp + 1)` of the peak
/// @param steps  length of the run
/// @param floor  factor that the cosine ends at, 0 to 1
public record Schedule(long warmUp, long steps, double floor) {

    /// Checks the ranges.
    public Schedule {
        if (steps < 1) throw new IllegalArgumentException("steps is %d; expected at least 1".formatted(steps));
        if (warmUp < 0 || warmUp >= steps) {
            throw new IllegalArgumentException("warm-up of %d steps; expected 0 to %d".formatted(warmUp, steps - 1));
        }
        if (!(floor >= 0 && floor <= 1)) throw new IllegalArgumentException("floor is %s; expected 0 to 1".formatted(floor));
    }

    /// The factor at `step`, counted from 0; the floor after the end.
    public double factor(long step) {
        if (step < warmUp) return (step + 1.0) / (warmUp + 1.0);
        double progress = Math.min(1, (double) (step - warmUp) / (steps - warmUp));
        return floor + (1 - floor) * 0.5 * (1 + StrictMath.cos(Math.PI * progress));
    }
}
