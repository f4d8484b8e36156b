/// The decoder on libtorch behind the interfaces of [rqat.generate]: [rqat.generate.torch.TorchSteps] for sampling,
/// [rqat.generate.torch.TorchScorer] for scoring. Which requests run together, and when they end, is not decided here.
@NullMarked
package rqat.generate.torch;

import org.jspecify.annotations.NullMarked;
