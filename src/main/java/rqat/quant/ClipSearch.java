package rqat.quant;

/// How the range of a group is chosen.
public enum ClipSearch {
    /// The full range of the values (abs-max or min-max), widened to hold zero.
    NONE,
    /// The range, shrunk by 0 to 79 per cent in steps of one, that gives the smallest sum of `|error|^2.4` (the search of the GPTQ family's
    /// reference code).
    MSE,
    /// The full range of the values, even where zero is outside: the zero point is clamped then, and the far end of the group saturates
    /// (AWQ's quantiser). The same as NONE when symmetric.
    TIGHT
}
