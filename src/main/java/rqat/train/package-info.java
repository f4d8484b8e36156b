/// Training: the optimiser and its schedule, the student whose fp32 latents are projected onto a quantisation grid, the losses of
/// supervised fine-tuning and distillation, the one loop that runs any [rqat.train.Objective], and its checkpoints. Sampling and rewards
/// belong to reinforcement learning, which builds on this package.
@NullMarked
package rqat.train;

import org.jspecify.annotations.NullMarked;
