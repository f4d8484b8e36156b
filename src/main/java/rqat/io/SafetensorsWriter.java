package rqat.io;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import rqat.Failure;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/// Writes safetensors files, streamed and atomically: a tensor's bytes are asked for when their turn comes and dropped afterwards.
///
/// The same tensors give the same bytes, whatever the order of the map: elements of more bytes come first (so that every tensor starts
/// at a multiple of its element size, as in the reference implementation), then names in ascending order. The header is padded with
/// spaces to a multiple of 8.
public final class SafetensorsWriter {

    /// The largest shard unless told otherwise, in bytes: the usual size on model hubs.
    public static final long DEFAULT_MAXIMUM_SHARD_BYTES = 5_000_000_000L;

    private static final int CHUNK_BYTES = 1 << 20;
    private static final JsonFactory JSON = JsonFactory.builder().build();

    private SafetensorsWriter() {}

    /// Creates or replaces one file.
    ///
    /// @return SHA-256 of the bytes written, in hexadecimal: what a later [AtomicFiles#sha256(Path)] of the file must give
    /// @throws Failure of kind FAILED if it cannot be written, with the bytes needed and free when the disk is full
    public static String write(Path file, Map<String, ? extends TensorSource> tensors, Map<String, String> metadata) {
        List<Map.Entry<String, TensorSource>> ordered = ordered(tensors);
        byte[] header = header(ordered, metadata);
        MessageDigest digest = AtomicFiles.newSha256();
        AtomicFiles.write(file, 8 + header.length + totalBytes(tensors), bytes -> {
            OutputStream out = new DigestOutputStream(bytes, digest);
            out.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array());
            out.write(header);
            for (Map.Entry<String, TensorSource> entry : ordered) {
                writeTensor(out, entry.getKey(), entry.getValue());
            }
        });
        return HexFormat.of().formatHex(digest.digest());
    }

    /// Makes the checkpoint of a model directory, replacing the one that is there: `model.safetensors` when the tensors fit
    /// `maximumShardBytes`, otherwise `model-00001-of-0000N.safetensors`... filled in ascending order of names, and their index.
    /// A single larger tensor gets a shard of its own. Each file appears whole; the set of them does not: a directory that must do so
    /// is written under another name ([AtomicFiles#writeDirectory]).
    public static void writeCheckpoint(
            Path directory, Map<String, ? extends TensorSource> tensors, Map<String, String> metadata, long maximumShardBytes) {
        deleteCheckpoint(directory);
        List<SortedMap<String, TensorSource>> shards = shards(tensors, maximumShardBytes);
        if (shards.size() == 1) {
            write(directory.resolve(Checkpoint.SINGLE_FILE), shards.getFirst(), metadata);
            return;
        }
        SortedMap<String, String> weightMap = new TreeMap<>();
        for (int i = 0; i < shards.size(); i++) {
            String name = "model-%05d-of-%05d.safetensors".formatted(i + 1, shards.size());
            write(directory.resolve(name), shards.get(i), metadata);
            shards.get(i).keySet().forEach(tensor -> weightMap.put(tensor, name));
        }
        AtomicFiles.write(directory.resolve(Checkpoint.INDEX_FILE), index(weightMap, totalBytes(tensors)));
    }

    private static void deleteCheckpoint(Path directory) {
        if (!Files.isDirectory(directory)) {
            return;
        }
        try (var files = Files.newDirectoryStream(directory, "model{,-?????-of-?????}.safetensors{,.index.json}")) {
            files.forEach(AtomicFiles::delete);
        } catch (IOException e) {
            throw AtomicFiles.failure("write", directory, e);
        }
    }

    private static List<SortedMap<String, TensorSource>> shards(Map<String, ? extends TensorSource> tensors, long maximumShardBytes) {
        List<SortedMap<String, TensorSource>> shards = new ArrayList<>();
        shards.add(new TreeMap<>());
        long bytes = 0;
        for (Map.Entry<String, ? extends TensorSource> entry : new TreeMap<>(tensors).entrySet()) {
            long size = entry.getValue().byteSize();
            if (!shards.getLast().isEmpty() && size > maximumShardBytes - bytes) {
                shards.add(new TreeMap<>());
                bytes = 0;
            }
            shards.getLast().put(entry.getKey(), entry.getValue());
            bytes += size;
        }
        return shards;
    }

    private static List<Map.Entry<String, TensorSource>> ordered(Map<String, ? extends TensorSource> tensors) {
        Comparator<Map.Entry<String, TensorSource>> wideFirst = Comparator.comparing(entry -> -entry.getValue().type().byteSize());
        return tensors.entrySet().stream()
                .map(entry -> Map.<String, TensorSource>entry(entry.getKey(), entry.getValue()))
                .sorted(wideFirst.thenComparing(Map.Entry.comparingByKey()))
                .toList();
    }

    private static long totalBytes(Map<String, ? extends TensorSource> tensors) {
        return tensors.values().stream().mapToLong(TensorSource::byteSize).sum();
    }

    private static byte[] header(List<Map.Entry<String, TensorSource>> tensors, Map<String, String> metadata) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = JSON.createGenerator(ObjectWriteContext.empty(), bytes)) {
            json.writeStartObject();
            if (!metadata.isEmpty()) {
                json.writeObjectPropertyStart("__metadata__");
                new TreeMap<>(metadata).forEach(json::writeStringProperty);
                json.writeEndObject();
            }
            long position = 0;
            for (Map.Entry<String, TensorSource> entry : tensors) {
                if (entry.getKey().equals("__metadata__")) {
                    throw new IllegalArgumentException("no tensor may be called __metadata__");
                }
                long end = position + entry.getValue().byteSize();
                json.writeObjectPropertyStart(entry.getKey());
                json.writeStringProperty("dtype", entry.getValue().type().name());
                writeNumbers(json, "shape", entry.getValue().shape());
                writeNumbers(json, "data_offsets", position, end);
                json.writeEndObject();
                position = end;
            }
            json.writeEndObject();
        }
        byte[] unpadded = bytes.toByteArray();
        byte[] header = Arrays.copyOf(unpadded, (unpadded.length + 7) / 8 * 8);
        Arrays.fill(header, unpadded.length, header.length, (byte) ' ');
        return header;
    }

    private static void writeNumbers(JsonGenerator json, String name, long... numbers) {
        json.writeArrayPropertyStart(name);
        for (long number : numbers) {
            json.writeNumber(number);
        }
        json.writeEndArray();
    }

    private static void writeTensor(OutputStream out, String name, TensorSource source) throws IOException {
        try {
            source.lend(tensor -> writeTensor(out, name, source, tensor));
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private static void writeTensor(OutputStream out, String name, TensorSource source, HostTensor tensor) {
        if (tensor.type() != source.type() || !Arrays.equals(tensor.shape(), source.shape())) {
            throw new IllegalStateException("%s was announced as %s %s but produced as %s"
                    .formatted(name, source.type(), HostTensor.describe(source.shape()), tensor));
        }
        MemorySegment data = tensor.data();
        byte[] chunk = new byte[(int) Math.min(CHUNK_BYTES, data.byteSize())];
        for (long position = 0; position < data.byteSize(); position += chunk.length) {
            int length = (int) Math.min(chunk.length, data.byteSize() - position);
            MemorySegment.copy(data, ValueLayout.JAVA_BYTE, position, chunk, 0, length);
            try {
                out.write(chunk, 0, length);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            if (data.isMapped()) data.asSlice(position, length).unload();
        }
    }

    private static byte[] index(SortedMap<String, String> weightMap, long totalBytes) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = JSON.createGenerator(ObjectWriteContext.empty(), bytes)) {
            json.writeStartObject();
            json.writeObjectPropertyStart("metadata");
            json.writeNumberProperty("total_size", totalBytes);
            json.writeEndObject();
            json.writeObjectPropertyStart("weight_map");
            weightMap.forEach(json::writeStringProperty);
            json.writeEndObject();
            json.writeEndObject();
        }
        return bytes.toByteArray();
    }
}
