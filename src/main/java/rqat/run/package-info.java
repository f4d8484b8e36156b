/// What makes a run a run: strict configuration, seeds, the life of a stage's directory, checkpoints, metrics, manifest, progress.
///
/// Nothing here knows about libtorch or about what a stage computes.
@NullMarked
package rqat.run;

import org.jspecify.annotations.NullMarked;
