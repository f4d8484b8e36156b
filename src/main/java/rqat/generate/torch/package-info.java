/// Sampling and scoring by the decoder on libtorch.
@NullMarked
package rqat.generate.torch;

import org.jspecify.annotations.NullMarked;
