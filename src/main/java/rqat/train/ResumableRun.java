package rqat.train;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import org.bytedeco.pytorch.Tensor;
import rqat.Failure;
import rqat.io.SafetensorsFile;
import rqat.io.TensorSource;
import rqat.run.Checkpoints;
import rqat.run.Events;
import rqat.run.Metrics;
import rqat.run.Progress;
import rqat.tensor.Grad;
import rqat.tensor.HostTensors;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import tools.jackson.databind.json.JsonMapper;

/// A training run that may be stopped at any moment and started again, and ends with the same bytes as one that was left alone: latents,
/// grids, codes, moments and metrics (but for the times). A checkpoint holds fp32 latents, moments, scales, zero points, the codes of the
/// start and what the objective has to remember; the data of a step depends on the step alone.
///
/// @param directory   an existing folder, gets `metrics.jsonl` and `events.jsonl`
/// @param checkpoints folder of the checkpoints
/// @param every       steps between checkpoints; one more is written when the run ends or is interrupted
/// @param label       what the progress display calls the run
public record ResumableRun(Path directory, Path checkpoints, int every, String label, Progress progress) {
    private static final String LATENTS = "latents";
    private static final String MOMENTS = "moments";

    /// Where an objective that samples logs its completions, a line each with its `step`; cut back with the metrics on resume.
    public static final String COMPLETIONS = "completions.jsonl";

    /// Checks the interval.
    public ResumableRun {
        if (every < 1) throw new IllegalArgumentException("a checkpoint every %d steps; expected at least 1".formatted(every));
    }

    /// Continues from the newest intact checkpoint, if there is one, to the end of the trainer's schedule.
    ///
    /// @throws Failure as [Trainer#run], with a checkpoint of what was done before an interruption; BAD_FILE when a checkpoint belongs to
    ///                 another model or other settings
    public void run(Trainer trainer) {
        run(trainer, (_, _) -> {});
    }

    /// As [#run(Trainer)], telling `listener` of every step before the checkpoint that includes it is written; after an interruption it may
    /// hear of a step again.
    public void run(Trainer trainer, Trainer.Listener listener) {
        Path metricsFile = directory.resolve("metrics.jsonl");
        Path eventsFile = directory.resolve("events.jsonl");
        var store = new Checkpoints(checkpoints);
        var warnings = new ArrayList<String>();
        long first = store.latest(warnings::add).map(checkpoint -> restore(checkpoint, trainer)).orElse(0L);
        Metrics.truncateAfter(metricsFile, first - 1);
        Events.truncateAfter(eventsFile, first - 1);
        Metrics.truncateAfter(directory.resolve(COMPLETIONS), first - 1);
        try (var metrics = Metrics.append(metricsFile);
                var events = Events.append(eventsFile);
                var task = progress.start(label, first, trainer.schedule().steps(), "steps")) {
            warnings.forEach(warning -> events.write(first, Events.Kind.WARNING, warning));
            long[] finished = {first};
            try {
                trainer.run(first, (step, numbers) -> {
                    metrics.write(step, numbers);
                    finished[0] = step + 1;
                    listener.finished(step, numbers);
                    task.note(String.format(Locale.ROOT, "loss %.4f", numbers.get("loss").doubleValue()));
                    task.advance(1);
                    if (finished[0] % every == 0 || finished[0] == trainer.schedule().steps()) {
                        requireThere(metricsFile);
                        metrics.force();
                        save(store, finished[0], trainer);
                    }
                });
            } catch (Failure failure) {
                if (failure.kind() == Failure.Kind.INTERRUPTED && finished[0] > first) saveInterrupted(store, finished[0], trainer, metrics, failure);
                throw failure;
            }
        }
    }

    /// A checkpoint would make a directory anew that somebody has removed, without what was in it.
    private static void requireThere(Path metricsFile) {
        if (!Files.exists(metricsFile)) {
            throw Failure.failed("%s was removed during the training, which ends here; nothing was published. Run the command again".formatted(metricsFile.getParent()));
        }
    }

    /// Should the interruption have closed a file under our hands, the checkpoint before this one is still there.
    private static void saveInterrupted(Checkpoints store, long step, Trainer trainer, Metrics metrics, Failure failure) {
        Thread.interrupted(); // an interrupted thread cannot write files
        try {
            metrics.force();
            save(store, step, trainer);
        } catch (Failure second) {
            failure.addSuppressed(second);
        }
    }

    private static void save(Checkpoints store, long step, Trainer trainer) {
        var state = JsonMapper.shared().createObjectNode();
        state.put("updates", trainer.adam().steps());
        state.set("objective", trainer.objective().state());
        Scope.run(() -> store.save(
                step,
                Map.of(LATENTS, sources(trainer.student().state()), MOMENTS, sources(trainer.adam().state())),
                state));
    }

    /// The tensors' own memory: nothing changes them while they are written.
    private static SequencedMap<String, TensorSource> sources(SequencedMap<String, Tensor> tensors) {
        var sources = new LinkedHashMap<String, TensorSource>();
        tensors.forEach((name, tensor) -> sources.put(name, HostTensors.view(tensor)));
        return sources;
    }

    private static long restore(Checkpoints.Loaded checkpoint, Trainer trainer) {
        restore(checkpoint, LATENTS, trainer.student().state());
        restore(checkpoint, MOMENTS, trainer.adam().state());
        trainer.adam().resume(checkpoint.state().path("updates").asLong());
        trainer.objective().restore(checkpoint.state().path("objective"));
        trainer.student().project();
        return checkpoint.step();
    }

    private static void restore(Checkpoints.Loaded checkpoint, String group, SequencedMap<String, Tensor> into) {
        try (SafetensorsFile file = checkpoint.open(group)) {
            if (!file.tensors().keySet().equals(into.keySet())) throw foreign(file, "holds other tensors than this run trains");
            file.tensors().forEach((name, source) -> {
                Tensor target = into.get(name);
                if (source.type() != HostTensors.dataType(Tensors.type(target)) || !Arrays.equals(source.shape(), Tensors.shape(target))) {
                    throw foreign(file, "%s is %s; this run has %s".formatted(name, source, Arrays.toString(Tensors.shape(target))));
                }
                Grad.off(() -> Scope.run(() -> target.copy_(HostTensors.toTensor(source, Place.of(target)))));
            });
        }
    }

    private static Failure foreign(SafetensorsFile file, String what) {
        return Failure.badFile("%s: %s. The checkpoint belongs to another model or other settings; delete the run's folder to begin again."
                .formatted(file.path(), what));
    }
}
