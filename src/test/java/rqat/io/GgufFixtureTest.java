package rqat.io;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Fixtures;
import tools.jackson.databind.JsonNode;

/// Against a file that gguf-py wrote.
class GgufFixtureTest {

    @TempDir
    Path directory;

    private final Path path = Fixtures.path("export/tensors.gguf");
    private final JsonNode expected = JsonFiles.read(Fixtures.path("export/packed.json"));

    private static Object plain(Object content) {
        return content instanceof GgufValue.Elements elements ? elements.contents().stream().map(GgufFixtureTest::plain).toList() : content;
    }

    private static Object plain(JsonNode node) {
        if (node.isArray()) return node.valueStream().<Object>map(GgufFixtureTest::plain).toList();
        if (node.isString()) return node.stringValue();
        if (node.isBoolean()) return node.booleanValue();
        return node.isIntegralNumber() ? (Object) node.longValue() : (Object) node.doubleValue();
    }

    @Test
    void readsMetadataAndTensors() {
        try (GgufFile file = GgufFile.open(path)) {
            JsonNode metadata = expected.path("gguf_metadata");
            assertThat(metadata.properties()).isNotEmpty().allSatisfy(entry ->
                    assertThat(plain(file.metadata().get(entry.getKey()).content())).as(entry.getKey()).isEqualTo(plain(entry.getValue())));
            assertThat(file.metadata()).hasSize(metadata.size());
            JsonNode tensors = expected.path("gguf_file");
            assertThat(file.tensors()).hasSize(tensors.size());
            tensors.properties().forEach(entry -> {
                GgufTensor tensor = file.tensors().get(entry.getKey());
                assertThat(tensor.type().name()).isEqualTo(entry.getValue().path("type").stringValue());
                assertThat(tensor.type().id()).isEqualTo(entry.getValue().path("type_id").intValue());
                List<Long> shape = entry.getValue().path("shape_fastest_first").valueStream().map(JsonNode::longValue).toList().reversed();
                assertThat(tensor.shape()).containsExactly(shape.stream().mapToLong(Long::longValue).toArray());
                byte[] bytes = tensor.data().toArray(ValueLayout.JAVA_BYTE);
                assertThat(bytes).hasSize(entry.getValue().path("bytes").intValue());
                assertThat(HexFormat.of().formatHex(AtomicFiles.newSha256().digest(bytes))).isEqualTo(entry.getValue().path("sha256_bytes").stringValue());
            });
        }
    }

    @Test
    void writesTheSameBytes() throws IOException {
        Path copy = directory.resolve("copy.gguf");
        try (GgufFile file = GgufFile.open(path)) {
            var tensors = new LinkedHashMap<String, GgufWriter.Source>();
            file.tensors().forEach((name, tensor) -> tensors.put(name, new GgufWriter.Source(
                    tensor.type(), tensor.shape(), (OutputStream out) -> out.write(tensor.data().toArray(ValueLayout.JAVA_BYTE)))));
            GgufWriter.write(copy, new LinkedHashMap<>(file.metadata()), tensors);
        }
        assertThat(Files.mismatch(copy, path)).isEqualTo(-1);
    }
}
