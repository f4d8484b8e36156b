/// Compression: the one integer grid ([rqat.quant.Grid]) that training, rollouts, evaluation and export share, the methods that choose
/// codes and latent weights ([rqat.quant.Method]), the layer-sequential calibration driver, and the quantised model on disk. Algorithms
/// are pure functions on tensors. Nothing here trains, samples or knows an export format.
///
/// Shapes: R rows (output channels), C columns (input channels), G columns per group.
@NullMarked
package rqat.quant;

import org.jspecify.annotations.NullMarked;
