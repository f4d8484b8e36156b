/// Files as they are on disk: safetensors and the checkpoints made of them, and files that appear whole or not at all.
///
/// Nothing here knows about libtorch, models or training; everything read is treated as hostile until it has been checked.
@NullMarked
package rqat.io;

import org.jspecify.annotations.NullMarked;
