package rqat.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.format.ModelFiles;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.quant.Method;
import rqat.run.Configuration;
import rqat.run.Metrics;
import rqat.run.Progress;
import rqat.tensor.Torch;
import tools.jackson.databind.node.ObjectNode;

/// A stage is what decides its result: nothing else keeps it from being found, resumed or built upon, and nothing less lets it pass for another.
class IdentityTest {
    private static final Path EMBEDDED = Path.of("models/embedded");
    private static final Session SESSION = new Session(1, Torch.Compute.FLOAT32, 1, 1, Progress.silent());

    @TempDir
    private Path folder;

    private Path copyOfEmbedded() throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        try (Stream<Path> files = Files.list(EMBEDDED)) {
            for (Path file : (Iterable<Path>) files::iterator) Files.copy(file, model.resolve(file.getFileName()));
        }
        return model;
    }

    private static RunSettings settings(String... sets) {
        return Configuration.resolve(
                        Stream.concat(
                                        Stream.of("sft.problems=8", "sft.batch=4", "sft.optimisation.steps=6", "sft.optimisation.warm_up=0", "sft.optimisation.checkpoint_every=2"),
                                        Stream.of(sets))
                                .toList(),
                        RunSettings.DEFAULT,
                        RunSettings.class)
                .value();
    }

    private Path rtn(Path model, Path out) {
        return Quantize.run(SESSION, settings().quantise().of(Method.Name.RTN), model, out);
    }

    @Test
    void aModelIsItsConfigurationTokenizerWeightsAndCodes() throws IOException {
        Path model = rtn(copyOfEmbedded(), folder.resolve("rtn"));
        String hash = ModelFiles.sha256(model);
        assertThat(hash).matches("[0-9a-f]{64}");
        Files.writeString(model.resolve("README.md"), "a model card");
        Files.writeString(model.resolve("model.gguf"), "GGUF");
        Files.writeString(model.resolve("LICENSE"), "free");
        Files.writeString(model.resolve("time.json"), "{}");
        Files.writeString(model.resolve("metrics.jsonl"), "{}");
        Files.delete(model.resolve("stage.json"));
        Files.createDirectories(model.resolve("outputs/eval"));
        Files.writeString(model.resolve("outputs/eval/config.json"), "{}");
        ObjectNode description = (ObjectNode) JsonFiles.read(model.resolve("quantization/quantization.json"));
        description.putObject("provenance").put("by", "somebody else");
        JsonFiles.write(model.resolve("quantization/quantization.json"), description);
        assertThat(ModelFiles.sha256(model)).isEqualTo(hash);
        assertThat(ModelFiles.sha256(Files.createSymbolicLink(folder.resolve("link"), model))).isEqualTo(hash);

        for (String name : List.of(
                "config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "quantization/quantization.json",
                "quantization/codes.safetensors", "quantization/latents.safetensors")) {
            Path file = model.resolve(name);
            byte[] bytes = Files.readAllBytes(file);
            byte[] changed = bytes.clone();
            if (name.endsWith(".json")) {
                int digit = new String(bytes, java.nio.charset.StandardCharsets.ISO_8859_1).indexOf('2');
                changed[digit] = '3';
            } else {
                changed[bytes.length - 1] ^= 1;
            }
            Files.write(file, changed);
            assertThat(ModelFiles.sha256(model)).as(name).isNotEqualTo(hash);
            Files.write(file, bytes);
        }
        Files.writeString(model.resolve("chat_template.jinja"), "another");
        assertThat(ModelFiles.sha256(model)).isNotEqualTo(hash);
    }

    /// As the program itself advises, when a file of a stage is damaged.
    @Test
    void aDeletedStageIsMadeAgainAndTheRunIsWhole() throws IOException {
        Path run = CheckTest.run(folder.resolve("run"));
        Path untouched = run.resolve("stages/rtn+kd/stage.json");
        FileTime before = Files.getLastModifiedTime(untouched);
        byte[] weights = Files.readAllBytes(run.resolve("stages/rtn/model.safetensors"));
        byte[] results = Files.readAllBytes(run.resolve("results.json"));
        AtomicFiles.delete(run.resolve("stages/rtn"));
        AtomicFiles.delete(run.resolve("evaluations/rtn"));
        CheckTest.run(folder.resolve("run"));
        assertThat(Files.readAllBytes(run.resolve("stages/rtn/model.safetensors"))).isEqualTo(weights);
        assertThat(Files.readAllBytes(run.resolve("results.json"))).isEqualTo(results);
        assertThat(Files.getLastModifiedTime(untouched)).isEqualTo(before);
        assertThat(Check.of(run, Progress.silent()).damaged()).isEmpty();

        // And with other values of what only costs.
        CheckTest.run(folder.resolve("run"), "kd.optimisation.micro_batch=1", "evaluate.batch=2", "threads=2", "kv_cache_gib=1");
        assertThat(Files.getLastModifiedTime(untouched)).isEqualTo(before);
        assertThat(Check.of(run, Progress.silent()).damaged()).isEmpty();
    }

    @Test
    void anOutputMayLieInItsInput() throws IOException {
        Path model = copyOfEmbedded();
        Path out = rtn(model, model.resolve("compressed/rtn"));
        FileTime made = Files.getLastModifiedTime(out.resolve("stage.json"));
        FineTune.run(SESSION, settings().sft(), out, out.resolve("sft"));
        FineTune.run(SESSION, settings().sft(), out, out.resolve("sft"));
        assertThat(rtn(model, out)).isEqualTo(out);
        assertThat(Files.getLastModifiedTime(out.resolve("stage.json"))).isEqualTo(made);
    }

    /// Interrupts a training once it has a checkpoint.
    private void interrupted(Path model, RunSettings settings, Path out) throws Exception {
        var worker = new CompletableFuture<Thread>();
        var run = CompletableFuture.runAsync(() -> {
            worker.complete(Thread.currentThread());
            FineTune.run(SESSION, settings.sft(), model, out);
        }, task -> Thread.ofPlatform().start(task));
        Path checkpoints = out.resolveSibling(out.getFileName() + ".partial").resolve("checkpoints");
        while (!run.isDone() && !Files.exists(checkpoints)) Thread.sleep(1);
        worker.join().interrupt();
        assertThatThrownBy(run::join).isInstanceOf(CompletionException.class).cause()
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.INTERRUPTED));
    }

    @Test
    void whatCostsMemoryCanBeChangedOnResumeAndWhatDecidesCannot() throws Exception {
        Path model = rtn(EMBEDDED, folder.resolve("rtn"));
        Path out = folder.resolve("sft");
        interrupted(model, settings("sft.optimisation.steps=14"), out);
        assertThatThrownBy(() -> FineTune.run(SESSION, settings("sft.optimisation.steps=14", "sft.optimisation.learning_rate=1").sft(), model, out))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("learning_rate");
        RunSettings smaller = settings(
                "sft.optimisation.steps=14", "sft.optimisation.micro_batch=1", "sft.optimisation.recompute_blocks=true", "sft.optimisation.checkpoint_every=7");
        FineTune.run(new Session(1, Torch.Compute.FLOAT32, 2, 0.5, Progress.silent()), smaller.sft(), model, out);
        assertThat(Metrics.read(out.resolve("metrics.jsonl"))).hasSize(14);
        var keys = JsonFiles.read(out.resolve("stage.json")).path("configuration").path("settings").path("optimisation").propertyNames();
        assertThat(keys).contains("learning_rate", "frozen").doesNotContain("micro_batch", "recompute_blocks", "checkpoint_every");
        assertThat(Configuration.identity(RunSettings.DEFAULT.grpo()).propertyNames()).contains("prompts", "group_size").doesNotContain("batch");
        assertThat(Configuration.identity(RunSettings.DEFAULT.sft()).propertyNames()).contains("batch");
        assertThat(Configuration.identity(Evaluate.Settings.DEFAULT).propertyNames()).contains("problems").doesNotContain("batch");
    }

    /// At a moment when there is a checkpoint, or when there is none yet.
    @ParameterizedTest
    @ValueSource(ints = {1, 1000})
    void anOutputRemovedDuringTrainingIsNeverPublished(int checkpointEvery) throws Exception {
        Path model = rtn(EMBEDDED, folder.resolve("rtn"));
        Path out = folder.resolve("sft");
        Path partial = folder.resolve("sft.partial");
        RunSettings settings = settings("sft.optimisation.steps=12", "sft.optimisation.checkpoint_every=" + checkpointEvery);
        var run = CompletableFuture.runAsync(() -> FineTune.run(SESSION, settings.sft(), model, out), task -> Thread.ofPlatform().start(task));
        Path metrics = partial.resolve("metrics.jsonl");
        while (!run.isDone() && !(Files.exists(metrics) && Files.size(metrics) > 0)) Thread.sleep(1);
        Files.move(partial, folder.resolve("away"));
        assertThatThrownBy(run::join).isInstanceOf(CompletionException.class).cause()
                .isInstanceOf(Failure.class).hasMessageContaining("removed").hasMessageContaining("Run the command again");
        assertThat(out).doesNotExist();
        assertThat(partial).doesNotExist();
        FineTune.run(SESSION, settings("sft.optimisation.steps=2").sft(), model, out);
        assertThat(out.resolve("config.json")).exists();
    }
}
