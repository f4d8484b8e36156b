package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.io.SealedJson;
import tools.jackson.databind.JsonNode;

class StageDirectoryTest {

    record Settings(int bits, float rate, List<String> tasks) {}

    private static final JsonNode SETTINGS = Configuration.toTree(new Settings(3, 0.1f, List.of("a")));
    private static final Map<String, String> INPUTS = Map.of("model", "ab12");

    @TempDir
    Path directory;

    private Path out;
    private Path partial;

    @BeforeEach
    void names() {
        out = directory.resolve("out");
        partial = directory.resolve("out.partial");
    }

    private StageDirectory open() {
        return StageDirectory.open(out, "quantise", SETTINGS, INPUTS);
    }

    private void assertFailure(Failure.Kind kind, ThrowingCallable call, String... parts) {
        assertThatThrownBy(call).isInstanceOfSatisfying(Failure.class, failure -> {
            assertThat(failure.kind()).isEqualTo(kind);
            assertThat(failure.getMessage()).contains(parts);
        });
    }

    private List<String> content() throws IOException {
        try (Stream<Path> paths = Files.walk(directory)) {
            return paths.filter(Files::isRegularFile).map(path -> directory.relativize(path).toString()).sorted().toList();
        }
    }

    private static void work(StageDirectory.Work work) throws IOException {
        Files.writeString(work.directory().resolve("model.safetensors"), "weights");
        Files.createDirectories(work.directory().resolve("quantization"));
        Files.writeString(work.directory().resolve("quantization/codes"), "codes");
        Files.writeString(work.directory().resolve(".model.safetensors.tmp"), "torn");
        Files.createDirectories(work.checkpoints());
        Files.writeString(work.checkpoints().resolve("state"), "state");
    }

    @Test
    void aStageIsFreshThenResumableThenFinished() throws IOException {
        try (StageDirectory.Work work = ((StageDirectory.Fresh) open()).work()) {
            assertThat(work.directory()).isEqualTo(partial).isDirectory();
            work(work);
        }
        assertThat(out).doesNotExist();
        try (StageDirectory.Work work = ((StageDirectory.Resumable) open()).work()) {
            assertThat(work.checkpoints().resolve("state")).hasContent("state");
            StageDirectory.Finished finished = work.finish();
            assertThat(finished.directory()).isEqualTo(out);
        }
        assertThat(content()).containsExactly("out/model.safetensors", "out/quantization/codes", "out/stage.json");
        StageDirectory.Finished finished = (StageDirectory.Finished) open();
        assertThat(finished.stage()).isEqualTo(SealedJson.read(out.resolve("stage.json")));
        assertThat(finished.stage().path("stage").stringValue()).isEqualTo("quantise");
        assertThat(finished.stage().path("configuration").toString()).isEqualTo("{\"bits\":3,\"rate\":0.1,\"tasks\":[\"a\"]}");
        assertThat(finished.stage().path("inputs").toString()).isEqualTo("{\"model\":\"ab12\"}");
        assertThat(finished.stage().path("files").toString())
                .isEqualTo("{\"model.safetensors\":{\"bytes\":7,\"sha256\":\"%s\"},\"quantization/codes\":{\"bytes\":5,\"sha256\":\"%s\"}}"
                .formatted(AtomicFiles.sha256("weights"), AtomicFiles.sha256("codes")));
    }

    @Test
    void theKeyIsKnownBeforeAndReadAfterwards() {
        String key = StageDirectory.key("quantise", SETTINGS, INPUTS);
        assertThat(StageDirectory.key(out)).isEmpty();
        ((StageDirectory.Fresh) open()).work().finish();
        assertThat(StageDirectory.key(out)).contains(key);
        assertThat(List.of(
                        StageDirectory.key("distil", SETTINGS, INPUTS),
                        StageDirectory.key("quantise", Configuration.toTree(new Settings(4, 0.1f, List.of("a"))), INPUTS),
                        StageDirectory.key("quantise", SETTINGS, Map.of("model", "cd34"))))
                .doesNotContain(key).doesNotHaveDuplicates();
    }

    @Test
    void relativePathsWork() {
        Path relative = Path.of("target", "stage-directory-test-" + ProcessHandle.current().pid());
        try {
            ((StageDirectory.Fresh) StageDirectory.open(relative, "s", SETTINGS, INPUTS)).work().finish();
            assertThat(relative.resolve("stage.json")).isRegularFile();
        } finally {
            AtomicFiles.delete(relative);
        }
    }

    @Test
    void otherSettingsAreRefusedWithTheKeysThatDiffer() throws IOException {
        JsonNode other = Configuration.toTree(new Settings(4, 0.2f, List.of("a", "b")));
        ((StageDirectory.Fresh) open()).work().close();
        assertFailure(Failure.Kind.USAGE, () -> StageDirectory.open(out, "quantise", other, INPUTS), partial
                + " was made with other settings: `bits` is `3` there and `4` now; "
                + "`rate` is `0.1` there and `0.2` now; `tasks` is `[\"a\"]` there and `[\"a\",\"b\"]` now. Choose another output directory, move it away, or give the same settings");
        assertFailure(Failure.Kind.USAGE, () -> StageDirectory.open(out, "distil", SETTINGS, INPUTS), partial
                + " was made by the stage `quantise`, not by distil");
        ((StageDirectory.Resumable) open()).work().finish();
        assertFailure(Failure.Kind.USAGE, () -> StageDirectory.open(out, "quantise", other, INPUTS), out
                + " was made with other settings: `bits` is `3` there");
        assertFailure(Failure.Kind.USAGE, () -> StageDirectory.open(out, "quantise", SETTINGS, Map.of("model", "cd34", "data", "ef")),
                "`input.data` is absent there and `\"ef\"` now; `input.model` is `\"ab12\"` there and `\"cd34\"` now");
        assertThat(content()).containsExactly("out/stage.json");
    }

    @Test
    void whatIsNotOursStaysAsItIs() throws IOException {
        for (Path place : List.of(out, partial)) {
            Files.createDirectories(place);
            Files.writeString(place.resolve("thesis.tex"), "years of work");
            assertFailure(Failure.Kind.USAGE, this::open, place
                    + " exists, but no stage of rqat made it", "Choose another output directory, or move it away");
            for (String bad : List.of("{", "{}", "[]", "{\"stage\":3}")) {
                Files.writeString(place.resolve("stage.json"), bad);
                assertFailure(Failure.Kind.USAGE, this::open, place + " stays as it is. Choose another output directory");
            }
            assertThat(place.resolve("thesis.tex")).hasContent("years of work");
            AtomicFiles.delete(place);
            Files.writeString(place, "a file");
            assertFailure(Failure.Kind.USAGE, this::open, place + " exists, but no stage of rqat made it");
            assertThat(place).hasContent("a file");
            Files.delete(place);
        }
        assertThat(content()).isEmpty();
    }

    @Test
    void anEmptyDirectoryIsAsGoodAsNone() throws IOException {
        Files.createDirectories(out);
        ((StageDirectory.Fresh) open()).work().finish();
        assertThat(content()).containsExactly("out/stage.json");
    }

    @Test
    void aFinishedStageWhoseFilesAreGoneIsNotFinished() throws IOException {
        StageDirectory.Work work = ((StageDirectory.Fresh) open()).work();
        work(work);
        work.finish();
        Files.writeString(out.resolve("notes"), "other files may be added");
        assertThat(open()).isInstanceOf(StageDirectory.Finished.class);
        Files.writeString(out.resolve("model.safetensors"), "w");
        assertFailure(Failure.Kind.BAD_FILE, this::open, out.resolve("model.safetensors")
                + ": has 1 bytes; expected 7 bytes as when the stage finished. Delete " + out);
        Files.delete(out.resolve("model.safetensors"));
        assertFailure(Failure.Kind.BAD_FILE, this::open, out.resolve("model.safetensors") + ": is missing; expected 7 bytes");
    }

    /// A process may die between any two changes of the file system while a stage finishes; the states that it can leave are made by hand.
    @Test
    void finishingGoesOnWhereItDied() throws IOException {
        StageDirectory.Work work = ((StageDirectory.Fresh) open()).work();
        work(work);
        Path copy = directory.resolve("copy");
        copy(partial, copy);
        work.finish();
        byte[] stage = Files.readAllBytes(out.resolve("stage.json"));
        for (int died = 0; died < 6; died++) {
            AtomicFiles.delete(out);
            AtomicFiles.delete(partial);
            copy(copy, partial);
            if (died >= 1) {
                Files.writeString(partial.resolve(".stage.json.tmp"), "torn");
            }
            if (died >= 2) {
                Files.write(partial.resolve("stage.json"), stage);
            }
            if (died >= 3) {
                Files.delete(partial.resolve("checkpoints/state"));
            }
            if (died >= 4) {
                AtomicFiles.delete(partial.resolve("checkpoints"));
                Files.delete(partial.resolve("begun.json"));
            }
            if (died >= 5) {
                Files.createDirectories(out);
            }
            StageDirectory found = open();
            if (died < 2) {
                assertThat(found).as("state " + died).isInstanceOf(StageDirectory.Resumable.class);
                ((StageDirectory.Resumable) found).work().finish();
            } else {
                assertThat(found).as("state " + died).isInstanceOf(StageDirectory.Finished.class);
            }
            assertThat(Files.readAllBytes(out.resolve("stage.json"))).isEqualTo(stage);
            try (Stream<Path> paths = Files.walk(out)) {
                assertThat(paths.filter(Files::isRegularFile).map(path -> out.relativize(path).toString()))
                        .containsExactlyInAnyOrder("model.safetensors", "quantization/codes", "stage.json");
            }
            assertThat(partial).doesNotExist();
        }
    }

    @Test
    void aTornBeginningBeginsAgain() throws IOException {
        Files.createDirectories(directory.resolve(".out.partial.tmp"));
        Files.writeString(directory.resolve(".out.partial.tmp/begun.json"), "{\"sta");
        ((StageDirectory.Fresh) open()).work().finish();
        assertThat(content()).containsExactly("out/stage.json");
    }

    private static void copy(Path from, Path to) throws IOException {
        Files.walkFileTree(from, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path path, BasicFileAttributes attributes) throws IOException {
                Files.createDirectories(to.resolve(from.relativize(path)));
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path path, BasicFileAttributes attributes) throws IOException {
                Files.copy(path, to.resolve(from.relativize(path)));
                return FileVisitResult.CONTINUE;
            }
        });
    }

    @Test
    void oneDirectoryHasOneProcess() throws IOException, InterruptedException {
        StageDirectory.Work work = ((StageDirectory.Fresh) open()).work();
        String occupied = "another rqat process (number %d) is at work on %s; wait until it ends, or stop it"
                .formatted(ProcessHandle.current().pid(), out);
        assertFailure(Failure.Kind.FAILED, this::open, occupied);
        assertFailure(Failure.Kind.FAILED, this::open, occupied);
        assertThat(other()).as("another process").contains(occupied);
        assertThat(work.directory()).isDirectory();
        work.close();
        assertThat(content()).containsExactly("out.partial/begun.json");
        assertThat(other()).contains("Resumable");
        ((StageDirectory.Resumable) open()).work().finish();
        assertThat(other()).contains("Finished");
    }

    /// What another Java process sees.
    private String other() throws IOException, InterruptedException {
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java")
                .toString(), "-cp", System.getProperty("java.class.path"), Opener.class.getName(), out.toString())
                .redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        return output;
    }

    /// The main class of the other process.
    public static final class Opener {
        public static void main(String[] arguments) {
            try {
                System.out.println(StageDirectory.open(Path.of(arguments[0]), "quantise", SETTINGS, INPUTS));
            } catch (Failure failure) {
                System.out.println(failure.getMessage());
            }
        }
    }
}
