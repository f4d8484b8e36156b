package rqat.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.Property;

class CheckpointTest {

    @TempDir
    Path directory;

    private static Map<String, HostTensor> tensors() {
        Map<String, HostTensor> tensors = new TreeMap<>();
        for (int i = 0; i < 5; i++) {
            tensors.put("t" + i, HostTensor.ofFloats(new long[] {2}, i, -i));
        }
        return tensors;
    }

    @Test
    void smallCheckpointsAreOneFile() {
        SafetensorsWriter.writeCheckpoint(directory, tensors(), Map.of("format", "pt"), SafetensorsWriter.DEFAULT_MAXIMUM_SHARD_BYTES);
        assertThat(directory).isDirectoryContaining("glob:**/model.safetensors").isDirectoryNotContaining("glob:**/*.json");
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThat(checkpoint.tensors()).isEqualTo(tensors());
            assertThat(checkpoint.metadata()).isEqualTo(Map.of("format", "pt"));
            assertThat(checkpoint.files()).containsExactly(directory.resolve("model.safetensors"));
            assertBadFile(() -> checkpoint.tensor("lm_head.weight"), "no tensor `lm_head.weight` among the 5");
        }
    }

    @Test
    void largeCheckpointsAreShardedInOrderOfNames() throws IOException {
        SafetensorsWriter.writeCheckpoint(directory, tensors(), Map.of(), 20);
        assertThat(Files.readString(directory.resolve("model.safetensors.index.json"))).isEqualTo("""
                {"metadata":{"total_size":40},"weight_map":{"t0":"model-00001-of-00003.safetensors","t1":"model-00001-of-00003.safetensors",\
                "t2":"model-00002-of-00003.safetensors","t3":"model-00002-of-00003.safetensors","t4":"model-00003-of-00003.safetensors"}}""");
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThat(checkpoint.tensors()).isEqualTo(tensors());
            assertThat(checkpoint.files()).hasSize(3);
        }
        SafetensorsWriter.writeCheckpoint(directory, tensors(), Map.of(), 40);
        try (var files = Files.list(directory)) {
            assertThat(files).as("the shards are replaced").containsExactly(directory.resolve("model.safetensors"));
        }
    }

    @Test
    void anyShardSizeGivesTheSameTensors() {
        Property.forAll(100, random -> {
            Map<String, HostTensor> tensors = SafetensorsTest.randomTensors(random);
            long limit = random.nextInt(400);
            SafetensorsWriter.writeCheckpoint(directory, tensors, Map.of(), limit);
            try (Checkpoint checkpoint = Checkpoint.open(directory)) {
                assertThat(checkpoint.tensors()).isEqualTo(tensors);
                for (Path file : checkpoint.files()) {
                    try (SafetensorsFile shard = SafetensorsFile.open(file)) {
                        long bytes = shard.tensors().values().stream().mapToLong(HostTensor::byteSize).sum();
                        assertThat(bytes <= limit || shard.tensors().values().stream().filter(t -> t.byteSize() > 0).count() == 1).isTrue();
                    }
                }
            }
        });
    }

    private static void assertBadFile(ThrowingCallable call, String... parts) {
        assertThatThrownBy(call).isInstanceOfSatisfying(Failure.class, failure -> {
            assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE);
            assertThat(failure.getMessage()).contains(parts);
        });
    }

    @Test
    void absentCheckpointsSayWhatIsExpected() {
        assertBadFile(() -> Checkpoint.open(directory),
                "no safetensors checkpoint in it; expected a model directory with model.safetensors or");
        assertBadFile(() -> Checkpoint.open(directory.resolve("gone")), "no such directory");
    }

    @Test
    void missingShardsAreCounted() throws IOException {
        SafetensorsWriter.writeCheckpoint(directory, tensors(), Map.of(), 8);
        Files.delete(directory.resolve("model-00002-of-00005.safetensors"));
        Files.delete(directory.resolve("model-00004-of-00005.safetensors"));
        assertBadFile(() -> Checkpoint.open(directory), "2 of 5 shards are missing, the first is model-00002-of-00005.safetensors");
    }

    @Test
    void indexAndShardsMustAgree() throws IOException {
        Path index = directory.resolve("model.safetensors.index.json");
        SafetensorsWriter.write(directory.resolve("a.safetensors"),
                Map.of("x", HostTensor.ofInts(new long[] {}, 1), "y", HostTensor.ofInts(new long[] {}, 2)), Map.of());
        SafetensorsWriter.write(directory.resolve("b.safetensors"), Map.of("z", HostTensor.ofInts(new long[] {}, 3)), Map.of());
        Files.writeString(index, "{'weight_map':{'x':'a.safetensors','y':'b.safetensors','z':'b.safetensors'}}".replace('\'', '"'));
        assertBadFile(() -> Checkpoint.open(directory), "tensor `y` is in shard a.safetensors; the index lists it in b.safetensors");
        Files.writeString(index, "{'weight_map':{'x':'a.safetensors','z':'b.safetensors'}}".replace('\'', '"'));
        assertBadFile(() -> Checkpoint.open(directory), "tensor `y` is in shard a.safetensors; the index lists it nowhere");
        Files.writeString(index, "{'weight_map':{'x':'a.safetensors','y':'a.safetensors','z':'b.safetensors','q':'b.safetensors'}}"
                .replace('\'', '"'));
        assertBadFile(() -> Checkpoint.open(directory), "tensor `q` is not in shard b.safetensors, where the index lists it");
        Files.writeString(index, "{'weight_map':{'x':'a.safetensors','y':'a.safetensors','z':'b.safetensors'}}".replace('\'', '"'));
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThat(checkpoint.tensors().keySet()).containsExactly("x", "y", "z");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"'../a.safetensors'", "'/etc/a.safetensors'", "'sub/a.safetensors'", "'..\\\\a.safetensors'",
            "'.a.safetensors'", "'a.bin'", "''", "7", "null", "['a.safetensors']",
        "'a\\u0000.safetensors'"})
    void shardNamesAreNamesOnly(String shard) throws IOException {
        Files.writeString(directory.resolve("model.safetensors.index.json"), "{'weight_map':{'x':%s}}".formatted(shard).replace('\'', '"'));
        assertBadFile(() -> Checkpoint.open(directory), "tensor `x` is said to be in", "expected the plain name of a .safetensors file");
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "[]", "{'weight_map':[]}", "{'weight_map':{}}"})
    void indexWithoutWeightMapIsRefused(String json) throws IOException {
        Files.writeString(directory.resolve("model.safetensors.index.json"), json.replace('\'', '"'));
        assertBadFile(() -> Checkpoint.open(directory), "no `weight_map`");
    }

    @Test
    void brokenIndexJsonNamesThePlace() throws IOException {
        Path index = directory.resolve("model.safetensors.index.json");
        Files.writeString(index, "{\n\"weight_map\": {\"a\": \"b\", \"a\": \"c\"}}");
        assertBadFile(() -> Checkpoint.open(directory), index + ":2:", "not valid JSON: `Duplicate");
        Files.writeString(index, "[".repeat(100_000));
        assertBadFile(() -> Checkpoint.open(directory), "not valid JSON");
        Files.writeString(index, "");
        assertBadFile(() -> Checkpoint.open(directory), index.toString());
    }
}
