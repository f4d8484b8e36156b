package rqat.train;

import java.util.LinkedHashMap;
import java.util.Set;
import java.util.SequencedMap;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Scalar;
import rqat.Failure;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The one training loop. Per step: the objective accumulates the gradient, the student turns it into that of its latents, it is clipped,
/// the optimiser moves the latents, the student projects them.
///
/// @param student   what is trained
/// @param objective what is minimised
/// @param adam      over all of the student's parameters and scales
/// @param schedule  learning rate and number of steps
/// @param clip      the gradient is scaled down to this global L2 norm when it is longer; infinity for never
public record Trainer(Student student, Objective objective, Adam adam, Schedule schedule, double clip) {

    private static final int MAX_SKIPPED = 3;

    /// Checks that the optimiser moves exactly what the student trains.
    public Trainer {
        Set<String> trained = student.trained().stream().map(Parameter::name).collect(Collectors.toSet());
        if (!trained.equals(adam.names())) {
            throw new IllegalArgumentException("the optimiser's groups hold %d of the student's %d parameters"
                    .formatted(adam.names().size(), trained.size()));
        }
        if (!(clip > 0)) throw new IllegalArgumentException("gradient clip is %s; expected above 0".formatted(clip));
    }

    /// Hears of every finished step, on the training thread; what it throws ends the run.
    @FunctionalInterface
    public interface Listener {
        /// Step `step` is done and these are its numbers.
        void finished(long step, SequencedMap<String, Number> metrics);
    }

    /// Runs the steps from `first` on, which is 0 or what a checkpoint says.
    ///
    /// @throws Failure GATE after three steps in a row whose loss or gradient was not finite (their updates were skipped), INTERRUPTED
    ///                 after the step during which the thread was interrupted
    public void run(long first, Listener listener) {
        int skipped = 0;
        for (long step = first; step < schedule.steps(); step++) {
            Line line = step(step);
            // The flag is taken down before the listener writes files, which an interrupted thread cannot, and acted on afterwards.
            boolean interrupted = Thread.interrupted();
            listener.finished(step, line.metrics);
            if (interrupted) throw Failure.interrupted("interrupted after step %d; the same command resumes".formatted(step));
            skipped = line.finite ? 0 : skipped + 1;
            if (skipped == MAX_SKIPPED) {
                throw Failure.gate(("loss or gradient was not finite in %d steps in a row, the last at step %d (loss %s, gradient norm %s);"
                                + " the weights are those of before. Lower the learning rate or look at the data of these steps.")
                        .formatted(MAX_SKIPPED, step, line.metrics.get("loss"), line.metrics.get("gradient_norm")));
            }
        }
    }

    private record Line(boolean finite, SequencedMap<String, Number> metrics) {}

    private Line step(long step) {
        long start = System.nanoTime();
        student.zeroGradients();
        StepReport report = objective.accumulate(student, step);
        student.gradients();
        double norm = Scope.get(() -> Tensors.item(student.gradient().norm()));
        double factor = schedule.factor(step);
        boolean finite = Double.isFinite(norm) && Double.isFinite(report.loss());
        // A gradient of exactly 0 says nothing (GRPO when every group is all right or all wrong); momentum alone must not move the weights.
        boolean moved = finite && norm > 0;
        if (moved) {
            if (norm > clip) Scope.run(() -> student.gradient().mul_(new Scalar(clip / norm)));
            adam.step(factor);
            student.project();
        }
        var metrics = new LinkedHashMap<String, Number>();
        metrics.put("loss", report.loss());
        metrics.put("learning_rate", factor * adam.learningRate());
        metrics.put("gradient_norm", norm);
        metrics.put("skipped", finite ? 0 : 1);
        metrics.put("tokens", report.tokens());
        Student.CodeReport codes = student.codeReport();
        if (codes != null) {
            metrics.put("quant/code_flip_step", moved ? codes.flippedStep() : 0.0);
            metrics.put("quant/code_flip_total", codes.flippedTotal());
            if (!Double.isNaN(codes.saturated())) metrics.put("quant/saturated", codes.saturated());
        }
        metrics.putAll(report.metrics());
        metrics.put("time/seconds", (System.nanoTime() - start) * 1e-9);
        return new Line(finite, metrics);
    }
}
