/// What a stage reads of its data: the word problems and data files as token sequences to train on, windows to calibrate on and problems to
/// reward, in the chat format of the model. No tensors, and no knowledge of what a stage does with them.
@NullMarked
package rqat.texts;

import org.jspecify.annotations.NullMarked;
