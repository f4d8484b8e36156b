/// The low-bit engine: the decoder over packed codes, in plain Java with the Vector API, without libtorch and without the quantisers.
///
/// [rqat.engine.PackedModel] opens a model directory and orders its codes once for the processor; [rqat.engine.PackedSteps] samples from it behind
/// [rqat.generate.StepModel], [rqat.engine.PackedScorer] scores. Activations are float32.
///
/// **One order of additions.** Every number is computed by one chain of operations that depends on its own row alone: never on how many rows or threads share the work, on how wide
/// the processor's vectors are, or on whether a token is part of a prompt, of a text to be scored, or being decoded. So a token has the same log-probability, to the last bit, however it
/// came about.
@NullMarked
package rqat.engine;

import org.jspecify.annotations.NullMarked;
