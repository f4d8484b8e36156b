package rqat.api;

import rqat.quant.Method;

/// How weights become codes. Each has its page in `docs/methods`.
public enum QuantisationMethod {
    /// Round to nearest.
    RTN(Method.Name.RTN),
    /// Column by column, the error of each made good by those that follow.
    GPTQ(Method.Name.GPTQ),
    /// Channels scaled by how large their inputs are.
    AWQ(Method.Name.AWQ),
    /// Rotated weights, activations and cache.
    QUAROT(Method.Name.QUAROT),
    /// Learned transforms of weights, activations and cache.
    FLATQUANT(Method.Name.FLATQUANT);

    final Method.Name name;

    QuantisationMethod(Method.Name name) {
        this.name = name;
    }
}
