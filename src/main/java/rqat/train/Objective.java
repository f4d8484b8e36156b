package rqat.train;

import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// What a run minimises: supervised fine-tuning, distillation and policy optimisation are objectives, and [Trainer] runs them all.
///
/// The data of a step must be a pure function of the configuration, the weights and the step, so that a resumed run needs no cursor.
public interface Objective {

    /// Adds to the student's gradients that of the whole optimiser step `step` (counted from 0): all micro-batches, forward and backward.
    StepReport accumulate(Student student, long step);

    /// What it has to remember between steps beyond the step itself (running averages, gate histories), for a checkpoint. Nothing for most.
    default JsonNode state() {
        return JsonMapper.shared().createObjectNode();
    }

    /// Continues from what [#state] said.
    default void restore(JsonNode state) {}
}
