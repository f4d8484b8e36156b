package rqat.io;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import rqat.Failure;

/// Opens a file by mapping it: its pages are read when they are touched.
final class MappedFile {
    private MappedFile() {}

    /// What makes an opened file of its bytes; the arena, whose closing ends the mapping, is its own from then on.
    @FunctionalInterface
    interface Opening<T> {
        T open(MemorySegment file, Arena arena);
    }

    /// What `opening` makes of the file; where it throws, the mapping is gone.
    ///
    /// @param kind of file, for messages
    /// @throws Failure of kind BAD_FILE when it cannot be read
    static <T> T open(Path path, String kind, Opening<T> opening) {
        Arena arena = Arena.ofShared();
        try {
            return opening.open(map(path, kind, arena), arena);
        } catch (IOException e) {
            arena.close();
            throw AtomicFiles.failure("read", path, e);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    private static MemorySegment map(Path path, String kind, Arena arena) throws IOException {
        if (Files.isDirectory(path)) throw Failure.badFile("%s: found a directory, expected a %s file".formatted(path, kind));
        try (FileChannel channel = FileChannel.open(path)) {
            return channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
        }
    }
}
