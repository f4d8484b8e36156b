package rqat.format;

/// Where the straight-through estimator lets the gradient of a fake-quantised weight pass to its latent.
public enum MaskRule {
    /// Where the rounded code is on the grid, so up to half a step beyond its ends: what automatic differentiation of
    /// `clamp(round(w / s) + z)` gives, and all reference implementations use.
    HALF_STEP,
    /// Where `w / s + z` itself is within the grid's ends: the paper's formula. With clipped ranges this freezes about twice as many
    /// weights.
    STRICT
}
