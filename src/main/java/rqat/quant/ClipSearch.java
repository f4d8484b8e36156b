package rqat.quant;

/// How the range of a group is chosen.
public enum ClipSearch {
    /// The full range of the values (abs-max or min-max).
    NONE,
    /// The range, shrunk by 0 to 79 per cent in steps of one, that gives the smallest sum of `|error|^2.4` (the search of the GPTQ family's
    /// reference code).
    MSE
}
