/// Cold-start reinforcement learning on a fake-quantised model: advantages, the clipped policy loss, the measured mismatch between
/// sampling and training, the gates that stop a run, and the training objective that ties them to rollouts and a verifier.
///
/// The arithmetic of a step ([rqat.rl.Advantages], [rqat.rl.GrpoLoss], [rqat.rl.Mismatch]) is plain Java on doubles: it works on one
/// number per token, so it costs nothing beside the model and can be checked without one. Sampling itself lives in `generate`, the
/// training loop in `train`, the judgement of an answer in `verify`.
@NullMarked
package rqat.rl;

import org.jspecify.annotations.NullMarked;
