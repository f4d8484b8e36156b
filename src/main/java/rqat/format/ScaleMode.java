package rqat.format;

/// What becomes of the scales and zero points while the latents are trained.
public enum ScaleMode {
    /// They stay as the compression method left them. The only choice that starts at the compressed model for latents with error
    /// compensation (GPTQ): their range differs from that of the weights.
    STATIC,
    /// They are refitted to the full range of the latents at every projection; no gradient passes through them (paper, equation 1, for
    /// round-to-nearest initialisation).
    DYNAMIC,
    /// The scales are parameters with the gradient of [rqat.quant.Grid#scaleGradient]; zero points stay. Not in the paper.
    LEARNED
}
