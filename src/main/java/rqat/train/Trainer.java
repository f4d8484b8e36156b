package rqat.train;

import java.util.LinkedHashMap;
import java.util.SequencedMap;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Scalar;
import rqat.Failure;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The one training loop. Per step: project the latents, let the objective accumulate the gradient, clip it, update.
///
/// @param student   what is trained
/// @param objective what is minimised
/// @param adam      over the student's parameters
/// @param schedule  learning rate and number of steps
/// @param clip      the gradient is scaled down to this global L2 norm when it is longer; infinity for never
public record Trainer(Student student, Objective objective, Adam adam, Schedule schedule, double clip) {

    private static final int MAX_SKIPPED = 3;

    /// Runs all steps and hands the metrics of each to `metrics`.
    ///
    /// @throws Failure GATE after three steps in a row whose loss or gradient was not finite (their updates were skipped), INTERRUPTED
    ///                 when the thread was interrupted
    public void run(Consumer<SequencedMap<String, Object>> metrics) {
        int skipped = 0;
        for (long step = 0; step < schedule.steps(); step++) {
            if (Thread.interrupted()) throw Failure.interrupted("interrupted before step " + step);
            long start = System.nanoTime();
            student.project();
            StepReport report = objective.accumulate(student, step);
            double norm = Scope.get(() -> Tensors.item(student.gradient().norm()));
            double factor = schedule.factor(step);
            boolean finite = Double.isFinite(norm) && Double.isFinite(report.loss());
            if (finite) {
                skipped = 0;
                if (norm > clip) Scope.run(() -> student.gradient().mul_(new Scalar(clip / norm)));
                adam.step(factor);
            } else {
                skipped++;
            }
            var line = new LinkedHashMap<String, Object>();
            line.put("step", step);
            line.put("loss", report.loss());
            line.put("learning_rate", factor * adam.learningRate());
            line.put("gradient_norm", norm);
            line.put("skipped", finite ? 0 : 1);
            line.put("tokens", report.tokens());
            line.putAll(report.metrics());
            line.put("time/seconds", (System.nanoTime() - start) * 1e-9);
            metrics.accept(line);
            if (skipped == MAX_SKIPPED) {
                throw Failure.gate(("loss or gradient was not finite in %d steps in a row, the last at step %d (loss %s, gradient norm %s);"
                                + " the weights are those of before. Lower the learning rate or look at the data of these steps.")
                        .formatted(MAX_SKIPPED, step, report.loss(), norm));
            }
        }
        student.project();
    }
}
