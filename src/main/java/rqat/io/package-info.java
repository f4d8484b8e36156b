/// Files as they are on disk: safetensors, the checkpoints made of them, GGUF, packed codes, and files that appear whole or not at all.
///
/// Nothing here knows about libtorch, models or training; everything read is treated as hostile until it has been checked.
@NullMarked
package rqat.io;

import org.jspecify.annotations.NullMarked;
