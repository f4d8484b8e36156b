package rqat.recipe;

import java.util.HashSet;
import java.util.List;
import java.util.stream.IntStream;
import rqat.run.Adjustable;
import rqat.run.Configuration;
import rqat.train.Adam;
import rqat.train.Schedule;
import rqat.quant.FlatTransforms;
import rqat.quant.QuantisedModel;
import rqat.tensor.Torch;
import rqat.train.Student;

/// How a training stage moves the weights, the same for every objective.
///
/// @param steps              optimiser steps
/// @param learningRate       peak, of all weights
/// @param learnScales        train the quantisation scales too, where the method left them fixed
/// @param scaleLearningRate  peak, of learned quantisation scales
/// @param transformLearningRate peak, of learned transforms and their channel scales; 0 leaves them as they are
/// @param clipLearningRate   peak, of learned clip logits; 0 leaves them as they are
/// @param warmUp             steps before the peak
/// @param floor              the cosine ends at this factor of the peak
/// @param clip               largest global L2 norm of the gradient
/// @param weightDecay        of matrices, decoupled
/// @param microBatch         sequences that go through the model together; changes memory, not the result
/// @param recomputeBlocks    keep only the inputs of blocks and compute blocks twice: less memory, a third more work
/// @param frozen             exact names of parameters that are not trained
/// @param checkpointEvery    steps between checkpoints
/// @param snapshotEvery      steps between models that are kept beside the result, to be evaluated; 0 for none
public record Optimisation(
        int steps,
        double learningRate,
        boolean learnScales,
        double scaleLearningRate,
        double transformLearningRate,
        double clipLearningRate,
        int warmUp,
        double floor,
        double clip,
        double weightDecay,
        @Adjustable int microBatch,
        @Adjustable boolean recomputeBlocks,
        List<String> frozen,
        @Adjustable int checkpointEvery,
        int snapshotEvery) {

    /// Checks what [Schedule] and [Adam] do not.
    public Optimisation {
        frozen = List.copyOf(frozen);
        Configuration.require(steps >= 1, "steps", steps, "1 or more");
        Configuration.require(warmUp >= 0 && warmUp < steps, "warm_up", warmUp, "0 or more and below steps (%d)".formatted(steps));
        Configuration.require(learningRate > 0, "learning_rate", learningRate, "more than 0");
        Configuration.require(scaleLearningRate > 0, "scale_learning_rate", scaleLearningRate, "more than 0");
        Configuration.require(transformLearningRate >= 0, "transform_learning_rate", transformLearningRate, "0 or more");
        Configuration.require(clipLearningRate >= 0, "clip_learning_rate", clipLearningRate, "0 or more");
        Configuration.require(floor >= 0 && floor <= 1, "floor", floor, "0 to 1");
        Configuration.require(clip > 0, "clip", clip, "more than 0");
        Configuration.require(weightDecay >= 0, "weight_decay", weightDecay, "0 or more");
        Configuration.require(microBatch >= 1, "micro_batch", microBatch, "1 or more");
        Configuration.require(checkpointEvery >= 1, "checkpoint_every", checkpointEvery, "1 or more");
        Configuration.require(snapshotEvery >= 0, "snapshot_every", snapshotEvery, "0 or more");
    }

    /// A default of `steps` steps at this peak learning rate with 3 % warm-up (paper, Tables 6 and 7), cosine to 0, clip 1, no decay;
    /// transforms at 5e-5 and clip logits at 5e-4 (Table 6).
    public static Optimisation of(int steps, double learningRate, int microBatch) {
        return new Optimisation(
                steps, learningRate, false, learningRate, 5e-5, 5e-4, Math.ceilDiv(3 * steps, 100), 0, 1, 0, microBatch, false, List.of(), 25, 0);
    }

    /// These settings, but learned transforms and clip logits stay as they are (the paper has one learning rate for GRPO).
    Optimisation weightsOnly() {
        return new Optimisation(
                steps,
                learningRate,
                learnScales,
                scaleLearningRate,
                0,
                0,
                warmUp,
                floor,
                clip,
                weightDecay,
                microBatch,
                recomputeBlocks,
                frozen,
                checkpointEvery,
                snapshotEvery);
    }

    /// The numbers of finished steps after which a model is kept; the end is the result itself.
    IntStream snapshots() {
        return snapshotEvery == 0 ? IntStream.empty() : IntStream.iterate(snapshotEvery, step -> step < steps, step -> step + snapshotEvery);
    }

    Schedule schedule() {
        return new Schedule(warmUp, steps, floor);
    }

    Student.Options student(Torch.Compute compute, QuantisedModel model) {
        var untrained = new HashSet<>(frozen);
        if (model.transforms() != null) {
            for (String name : model.transforms().parameters().keySet()) {
                if ((FlatTransforms.isClip(name) ? clipLearningRate : transformLearningRate) == 0) untrained.add(name);
            }
        }
        return new Student.Options(compute.type(), recomputeBlocks, untrained);
    }

    /// Adam over everything the student trains: the paper's betas of 0.9 and 0.95.
    Adam adam(Student student) {
        return new Adam(
                new Adam.Settings(
                        Adam.Settings.DEFAULT.beta1(), Adam.Settings.DEFAULT.beta2(), Adam.Settings.DEFAULT.epsilon(), weightDecay),
                List.of(
                        new Adam.Group(learningRate, student.parameters()),
                        new Adam.Group(scaleLearningRate, student.scales()),
                        new Adam.Group(transformLearningRate, student.transforms()),
                        new Adam.Group(clipLearningRate, student.clips())));
    }
}
