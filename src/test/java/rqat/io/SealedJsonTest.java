package rqat.io;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SealedJsonTest {
    @TempDir
    private Path directory;

    @Test
    void everyBitAndEveryByteCounts() throws IOException {
        Path file = directory.resolve("sealed.json");
        var value = JsonFiles.object().put("text", "ä \uFFFD \"checksum\"").put("number", 0.1);
        SealedJson.write(file, value);
        assertThat(SealedJson.isIntact(file)).isTrue();
        assertThat(SealedJson.read(file)).isEqualTo(value);
        assertThat(JsonFiles.read(file).propertyNames()).containsExactly("text", "number", "checksum");
        byte[] bytes = Files.readAllBytes(file);
        for (int bit = 0; bit < 8 * bytes.length; bit++) {
            byte[] flipped = bytes.clone();
            flipped[bit / 8] ^= (byte) (1 << bit % 8);
            Files.write(file, flipped);
            assertThat(SealedJson.isIntact(file)).as("bit " + bit).isFalse();
        }
        Files.write(file, java.util.Arrays.copyOf(bytes, bytes.length - 1));
        assertThat(SealedJson.isIntact(file)).isFalse();
        JsonFiles.write(file, value);
        assertThat(SealedJson.isIntact(file)).isFalse();
    }
}
