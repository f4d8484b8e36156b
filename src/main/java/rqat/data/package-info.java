/// What a model learns from and is asked: rows from files, the embedded word problems and their tokenizer, conversations as token
/// batches, packing, calibration windows. No tensors that need a gradient and no knowledge of any training method.
@NullMarked
package rqat.data;

import org.jspecify.annotations.NullMarked;
