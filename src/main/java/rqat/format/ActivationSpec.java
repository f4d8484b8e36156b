package rqat.format;

/// How activations, keys or values become codes at run time: a scale (and zero point) per token, from the values themselves.
///
/// @param bits      2 to 8
/// @param symmetric codes are signed and the zero point is 0; otherwise codes start at 0
/// @param clip      the range is this part of the values' own, above 0 and at most 1; what lies outside saturates
public record ActivationSpec(int bits, boolean symmetric, double clip) {

    /// Checks the ranges.
    public ActivationSpec {
        if (bits < 2 || bits > 8) throw new IllegalArgumentException("bits of activations is %d; expected 2 to 8".formatted(bits));
        if (!(clip > 0 && clip <= 1)) throw new IllegalArgumentException("clip of activations is %s; expected above 0, at most 1".formatted(clip));
    }

    /// The smallest code.
    public int minimum() {
        return symmetric ? -(1 << (bits - 1)) : 0;
    }

    /// The largest code.
    public int maximum() {
        return symmetric ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
    }
}
