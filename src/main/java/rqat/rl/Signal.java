package rqat.rl;

import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.model.Decoder;
import rqat.train.Teacher;

/// What a student learns from the completions that it has sampled.
public sealed interface Signal {

    /// Which of them were better than their group: GRPO. One number for all tokens of a completion; none where all of a group are equal.
    ///
    /// @param scaling       of the advantages
    /// @param loss          how they become a loss
    /// @param importanceCap cap of the token weights against what the sampler thought ([Mismatch#weights]); 0 for no weights
    /// @param reference     the model of the KL term; null when its weight is 0
    record Rewards(Advantages.Scaling scaling, GrpoLoss loss, double importanceCap, @Nullable Decoder reference) implements Signal {
        /// Checks the range of the cap and that a KL term has its model.
        ///
        /// @throws Failure USAGE
        public Rewards {
            if (importanceCap != 0 && !(importanceCap >= 1)) {
                throw Failure.usage("grpo: importance cap is %s; expected 1 or more, or 0 for no weights".formatted(importanceCap));
            }
            if (loss.klWeight() > 0 && reference == null) {
                throw Failure.usage("grpo: a KL weight of %s needs a reference model".formatted(loss.klWeight()));
            }
        }

        /// Whether completions without advantage may be left out of the training pass: not with a KL term, which pulls them too, nor where
        /// the loss depends on what shares a micro-batch.
        boolean skipsFlatGroups() {
            return loss.klWeight() == 0 && loss.preset() != GrpoLoss.Preset.BNPO;
        }
    }

    /// What a teacher would have written in the student's place, at every token: on-policy distillation (Agarwal et al. 2024,
    /// arXiv:2306.13649; Gu et al. 2024, arXiv:2306.08543). The mean over all loss tokens of the step of the divergence between the two
    /// full distributions. Nothing is differentiated through the sampling: how a token changes what comes after it is left out, as in the
    /// former paper.
    record Distillation(Teacher teacher) implements Signal {}
}
