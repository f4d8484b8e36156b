/// Is this answer right: one verifier scores a benchmark and rewards a rollout, and says why.
///
/// Here live what verifiers have in common, and the choice of a letter. Formulas and numbers are in [rqat.verify.mathematics], generated
/// programs in [rqat.verify.program]. Completions are adversarial input: every verifier is total (never an exception) and bounded in time
/// and memory. No torch.
@NullMarked
package rqat.verify;

import org.jspecify.annotations.NullMarked;
