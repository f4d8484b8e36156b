/// `config.json` becomes a [rqat.model.ModelConfig], the checkpoint becomes [rqat.model.Weights] under their Hugging Face names, and one
/// [rqat.model.Decoder] runs them all: Qwen3, Qwen2 (R1-Distill) and Llama 3 differ by flags. Knows nothing of quantisation, training or
/// sampling; those hook in through [rqat.model.Sites] and [rqat.model.Attention].
@NullMarked
package rqat.model;

import org.jspecify.annotations.NullMarked;
