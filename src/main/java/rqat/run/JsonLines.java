package rqat.run;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import tools.jackson.databind.JsonNode;

/// An append-only file of one JSON object a line, where a process killed while writing leaves at most a torn last line: that one is
/// dropped by every reader and before the first new line is appended.
public final class JsonLines implements AutoCloseable {

    private static final long MAXIMUM_BYTES = 1L << 30;

    private final Path file;
    private final FileChannel channel;

    private JsonLines(Path file, FileChannel channel) {
        this.file = file;
        this.channel = channel;
    }

    /// Opens a file for appending, and creates it if it is absent.
    public static JsonLines append(Path file) {
        try {
            if (Files.exists(file)) {
                keep(file, line -> true);
            }
            return new JsonLines(file, FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE,
                    StandardOpenOption.APPEND));
        } catch (IOException e) {
            throw AtomicFiles.failure("write", file, e);
        }
    }

    /// Appends one line, which survives the death of the process from here on.
    public synchronized void write(JsonNode object) {
        try {
            ByteBuffer line = StandardCharsets.UTF_8.encode(object + "\n");
            while (line.hasRemaining()) {
                channel.write(line);
            }
        } catch (IOException e) {
            throw AtomicFiles.failure("write", file, e);
        }
    }

    /// Forces all lines to disk: they survive a power cut from here on.
    public void force() {
        try {
            channel.force(true);
        } catch (IOException e) {
            throw AtomicFiles.failure("write", file, e);
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw AtomicFiles.failure("write", file, e);
        }
    }

    /// A line as it is in the file, and parsed.
    private record Line(byte[] bytes, JsonNode object) {}

    /// All whole lines.
    ///
    /// @throws Failure of kind BAD_FILE with the line, if one before the last is no JSON object
    public static List<JsonNode> read(Path file) {
        return lines(file).stream().map(Line::object).toList();
    }

    /// Drops the torn last line and all lines that are not to be kept; the file changes as a whole or not at all.
    public static void keep(Path file, Predicate<JsonNode> kept) {
        List<Line> lines = lines(file).stream().filter(line -> kept.test(line.object)).toList();
        long bytes = lines.stream().mapToLong(line -> line.bytes.length + 1L).sum();
        try {
            if (Files.size(file) == bytes) {
                return;
            }
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
        AtomicFiles.write(file, bytes, out -> {
            for (Line line : lines) {
                out.write(line.bytes);
                out.write('\n');
            }
        });
    }

    private static List<Line> lines(Path file) {
        byte[] bytes;
        try {
            if (Files.size(file) > MAXIMUM_BYTES) {
                throw Failure.badFile("%s: has %,d bytes; expected at most %,d".formatted(file, Files.size(file), MAXIMUM_BYTES));
            }
            bytes = Files.readAllBytes(file);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
        List<Line> lines = new ArrayList<>();
        int start = 0;
        for (int end = 0; end < bytes.length; end++) {
            if (bytes[end] != '\n') {
                continue;
            }
            byte[] line = Arrays.copyOfRange(bytes, start, end);
            start = end + 1;
            try {
                JsonNode object = JsonFiles.parse(line, file.toString(), lines.size() + 1);
                if (!object.isObject()) {
                    throw Failure.badFile("%s:%d: expected a JSON object".formatted(file, lines.size() + 1));
                }
                lines.add(new Line(line, object));
            } catch (Failure failure) {
                // A power cut may leave a last line of the right length and the wrong bytes.
                if (start < bytes.length) {
                    throw failure;
                }
            }
        }
        return lines;
    }
}
