package rqat.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import tools.jackson.databind.node.JsonNodeFactory;

class AtomicFilesTest {

    @TempDir
    Path directory;

    private static void assertFailure(Failure.Kind kind, ThrowingCallable call, String... parts) {
        assertThatThrownBy(call).isInstanceOfSatisfying(Failure.class, failure -> {
            assertThat(failure.kind()).isEqualTo(kind);
            assertThat(failure.getMessage()).contains(parts);
        });
    }

    private void assertHolds(Path... files) throws IOException {
        try (var found = Files.list(directory)) {
            assertThat(found).containsExactlyInAnyOrder(files);
        }
    }

    @Test
    void filesAreCreatedAndReplacedWithTheirParents() throws IOException {
        Path file = directory.resolve("a/b/c.txt");
        AtomicFiles.write(file, "один");
        assertThat(file).hasContent("один");
        AtomicFiles.write(file, new byte[] {1, 2});
        assertThat(file).hasBinaryContent(new byte[] {1, 2});
        assertThat(directory.resolve("a/b")).isDirectoryNotContaining("glob:**.tmp");
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file))).as("readable as any other new file").isEqualTo(
                PosixFilePermissions.toString(Files.getPosixFilePermissions(Files.writeString(directory.resolve("plain"), ""))));
    }

    @Test
    void aFailedWriteLeavesTheOldFileAndNothingElse() throws IOException {
        Path file = directory.resolve("f");
        AtomicFiles.write(file, "old");
        assertFailure(Failure.Kind.FAILED, () -> AtomicFiles.write(file, out -> {
            out.write(new byte[100_000]);
            throw new IOException("the cable came loose");
        }), "cannot write " + file + ": the cable came loose");
        assertThatThrownBy(() -> AtomicFiles.write(file, out -> {
            throw new IllegalStateException("defect");
        })).isInstanceOf(IllegalStateException.class);
        assertThat(file).hasContent("old");
        assertHolds(file);
    }

    @Test
    void leftoversOfAKilledProcessAreOverwritten() throws IOException {
        Files.writeString(directory.resolve(".f.tmp"), "torn and much longer than the new content");
        AtomicFiles.write(directory.resolve("f"), "new");
        assertThat(directory.resolve("f")).hasContent("new");
        Files.createDirectories(directory.resolve(".d.tmp/x"));
        AtomicFiles.writeDirectory(directory.resolve("d"), made -> Files.writeString(made.resolve("y"), "1"));
        assertThat(directory.resolve("d")).isDirectoryContaining("glob:**/y").isDirectoryNotContaining("glob:**/x");
        assertHolds(directory.resolve("f"), directory.resolve("d"));
    }

    /// Every write to /dev/full fails as on a full disk.
    @Test
    void aFullDiskIsSaidPlainly() throws IOException {
        Path device = Path.of("/dev/full");
        Assumptions.assumeTrue(Files.exists(device), "no /dev/full");
        Path file = directory.resolve("model.safetensors");
        Files.createSymbolicLink(directory.resolve(".model.safetensors.tmp"), device);
        assertFailure(Failure.Kind.FAILED, () ->
                SafetensorsWriter.write(file, Map.of("w", HostTensor.ofFloats(new long[] {1000}, new float[1000])), Map.of()),
                "cannot write " + file, "No space left on device", "4,072 bytes needed, ",
                        " bytes free); free some space or choose another directory");
        assertHolds();
        assertThat(Files.exists(device)).isTrue();
    }

    @Test
    void aDiskThatRunsFullLeavesNoTrace() throws Exception {
        Path disk = Files.createDirectory(directory.resolve("disk"));
        Assumptions.assumeTrue(run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk.toString()), "may not mount a tmpfs");
        try {
            Path file = disk.resolve("f");
            AtomicFiles.write(file, "old");
            assertFailure(Failure.Kind.FAILED, () ->
                    AtomicFiles.write(file, out -> out.write(new byte[1 << 20])), "No space left on device", " bytes free)");
            assertFailure(Failure.Kind.FAILED, () ->
                    SafetensorsWriter.write(file, Map.of("w", HostTensor.ofBytes(DataType.U8, new long[] {300_000}, new byte[300_000])),
                    Map.of()),
                    "no space left on device (300,072 bytes needed, ", " bytes free)");
            assertFailure(Failure.Kind.FAILED, () -> AtomicFiles.writeDirectory(disk.resolve("d"), made -> {
                AtomicFiles.write(made.resolve("a"), "fits");
                AtomicFiles.write(made.resolve("b"), new byte[1 << 20]);
            }), "No space left on device");
            assertThat(file).hasContent("old");
            try (var files = Files.list(disk)) {
                assertThat(files).containsExactly(file);
            }
        } finally {
            run("umount", disk.toString());
        }
    }

    private static boolean run(String... command) throws IOException, InterruptedException {
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
            return process.waitFor(20, TimeUnit.SECONDS) && process.exitValue() == 0;
        } catch (IOException e) {
            return false;
        }
    }

    @Test
    void whatCannotBeWrittenSaysWhy() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "");
        assertFailure(Failure.Kind.FAILED, () -> AtomicFiles.write(file.resolve("below"), "x"), "cannot write " + file.resolve("below"));
        assertFailure(Failure.Kind.FAILED, () ->
                AtomicFiles.write(Files.createDirectories(directory.resolve("d/e")).getParent(), "x"), "cannot write "
                + directory.resolve("d"));
        assertThat(directory.resolve("d/e")).isDirectory();
        assertFailure(Failure.Kind.BAD_FILE, () ->
                AtomicFiles.sha256(directory.resolve("gone")), "cannot read", "no such file or directory: ");
        assertFailure(Failure.Kind.FAILED, () -> {
            throw AtomicFiles.failure("write", file, new AccessDeniedException("/x"));
        }, "cannot write " + file + ": permission denied: /x");
    }

    @Test
    void directoriesAppearWholeOrNotAtAll() throws IOException {
        Path target = directory.resolve("out");
        assertFailure(Failure.Kind.FAILED, () -> AtomicFiles.writeDirectory(target, made -> {
            Files.writeString(made.resolve("a"), "1");
            throw new IOException("no");
        }), "cannot write " + target + ": no");
        assertHolds();
        AtomicFiles.writeDirectory(target, made -> Files.writeString(made.resolve("a"), "1"));
        assertThat(target.resolve("a")).hasContent("1");
        assertFailure(Failure.Kind.FAILED, () -> AtomicFiles.writeDirectory(target, made -> {}), "the target exists; move it away");
        assertThat(target.resolve("a")).hasContent("1");
        assertHolds(target);
    }

    @Test
    void deletingDoesNotFollowLinks() throws IOException {
        Path outside = Files.createDirectories(directory.resolve("outside"));
        Files.writeString(outside.resolve("precious"), "1");
        Path doomed = Files.createDirectories(directory.resolve("doomed/deep/er"));
        Files.writeString(doomed.resolve("x"), "1");
        Files.createSymbolicLink(doomed.resolve("link"), outside);
        Files.createSymbolicLink(doomed.resolve("dangling"), directory.resolve("nowhere"));
        AtomicFiles.delete(directory.resolve("doomed"));
        AtomicFiles.delete(directory.resolve("doomed"));
        assertHolds(outside);
        assertThat(outside.resolve("precious")).exists();
    }

    /// Reference values of FIPS 180-2.
    @Test
    void hashesAreSha256() throws IOException {
        assertThat(AtomicFiles.sha256("abc")).isEqualTo("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        Path file = Files.write(directory.resolve("a"), "a".repeat(1_000_000).getBytes(StandardCharsets.US_ASCII));
        assertThat(AtomicFiles.sha256(file)).isEqualTo("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
        String written = SafetensorsWriter.write(file, Map.of("w", HostTensor.ofInts(new long[] {3}, 1, 2, 3)), Map.of());
        assertThat(AtomicFiles.sha256(file)).isEqualTo(written);
    }

    @Test
    void jsonFilesAreReadWithSuspicion() throws IOException {
        Path file = directory.resolve("x.json");
        var object = JsonNodeFactory.instance.objectNode().put("a", 0.1f).put("b", 5L).put("ü", "\"");
        JsonFiles.write(file, object);
        assertThat(JsonFiles.read(file)).isEqualTo(JsonFiles.normalised(object));
        assertThat(JsonFiles.read(file).toString()).isEqualTo("{\"a\":0.1,\"b\":5,\"ü\":\"\\\"\"}");
        for (String[] bad : new String[][] {
            {"{\"a\":1,\n\"a\":2}", ":2:"}, {"{} {}", ":1:"}, {"", ":1: found nothing; expected JSON"},
                    {"[".repeat(1000), "not valid JSON"}, {"{\"a\":NaN}", ":1:"},
            {"\u0000", "not valid JSON"}, {"{\"a\":1", "not valid JSON"}
        }) {
            Files.writeString(file, bad[0]);
            assertFailure(Failure.Kind.BAD_FILE, () -> JsonFiles.read(file), file.toString(), bad[1]);
        }
        assertFailure(Failure.Kind.BAD_FILE, () -> JsonFiles.read(directory), "cannot read");
    }
}
