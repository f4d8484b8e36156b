package rqat.train;

import org.bytedeco.pytorch.Tensor;

/// One trained tensor.
///
/// @param name     its Hugging Face name
/// @param value    fp32, updated in place by the optimiser
/// @param gradient fp32 of the same shape, summed over an optimiser step
public record Parameter(String name, Tensor value, Tensor gradient) {}
