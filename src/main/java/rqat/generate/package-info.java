/// Samples completions: requests in, tokens with their log-probabilities out; no libtorch.
///
/// [rqat.generate.Scheduler] is continuous batching: requests with samplings of their own, submitted and cancelled while others run, over a
/// [rqat.generate.StepModel], which is all that it knows of the model ([rqat.generate.torch.TorchSteps] on libtorch). Whoever answers requests as
/// they come uses it directly. [rqat.generate.Generator] is the interface for whoever has a batch of requests and waits for all of them
/// (rollouts, evaluation, the command line): [rqat.generate.LocalGenerator] gives them to a scheduler, [rqat.generate.ServerGenerator] to a
/// server. [rqat.generate.Scorer] says how probable given tokens are.
///
/// Token ids only, but for the text in which stop texts are looked for; chat templates and answer checking live elsewhere.
@NullMarked
package rqat.generate;

import org.jspecify.annotations.NullMarked;
