package rqat.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import rqat.Failure;

/// What is in a directory that should hold a model and does not, as a sentence for a message: what was found, and what to do about it.
public final class FoundFiles {
    private static final Pattern SHARD = Pattern.compile("(.*)-([0-9]{5})-of-([0-9]{5})\\.safetensors");
    private static final String PICKLES = "PyTorch pickles, which can run any code and are not read; load them with transformers and save_pretrained them as safetensors";
    private static final String OTHER_FRAMEWORK = "weights of another framework; load them with transformers and save_pretrained them as safetensors";

    private final Path directory;
    private final List<String> names;

    private FoundFiles(Path directory, List<String> names) {
        this.directory = directory;
        this.names = names;
    }

    /// The sentence for `directory`, without a full stop.
    public static String in(Path directory) {
        if (!Files.exists(directory)) return "there is no such directory";
        if (!Files.isDirectory(directory)) return "that is a file, not a directory";
        try (Stream<Path> content = Files.list(directory)) {
            return new FoundFiles(directory, content.map(path -> path.getFileName().toString()).sorted().toList()).sentence();
        } catch (IOException e) {
            throw AtomicFiles.failure("read", directory, e);
        }
    }

    private String sentence() {
        if (names.isEmpty()) return "the directory is empty";
        if (names.contains("snapshots") && Files.isDirectory(directory.resolve("snapshots"))) return snapshots();
        return first("models--", name -> name.startsWith("models--")).map(name -> "found %s: this is the Hub's cache; the model is in %s, one folder deeper in snapshots/"
                        .formatted(quoted(name), quoted(name)))
                .or(this::shards)
                .or(() -> first("adapter", name -> name.startsWith("adapter_")).map(
                        name -> "found %s: an adapter (LoRA), not a model; merge it into its base model (merge_and_unload) and save that".formatted(quoted(name))))
                .or(() -> ending(".safetensors").map(name -> "found %s under a name of its own; a checkpoint is called model.safetensors, so rename it if it is one"
                        .formatted(quoted(name))))
                .or(() -> ending(".gguf").map(name -> "found %s; give the GGUF file itself instead of its directory, and `rqat export` makes a model directory of it"
                        .formatted(quoted(name))))
                .or(() -> ending(".bin", ".pt", ".pth", ".ckpt", ".pkl").map(name -> "found %s: %s".formatted(quoted(name), PICKLES)))
                .or(() -> ending(".h5", ".msgpack", ".onnx", ".npz", ".nemo").map(name -> "found %s: %s".formatted(quoted(name), OTHER_FRAMEWORK)))
                .or(() -> first("training", name -> name.startsWith("global_step") || name.endsWith(".distcp")).map(
                        name -> "found %s: the state of a distributed training, not a model; convert it with the tool that wrote it".formatted(quoted(name))))
                .or(() -> ending(".incomplete", ".part", ".crdownload").map(name -> "found %s: a download that did not end; download it again".formatted(quoted(name))))
                .or(this::below)
                .orElseGet(() -> "found %s%s".formatted(String.join(", ", names.stream().limit(3).map(FoundFiles::quoted).toList()),
                        names.size() > 3 ? " and %d more".formatted(names.size() - 3) : ""));
    }

    private Optional<String> first(String kind, Predicate<String> of) {
        return names.stream().filter(of).findFirst();
    }

    private Optional<String> ending(String... ends) {
        return names.stream().filter(name -> Stream.of(ends).anyMatch(name.toLowerCase(Locale.ROOT)::endsWith)).findFirst();
    }

    /// A folder of the Hub's cache, `models--OWNER--NAME`: revisions are in `snapshots/`, and `refs/main` names the current one.
    private String snapshots() {
        String revision = "REVISION";
        try (Stream<Path> content = Files.list(directory.resolve("snapshots"))) {
            List<String> revisions = content.map(path -> path.getFileName().toString()).sorted().toList();
            Path main = directory.resolve("refs").resolve("main");
            String current = Files.isRegularFile(main) && Files.size(main) < 100 ? Files.readString(main).strip() : "";
            if (revisions.contains(current)) revision = current;
            else if (!revisions.isEmpty()) revision = revisions.getLast();
        } catch (IOException e) {
            throw AtomicFiles.failure("read", directory, e);
        }
        return "this is a folder of the Hub's cache; the model is in %s".formatted(quoted(directory.resolve("snapshots").resolve(revision).toString()));
    }

    private Optional<String> shards() {
        List<Matcher> shards = names.stream().map(SHARD::matcher).filter(Matcher::matches).toList();
        if (shards.isEmpty()) return Optional.empty();
        Matcher first = shards.getFirst();
        long of = Long.parseLong(first.group(3)), there = shards.stream().map(shard -> shard.group(2)).distinct().count();
        String advice = there < of ? "download the others and the index" : of == 1 ? "download the index, or rename the file to model.safetensors" : "download the index";
        return Optional.of("found %d of %d shards (%s) and no index, %s.safetensors.index.json; %s"
                .formatted(there, of, quoted(first.group()), Failure.quote(first.group(1)).replace("`", ""), advice));
    }

    /// Trainers write one folder a checkpoint; archives unpack into a folder of their own.
    private Optional<String> below() {
        Collection<String> models = names.stream().filter(name -> Files.isRegularFile(directory.resolve(name).resolve("config.json"))).toList();
        return models.isEmpty() ? Optional.empty()
                : Optional.of("found %s below it; give that folder".formatted(String.join(", ", models.stream().limit(3).map(FoundFiles::quoted).toList())));
    }

    private static String quoted(String name) {
        return Failure.quote(name);
    }
}
