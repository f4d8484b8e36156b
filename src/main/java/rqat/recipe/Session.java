package rqat.recipe;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import rqat.io.AtomicFiles;
import rqat.rl.Rollout;
import rqat.run.Configuration;
import rqat.run.Events;
import rqat.run.Manifest;
import rqat.run.Progress;
import rqat.run.StageDirectory;
import rqat.tensor.Torch;
import rqat.train.ResumableRun;

/// What the stages of one command share.
///
/// @param seed     of everything random that is not a benchmark
/// @param compute  dtype of forward and backward passes; part of every result
/// @param threads  that one operation of a stage may use
/// @param cacheGib GiB that the keys and values of sequences being sampled may take; sequences beyond wait for others to end
/// @param progress where stages say how far they are
public record Session(long seed, Torch.Compute compute, int threads, double cacheGib, Progress progress) {

    private record Identity(long seed, Torch.Compute compute, Object settings) {}

    /// Makes `out` by `stage`, unless it is there already: resumes what is unfinished, and publishes the directory when `body` has
    /// filled it.
    ///
    /// @param settings everything that the result depends on besides the inputs, a record
    /// @param inputs   directories that it is made from, by name; their hashes become part of the stage's identity
    void produce(String stage, Object settings, SequencedMap<String, Path> inputs, Path out, Consumer<Work> body) {
        var hashes = new TreeMap<String, String>();
        inputs.forEach((name, path) -> hashes.put(name, Manifest.sha256(path)));
        switch (StageDirectory.open(out, stage, Configuration.toTree(new Identity(seed, compute, settings)), hashes)) {
            case StageDirectory.Finished _ -> {}
            case StageDirectory.Fresh(StageDirectory.Work work) -> work(work, out, body);
            case StageDirectory.Resumable(StageDirectory.Work work) -> work(work, out, body);
        }
    }

    private void work(StageDirectory.Work directory, Path out, Consumer<Work> body) {
        Torch.threads(threads);
        try (directory) {
            body.accept(new Work(directory, out.getFileName().toString(), compute, progress));
            directory.finish();
        }
    }

    /// Inputs by name, in order: `inputs("model", path, "teacher", path)`.
    static SequencedMap<String, Path> inputs(Object... namesAndPaths) {
        var inputs = new LinkedHashMap<String, Path>();
        for (int i = 0; i < namesAndPaths.length; i += 2) inputs.put((String) namesAndPaths[i], (Path) namesAndPaths[i + 1]);
        return inputs;
    }

    /// A stage at work.
    ///
    /// @param stage    its directory
    /// @param name     what progress and messages call it
    /// @param compute  dtype of forward and backward passes
    /// @param progress where it says how far it is
    record Work(StageDirectory.Work stage, String name, Torch.Compute compute, Progress progress) {
        /// Where results go.
        Path directory() {
            return stage.directory();
        }

        /// Appends the completions of a step of reinforcement learning to `completions.jsonl`.
        void completions(long step, List<Rollout> rollouts, double[] advantages) {
            var lines = new StringBuilder();
            for (int i = 0; i < rollouts.size(); i++) lines.append(rollouts.get(i).toJson(step, advantages[i])).append('\n');
            Path file = directory().resolve(ResumableRun.COMPLETIONS);
            try {
                Files.writeString(file, lines, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            } catch (IOException e) {
                throw AtomicFiles.failure("write", file, e);
            }
        }

        /// Logs something worth knowing later.
        void note(String text) {
            try (var events = Events.append(directory().resolve("events.jsonl"))) {
                events.write(0, Events.Kind.NOTE, text);
            }
        }
    }
}
