package rqat.io;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import rqat.Failure;
import tools.jackson.databind.JsonNode;

/// All tensors of a Hugging Face model directory, mapped: `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
///
/// Index and shards must agree: every listed tensor is in the shard that the index names, and no shard holds a tensor that it does not
/// list there. As in [SafetensorsFile], tensors are readable until [#close()].
public final class Checkpoint implements AutoCloseable {

    static final String SINGLE_FILE = "model.safetensors";
    static final String INDEX_FILE = "model.safetensors.index.json";

    private final Path directory;
    private final List<SafetensorsFile> files;
    private final Map<String, HostTensor> tensors = new LinkedHashMap<>();

    private Checkpoint(Path directory, List<SafetensorsFile> files) {
        this.directory = directory;
        this.files = files;
        files.forEach(file -> tensors.putAll(file.tensors()));
    }

    /// Maps and checks the checkpoint of a model directory; `model.safetensors` wins where both layouts are present.
    ///
    /// @throws Failure of kind BAD_FILE naming the file, the tensor, what was found and what was expected
    public static Checkpoint open(Path directory) {
        Path single = directory.resolve(SINGLE_FILE);
        Path index = directory.resolve(INDEX_FILE);
        if (Files.exists(single)) {
            return new Checkpoint(directory, List.of(SafetensorsFile.open(single)));
        }
        if (Files.exists(index)) {
            return openShards(directory, index);
        }
        throw Failure.badFile("%s: no safetensors checkpoint in it; expected a model directory with %s or %s: %s"
                .formatted(directory, SINGLE_FILE, INDEX_FILE, FoundFiles.in(directory)));
    }

    /// Bytes of the safetensors files in a directory; none where there are none.
    ///
    /// @throws Failure when the directory cannot be read
    public static long bytesIn(Path directory) {
        try (Stream<Path> files = Files.list(directory)) {
            return files.filter(file -> file.toString().endsWith(".safetensors")).mapToLong(AtomicFiles::size).sum();
        } catch (IOException e) {
            throw AtomicFiles.failure("read", directory, e);
        }
    }

    private static Checkpoint openShards(Path directory, Path index) {
        SortedMap<String, List<String>> namesByShard = readIndex(index);
        List<String> missing = namesByShard.keySet().stream().filter(shard -> !Files.exists(directory.resolve(shard))).toList();
        if (!missing.isEmpty()) {
            throw Failure.badFile("%s: %d of %d shards are missing, the first is %s; download them into %s"
                    .formatted(index, missing.size(), namesByShard.size(), missing.getFirst(), directory));
        }
        List<SafetensorsFile> files = new ArrayList<>();
        try {
            for (String shard : namesByShard.keySet()) {
                files.add(SafetensorsFile.open(directory.resolve(shard)));
            }
            requireAgreement(index, namesByShard, files);
            return new Checkpoint(directory, files);
        } catch (RuntimeException | Error e) {
            files.forEach(SafetensorsFile::close);
            throw e;
        }
    }

    private static SortedMap<String, List<String>> readIndex(Path index) {
        JsonNode weightMap = JsonFiles.read(index).path("weight_map");
        if (!weightMap.isObject() || weightMap.isEmpty()) {
            throw Failure.badFile(index + ": no `weight_map`; expected an object from tensor names to shard names");
        }
        SortedMap<String, List<String>> namesByShard = new TreeMap<>();
        weightMap.properties().forEach(entry -> {
            String shard = entry.getValue().isString() ? entry.getValue().stringValue() : "";
            if (!shard.matches("[A-Za-z0-9_][A-Za-z0-9._-]*\\.safetensors")) {
                throw Failure.badFile("%s: tensor %s is said to be in %s; expected the plain name of a .safetensors file in the same directory"
                        .formatted(index, Failure.quote(entry.getKey()), Failure.quote(entry.getValue().toString())));
            }
            namesByShard.computeIfAbsent(shard, key -> new ArrayList<>()).add(entry.getKey());
        });
        return namesByShard;
    }

    private static void requireAgreement(Path index, SortedMap<String, List<String>> namesByShard, List<SafetensorsFile> files) {
        Map<String, String> shardByName = new LinkedHashMap<>();
        namesByShard.forEach((shard, names) -> names.forEach(name -> shardByName.put(name, shard)));
        for (SafetensorsFile file : files) {
            String shard = file.path().getFileName().toString();
            for (String name : file.tensors().keySet()) {
                String listed = shardByName.get(name);
                if (!shard.equals(listed)) {
                    throw Failure.badFile("%s: tensor %s is in shard %s; the index lists it %s"
                            .formatted(index, Failure.quote(name), shard, listed == null ? "nowhere" : "in " + listed));
                }
            }
            for (String name : namesByShard.getOrDefault(shard, List.of())) {
                if (!file.tensors().containsKey(name)) {
                    throw Failure.badFile("%s: tensor %s is not in shard %s, where the index lists it"
                            .formatted(index, Failure.quote(name), shard));
                }
            }
        }
    }

    /// The model directory.
    public Path directory() {
        return directory;
    }

    /// The files that hold the tensors, in ascending order of names.
    public List<Path> files() {
        return files.stream().map(SafetensorsFile::path).toList();
    }

    /// All tensors by name, shard by shard, in the order of their bytes.
    public Map<String, HostTensor> tensors() {
        return Collections.unmodifiableMap(tensors);
    }

    /// A tensor that must be there.
    ///
    /// @throws Failure of kind BAD_FILE if it is not
    public HostTensor tensor(String name) {
        HostTensor tensor = tensors.get(name);
        if (tensor == null) {
            throw Failure.badFile("%s: no tensor %s among the %d of the checkpoint"
                    .formatted(directory, Failure.quote(name), tensors.size()));
        }
        return tensor;
    }

    /// The `__metadata__` of all files; where they differ, the first file wins.
    public Map<String, String> metadata() {
        Map<String, String> metadata = new TreeMap<>();
        files.forEach(file -> file.metadata().forEach(metadata::putIfAbsent));
        return metadata;
    }

    @Override
    public void close() {
        files.forEach(SafetensorsFile::close);
    }
}
