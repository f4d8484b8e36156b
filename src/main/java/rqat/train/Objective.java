package rqat.train;

/// What a run minimises: supervised fine-tuning, distillation and policy optimisation are objectives, and [Trainer] runs them all.
///
/// The data of a step must be a pure function of the configuration and the step, so that a resumed run needs nothing but the step.
public interface Objective {

    /// Adds to the student's gradients that of the whole optimiser step `step` (counted from 0): all micro-batches, forward and backward.
    StepReport accumulate(Student student, long step);
}
