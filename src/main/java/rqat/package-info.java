/// Reasoning-QAT for the JVM. This package holds only what every layer needs: [rqat.Failure].
///
/// The flow, in the order of the folders: `model` reads a checkpoint, `quant` compresses it, `train` distils and fine-tunes it, `rl`
/// reinforces it, `eval` proves it, `export` ships it; `recipe` chains these stages and `cli` offers them as commands.
@NullMarked
package rqat;

import org.jspecify.annotations.NullMarked;
