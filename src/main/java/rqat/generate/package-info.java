/// Samples completions: requests in, tokens with their log-probabilities out. [rqat.generate.Generator] is the one interface, for
/// rollouts, evaluation and the command line alike; [rqat.generate.torch.LocalGenerator] runs it on libtorch with continuous batching.
///
/// Token ids only: text, chat templates and answer checking live elsewhere.
@NullMarked
package rqat.generate;

import org.jspecify.annotations.NullMarked;
