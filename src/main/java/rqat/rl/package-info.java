/// Training of a fake-quantised model on what it samples itself, from rewards (GRPO: advantages, the clipped policy loss) or towards a
/// teacher (on-policy distillation): rollouts and their judgement, the measured mismatch between sampling and training, the gates that
/// stop a run, and the training objective that ties them together.
///
/// The arithmetic of a step ([rqat.rl.Advantages], [rqat.rl.GrpoLoss], [rqat.rl.Mismatch]) is plain Java on doubles: it works on one
/// number per token, so it costs nothing beside the model and can be checked without one. Sampling itself lives in `generate`, the
/// training loop in `train`, the judgement of an answer in `verify`.
@NullMarked
package rqat.rl;

import org.jspecify.annotations.NullMarked;
