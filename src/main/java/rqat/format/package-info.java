/// The quantised model as files say it: formats of grids and scales, codes, which activations are quantised, and the description of it all.
/// Whoever writes or reads files of other engines, or computes on codes, needs no more than this; a reader maps files, and touches latents
/// never. No libtorch here, no method that chooses codes ([rqat.quant]), no foreign container.
@NullMarked
package rqat.format;

import org.jspecify.annotations.NullMarked;
