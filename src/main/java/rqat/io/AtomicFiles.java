package rqat.io;

import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.channels.Channels;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileStore;
import java.nio.file.FileSystemException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import rqat.Failure;

/// Files and directories that appear whole or not at all, whenever the process is killed or the disk runs full: everything is written
/// under a temporary name in the same directory (`.NAME.tmp`, overwritten if a killed process left one), forced to disk and renamed.
///
/// All failures of the file system arrive as [Failure] with a message for the user.
public final class AtomicFiles {

    private static final int BUFFER_BYTES = 1 << 16;

    private AtomicFiles() {}

    /// Writes a file's bytes.
    @FunctionalInterface
    public interface Content {
        void writeTo(OutputStream out) throws IOException;
    }

    /// Fills a directory that exists and is empty.
    @FunctionalInterface
    public interface DirectoryContent {
        void writeTo(Path directory) throws IOException;
    }

    /// Creates or replaces `file`, and its parent directories where missing.
    public static void write(Path file, Content content) {
        write(file, 0, content);
    }

    /// As [#write(Path, Content)] for a file whose size is known: refuses before the first byte when the disk has less room, and a disk
    /// that runs full all the same is reported with both figures.
    public static void write(Path file, long expectedBytes, Content content) {
        Path target = file.toAbsolutePath();
        Path temporary = temporary(target);
        try {
            Files.createDirectories(parent(target));
            requireSpace(parent(target), expectedBytes);
            try (FileChannel channel = FileChannel.open(temporary, StandardOpenOption.WRITE, StandardOpenOption.CREATE,
                    StandardOpenOption.TRUNCATE_EXISTING);
                    OutputStream out = new BufferedOutputStream(Channels.newOutputStream(channel), BUFFER_BYTES)) {
                content.writeTo(out);
                out.flush();
                channel.force(true);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            force(parent(target));
        } catch (IOException | UncheckedIOException e) {
            deleteQuietly(temporary);
            throw failure("write", file, expectedBytes, e instanceof UncheckedIOException u ? u.getCause() : (IOException) e);
        } catch (RuntimeException | Error e) {
            deleteQuietly(temporary);
            throw e;
        }
    }

    /// Creates or replaces `file` with this text in UTF-8.
    public static void write(Path file, String text) {
        write(file, text.getBytes(StandardCharsets.UTF_8));
    }

    /// Creates or replaces `file` with these bytes.
    public static void write(Path file, byte[] bytes) {
        write(file, out -> out.write(bytes));
    }

    /// Creates `directory`, which must not exist yet, with everything that `content` puts into it.
    public static void writeDirectory(Path directory, DirectoryContent content) {
        writeDirectory(directory, 0, content);
    }

    /// As [#writeDirectory(Path, DirectoryContent)] where the size is known, see [#write(Path, long, Content)].
    public static void writeDirectory(Path directory, long expectedBytes, DirectoryContent content) {
        Path target = directory.toAbsolutePath();
        Path temporary = temporary(target);
        try {
            delete(temporary);
            Files.createDirectories(temporary);
            requireSpace(temporary, expectedBytes);
            content.writeTo(temporary);
            renameDirectory(temporary, target);
        } catch (IOException | UncheckedIOException e) {
            deleteQuietly(temporary);
            throw failure("write", directory, expectedBytes, e instanceof UncheckedIOException u ? u.getCause() : (IOException) e);
        } catch (RuntimeException | Error e) {
            deleteQuietly(temporary);
            throw e;
        }
    }

    /// Refuses to begin what cannot end: `directory`, which must exist, has less than `bytes` of room.
    ///
    /// @throws IOException worded as the operating system words a full disk
    private static void requireSpace(Path directory, long bytes) throws IOException {
        FileStore store = Files.getFileStore(directory);
        // Some network file systems report nothing at all: a total of 0.
        if (store.getTotalSpace() > 0 && store.getUsableSpace() < bytes) {
            throw new IOException("no space left on device");
        }
    }

    /// Gives a finished directory its final name, which must be free. Everything in it is forced to disk first.
    public static void renameDirectory(Path from, Path to) {
        try {
            if (Files.exists(to, LinkOption.NOFOLLOW_LINKS)) {
                throw Failure.failed("cannot rename %s to %s: the target exists; move it away".formatted(from, to));
            }
            try (var paths = Files.walk(from)) {
                for (Path path : (Iterable<Path>) paths::iterator) {
                    if (!Files.isSymbolicLink(path)) {
                        force(path);
                    }
                }
            }
            Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
            force(parent(to.toAbsolutePath()));
        } catch (UncheckedIOException e) {
            throw failure("rename", from, 0, e.getCause());
        } catch (IOException e) {
            throw failure("rename", from, 0, e);
        }
    }

    /// Deletes a file or a directory with all its content; symbolic links are removed, not followed. Nothing happens if it is absent.
    public static void delete(Path path) {
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        try {
            Files.walkFileTree(path, new SimpleFileVisitor<>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                    Files.deleteIfExists(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path directory, @Nullable IOException e) throws IOException {
                    if (e != null) {
                        throw e;
                    }
                    Files.deleteIfExists(directory);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (IOException e) {
            throw failure("delete", path, 0, e);
        }
    }

    /// A file's size in bytes.
    ///
    /// @throws Failure BAD_FILE when it cannot be read
    public static long size(Path file) {
        try {
            return Files.size(file);
        } catch (IOException e) {
            throw failure("read", file, e);
        }
    }

    /// SHA-256 of a file's bytes, 64 lower-case hexadecimal digits.
    public static String sha256(Path file) {
        MessageDigest digest = newSha256();
        try (InputStream in = Files.newInputStream(file)) {
            byte[] buffer = new byte[BUFFER_BYTES];
            for (int read; (read = in.read(buffer)) >= 0; ) {
                digest.update(buffer, 0, read);
            }
        } catch (IOException e) {
            throw failure("read", file, 0, e);
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    /// SHA-256 of a text in UTF-8, 64 lower-case hexadecimal digits.
    public static String sha256(String text) {
        return sha256(text.getBytes(StandardCharsets.UTF_8));
    }

    static String sha256(byte[] bytes) {
        return HexFormat.of().formatHex(newSha256().digest(bytes));
    }

    /// What to tell the user about a failed access: `doing` is the verb (`read`, `write`, `rename`). A file that cannot be read is
    /// [Failure.Kind#BAD_FILE], everything else [Failure.Kind#FAILED].
    public static Failure failure(String doing, Path file, IOException cause) {
        return failure(doing, file, 0, cause);
    }

    private static Failure failure(String doing, Path file, long expectedBytes, IOException cause) {
        if (cause instanceof ClosedByInterruptException) {
            return Failure.interrupted("interrupted while trying to %s %s; run the same command again".formatted(doing, file));
        }
        String reason = reason(cause);
        String lowerCase = reason.toLowerCase(Locale.ROOT);
        String message = "cannot %s %s: %s".formatted(doing, file, reason);
        if (lowerCase.contains("no space left") || lowerCase.contains("quota exceeded")) {
            message += " (%s%s); free some space or choose another directory"
                    .formatted(expectedBytes > 0 ? "%,d bytes needed, ".formatted(expectedBytes) : "", free(file));
        }
        return doing.equals("read") ? Failure.badFile(message, cause) : Failure.failed(message, cause);
    }

    private static String reason(IOException cause) {
        if (cause instanceof NoSuchFileException missing) {
            return "no such file or directory: " + missing.getFile();
        }
        if (cause instanceof AccessDeniedException denied) {
            return "permission denied: " + denied.getFile();
        }
        String message = cause instanceof FileSystemException f && f.getReason() != null ? f.getReason() : cause.getMessage();
        return message == null ? cause.getClass().getSimpleName() : message;
    }

    private static String free(Path file) {
        try {
            return "%,d bytes free".formatted(Files.getFileStore(parent(file.toAbsolutePath())).getUsableSpace());
        } catch (IOException e) {
            return "free space unknown";
        }
    }

    private static void force(Path path) throws IOException {
        try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    private static Path temporary(Path target) {
        return target.resolveSibling("." + target.getFileName() + ".tmp");
    }

    private static Path parent(Path absolute) {
        Path parent = absolute.getParent();
        return parent == null ? absolute : parent;
    }

    private static void deleteQuietly(Path path) {
        try {
            delete(path);
        } catch (Failure e) {
            // The first failure is the one to report; the leftover is overwritten by the next attempt.
        }
    }

    static MessageDigest newSha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every Java platform has SHA-256", e);
        }
    }
}
