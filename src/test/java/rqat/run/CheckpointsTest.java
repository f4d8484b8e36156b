package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.Property;
import rqat.io.AtomicFiles;
import rqat.io.DataType;
import rqat.io.HostTensor;
import rqat.io.JsonFiles;
import rqat.io.SafetensorsFile;
import rqat.io.TensorSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

class CheckpointsTest {

    @TempDir
    Path directory;

    private final List<String> warnings = new ArrayList<>();

    private static JsonNode state(long step) {
        return JsonNodeFactory.instance.objectNode().put("step", step).put("rate", 1.0 / (step + 1));
    }

    private static Map<String, Map<String, HostTensor>> tensors(long step) {
        return Map.of("weights", Map.of("w", HostTensor.ofFloats(new long[] {2}, step, -step)), "optimiser",
                Map.of("m", HostTensor.ofLongs(new long[] {}, step)));
    }

    private static void save(Checkpoints checkpoints, long step) {
        checkpoints.save(step, tensors(step), state(step));
    }

    private List<String> names() throws IOException {
        try (Stream<Path> content = Files.list(directory)) {
            return content.map(path -> path.getFileName().toString()).sorted().toList();
        }
    }

    private Optional<Long> latest() {
        warnings.clear();
        Optional<Checkpoints.Loaded> loaded = new Checkpoints(directory).latest(warnings::add);
        loaded.ifPresent(checkpoint -> {
            assertThat(checkpoint.state()).isEqualTo(JsonFiles.normalised(state(checkpoint.step())));
            for (String name : List.of("weights", "optimiser")) {
                try (SafetensorsFile file = checkpoint.open(name)) {
                    assertThat(file.tensors()).isEqualTo(tensors(checkpoint.step()).get(name));
                }
            }
        });
        return loaded.map(Checkpoints.Loaded::step);
    }

    @Test
    void theNewestComesBackAndTheOldestGo() throws IOException {
        assertThat(new Checkpoints(directory.resolve("gone")).latest(warnings::add)).isEmpty();
        Checkpoints checkpoints = new Checkpoints(directory);
        for (long step : new long[] {5, 10, 15}) {
            save(checkpoints, step);
            assertThat(latest()).contains(step);
        }
        assertThat(names()).containsExactly("step-00000010", "step-00000015");
        save(new Checkpoints(directory, 1), 20);
        assertThat(names()).containsExactly("step-00000020");
        save(checkpoints, 1_234_567_890);
        assertThat(names()).containsExactly("step-00000020", "step-1234567890");
        assertThat(latest()).contains(1_234_567_890L);
        assertThat(warnings).isEmpty();
        assertThatThrownBy(() -> new Checkpoints(directory, 0)).isInstanceOf(IllegalArgumentException.class);
    }

    /// Every file of the newest checkpoint cut, changed, emptied or gone: the one before it is loaded, and the user hears of it.
    @Test
    void aDamagedCheckpointFallsBackToTheOneBefore() {
        Property.forAll(40, random -> {
            AtomicFiles.delete(directory);
            Checkpoints checkpoints = new Checkpoints(directory);
            save(checkpoints, 1);
            save(checkpoints, 2);
            Path newest = directory.resolve("step-00000002");
            List<String> names = List.of("manifest.json", "state.json", "weights.safetensors", "optimiser.safetensors");
            Path file = newest.resolve(names.get(random.nextInt(4)));
            byte[] bytes = Files.readAllBytes(file);
            switch (random.nextInt(4)) {
                case 0 -> Files.write(file, Arrays.copyOf(bytes, random.nextInt(bytes.length)));
                case 1 -> {
                    // In the manifest a change of a letter in a name, a digit of a hash or the step; white space would do no harm.
                    int at;
                    do {
                        at = random.nextInt(bytes.length);
                    } while (Character.isWhitespace(bytes[at]) || inVersion(bytes, at));
                    bytes[at] ^= (byte) (1 << random.nextInt(7));
                    Files.write(file, bytes);
                }
                case 2 -> Files.write(file, new byte[bytes.length]);
                default -> Files.delete(file);
            }
            assertThat(latest()).contains(1L);
            assertThat(warnings).hasSize(1).first().asString().contains("checkpoint of step 2 is broken (", "falling back");
            // The run goes on from step 1 and writes step 2 again.
            save(checkpoints, 2);
            assertThat(latest()).contains(2L);
            assertThat(warnings).isEmpty();
        });
    }

    /// The program's version in the manifest is information only.
    private static boolean inVersion(byte[] bytes, int at) {
        String text = new String(bytes, StandardCharsets.ISO_8859_1);
        int start = text.indexOf("\"rqat\"");
        return start >= 0 && at >= start && at <= text.indexOf('\n', start);
    }

    @Test
    void whatASaveLeavesWhenKilledIsIgnoredAndSweptUp() throws IOException {
        Checkpoints checkpoints = new Checkpoints(directory);
        save(checkpoints, 1);
        Files.createDirectories(directory.resolve(".step-00000002.tmp"));
        Files.writeString(directory.resolve(".step-00000002.tmp/weights.safetensors"), "torn");
        Files.createDirectories(directory.resolve(".step-00000004.tmp"));
        Files.createDirectories(directory.resolve("step-00000003"));
        assertThat(latest()).contains(1L);
        assertThat(warnings).hasSize(1);
        save(checkpoints, 2);
        assertThat(names()).containsExactly("step-00000001", "step-00000002");
    }

    @Test
    void aSaveThatFailsLeavesTheOlderOnes() throws IOException {
        Checkpoints checkpoints = new Checkpoints(directory);
        save(checkpoints, 1);
        save(checkpoints, 2);
        List<String> before = names();
        for (int failing = 0; failing < 3; failing++) {
            int[] count = {failing};
            TensorSource source = TensorSource.of(DataType.I64, new long[] {}, () -> {
                if (count[0]-- == 0) {
                    throw Failure.interrupted("stopped");
                }
                return HostTensor.ofLongs(new long[] {}, 1);
            });
            assertThatThrownBy(() -> checkpoints.save(3, Map.of("weights", Map.of("a", source, "b", source, "c", source)), state(3)))
                    .hasMessage("stopped");
            assertThat(names()).isEqualTo(before);
            assertThat(latest()).contains(2L);
        }
        TensorSource huge = TensorSource.of(DataType.U8, new long[] {1L << 60}, () -> {
            throw new AssertionError("must not be asked for");
        });
        assertThatThrownBy(() -> checkpoints.save(3, Map.of("weights", Map.of("a", huge)), state(3)))
                .isInstanceOfSatisfying(Failure.class, failure -> {
            assertThat(failure.kind()).isEqualTo(Failure.Kind.FAILED);
            assertThat(failure).hasMessageContaining("no space left on device (1,152,921,504,606,846,976 bytes needed");
        });
        assertThat(names()).isEqualTo(before);
        assertThatThrownBy(() -> checkpoints.save(3, Map.of("../x", Map.of()), state(3))).isInstanceOf(IllegalArgumentException.class);
        assertThat(names()).isEqualTo(before);
    }

    @Test
    void manifestsCannotReachOutside() throws IOException {
        save(new Checkpoints(directory), 1);
        Path manifest = directory.resolve("step-00000001/manifest.json");
        Path outside = Files.writeString(directory.resolve("outside.json"), "{}");
        Files.writeString(manifest, Files.readString(manifest)
                .replace("\"state.json\"", "\"../outside.json\" : \"%s\", \"state.json\"".formatted(AtomicFiles.sha256(outside))));
        assertThat(latest()).isEmpty();
        assertThat(warnings).first().asString().contains("`../outside.json` is missing");
    }
}
