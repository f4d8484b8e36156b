package rqat.export;

import java.util.Locale;

/// The largest change of a value that an export makes.
///
/// @param tensor   where
/// @param absolute how much
/// @param relative how much of the value that it is, 1 where that is 0
public record Change(String tensor, double absolute, double relative) {
    /// Nothing changes.
    public static final Change NONE = new Change("", 0, 0);

    /// Whether nothing changes.
    public boolean isNone() {
        return absolute == 0;
    }

    /// From one value to another.
    static Change of(String tensor, float from, float to) {
        if (from == to) return NONE;
        double absolute = Math.abs((double) to - from);
        return new Change(tensor, Double.isNaN(absolute) ? Double.POSITIVE_INFINITY : absolute, from == 0 ? 1 : absolute / Math.abs((double) from));
    }

    /// The larger of two.
    Change or(Change other) {
        return other.absolute > absolute ? other : this;
    }

    @Override
    public String toString() {
        return isNone() ? "none" : String.format(Locale.ROOT, "%.3g (%.3g of the value) in %s", absolute, relative, tensor);
    }
}
