package rqat.io;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import rqat.Failure;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/// JSON objects that know their own bytes: the last member, `checksum`, is the SHA-256 of all that stands before it, so that one changed bit
/// anywhere in the file is found.
public final class SealedJson {
    private static final String SEAL = "checksum";
    private static final Pattern END = Pattern.compile(",\\n  \"" + SEAL + "\" : \"([0-9a-f]{64})\"\\n}\\n\\z");

    private SealedJson() {}

    /// Creates or replaces a file; `value` must not be empty.
    public static void write(Path file, ObjectNode value) {
        String text = JsonFiles.text(value);
        String content = text.substring(0, text.lastIndexOf("\n}"));
        AtomicFiles.write(file, content + ",\n  \"%s\" : \"%s\"\n}\n".formatted(SEAL, AtomicFiles.sha256(content)));
    }

    /// Whether the bytes of a file are those that were written; no for one without a seal.
    ///
    /// @throws Failure BAD_FILE when it cannot be read
    public static boolean isIntact(Path file) {
        try {
            byte[] bytes = Files.readAllBytes(file);
            // A character a byte, so that positions are those of bytes.
            Matcher end = END.matcher(new String(bytes, StandardCharsets.ISO_8859_1));
            return end.find() && AtomicFiles.sha256(Arrays.copyOf(bytes, end.start())).equals(end.group(1));
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
    }

    /// The object as it was given to [#write], whether the file is intact or not.
    ///
    /// @throws Failure BAD_FILE when it is no JSON
    public static JsonNode read(Path file) {
        JsonNode value = JsonFiles.read(file);
        if (value instanceof ObjectNode object) object.remove(SEAL);
        return value;
    }
}
