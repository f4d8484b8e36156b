package rqat.recipe;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.eval.Evaluation;
import rqat.format.ModelFiles;
import rqat.format.Provenance;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
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
/// @param places   where a stage that is asked to fill a directory really goes
/// @param mlflow   server that gets the metrics of training stages too, or null
public record Session(
        long seed, Torch.Compute compute, int threads, double cacheGib, Progress progress, Places places, @Nullable URI mlflow) {

    /// Where stages go.
    public enum Places {
        /// Where they are told to, to be found there by people.
        NAMED,
        /// Beside that, under the name and a hash of everything that the result depends on ([StageDirectory#key]), so that stages with
        /// equal contents are one and others never meet.
        ADDRESSED
    }

    /// Digits of the hash in the names of directories; the whole is compared when a directory is opened.
    private static final int KEY_DIGITS = 16;

    /// How long a stage worked, in its directory.
    static final String TIME = "time.json";

    /// What the next attempt goes on from: checkpoints of a training, units of an evaluation. A stage that fails without either leaves nothing.
    private static final List<String> RESUMABLE = List.of(StageDirectory.CHECKPOINTS, Evaluation.UNITS);

    /// Stages that go where they are told to.
    public Session(long seed, Torch.Compute compute, int threads, double cacheGib, Progress progress) {
        this(seed, compute, threads, cacheGib, progress, Places.NAMED, null);
    }

    /// The same that tells an MLflow server; null for none.
    public Session telling(@Nullable URI server) {
        return new Session(seed, compute, threads, cacheGib, progress, places, server);
    }

    /// The same with another seed.
    Session withSeed(long other) {
        return new Session(other, compute, threads, cacheGib, progress, places, mlflow);
    }

    private record Identity(long seed, Torch.Compute compute, Object settings) {}

    /// Makes `out` by `stage`, unless it is there already: resumes what is unfinished, and publishes the directory when `body` has
    /// filled it. When `body` fails before anything was made that could be resumed, nothing is left behind.
    ///
    /// @param settings a record; what of it is not [rqat.run.Adjustable] decides the result and is part of the stage's identity
    /// @param inputs   model directories and files that it is made from, by name; their keys or hashes are part of it too
    /// @return the directory, which is `out` but where [Places#ADDRESSED]
    Path produce(String stage, Object settings, SequencedMap<String, Path> inputs, Path out, Consumer<Work> body) {
        var hashes = new TreeMap<String, String>();
        inputs.forEach((name, path) -> hashes.put(name, hash(path)));
        var configuration = Configuration.identity(new Identity(seed, compute, settings));
        var made = new Provenance.Stage(stage, seed, configuration.path("settings"), hashes, Map.of(
                "rqat", Manifest.VERSION, "libtorch", Torch.VERSION, "java", String.valueOf(Runtime.version().feature())));
        String name = String.valueOf(out.getFileName());
        Path place = switch (places) {
            case NAMED -> out;
            case ADDRESSED -> out.resolveSibling(
                    name + "-" + StageDirectory.key(stage, configuration, hashes).substring(0, KEY_DIGITS));
        };
        switch (StageDirectory.open(place, stage, configuration, hashes)) {
            case StageDirectory.Finished _ -> {}
            case StageDirectory.Fresh(StageDirectory.Work work) -> work(work, name, made, body);
            case StageDirectory.Resumable(StageDirectory.Work work) -> work(work, name, made, body);
        }
        return place;
    }

    /// What stands for an input: the key of a content-addressed stage, which is known before it is made and survives that it is made again;
    /// otherwise the hash of what decides what a model computes, or of a file.
    private static String hash(Path input) {
        return StageDirectory.key(input)
                .filter(key -> input.getFileName().toString().endsWith("-" + key.substring(0, KEY_DIGITS)))
                .orElseGet(() -> Files.isDirectory(input) ? ModelFiles.sha256(input) : AtomicFiles.sha256(input));
    }

    private void work(StageDirectory.Work directory, String name, Provenance.Stage made, Consumer<Work> body) {
        Torch.threads(threads);
        try (directory) {
            var watch = Stopwatch.resume(directory.directory().resolve(TIME));
            try {
                body.accept(new Work(directory, name, compute, progress, mlflow, made));
            } catch (RuntimeException | Error failure) {
                abandon(directory, watch, failure);
                throw failure;
            }
            directory.requireThere();
            requireConfiguration(directory.directory());
            watch.write();
            directory.finish();
        }
    }

    /// Weights that nothing describes are no model.
    private static void requireConfiguration(Path directory) {
        boolean weights = Files.exists(directory.resolve("model.safetensors")) || Files.exists(directory.resolve("model.safetensors.index.json"));
        if (weights && !Files.exists(directory.resolve("config.json"))) {
            throw Failure.failed("%s has weights and no config.json: it was removed while the stage was at work; nothing was published. Run the command again"
                    .formatted(directory));
        }
    }

    private static void abandon(StageDirectory.Work directory, Stopwatch watch, Throwable failure) {
        try {
            if (!directory.abandon(RESUMABLE)) watch.write();
        } catch (Failure second) {
            failure.addSuppressed(second);
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
    /// @param mlflow   server that gets the metrics of training, or null
    /// @param made     what its result says about it
    record Work(StageDirectory.Work stage, String name, Torch.Compute compute, Progress progress, @Nullable URI mlflow, Provenance.Stage made) {
        /// Where a model comes from that this stage makes of the full-precision model in `base`, an input called `model`.
        Provenance of(Path base) {
            String called = JsonFiles.read(base.resolve("config.json")).path("_name_or_path").asString("");
            String name = called.isBlank() || called.startsWith("/") ? base.toAbsolutePath().normalize().getFileName().toString() : called;
            return new Provenance(new Provenance.Base(name, made.inputs().get("model")), List.of(made));
        }

        /// Where results go.
        Path directory() {
            return stage.directory();
        }

        /// Appends the completions of a step of reinforcement learning to `completions.jsonl`.
        void completions(long step, List<Rollout> rollouts, double @Nullable [] advantages) {
            var lines = new StringBuilder();
            for (int i = 0; i < rollouts.size(); i++) lines.append(rollouts.get(i).toJson(step, advantages == null ? null : advantages[i])).append('\n');
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
