package rqat.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;
import rqat.quant.Method;
import rqat.quant.ModelDirectory;
import rqat.run.Progress;
import rqat.tensor.Torch;

/// A small run of everything, damaged one bit at a time.
class CheckTest {
    private static final Path EMBEDDED = Path.of("models/embedded");

    @TempDir
    static Path folder;

    private static final List<String> SETS = List.of(
            "rows=[rtn, rtn+kd]", "quantise.bits=3", "kd.problems=8", "kd.batch=4", "kd.optimisation.steps=2", "kd.optimisation.warm_up=0",
            "evaluate.tasks=[easy]", "evaluate.problems=3", "evaluate.seeds=[42]", "evaluate.max_new_tokens=6");

    static Path run(Path output, String... more) throws IOException {
        Path recipe = Files.writeString(output.resolveSibling("recipe.yaml"), "model: embedded\n");
        var sets = Stream.concat(SETS.stream(), Stream.of(more)).toList();
        Run.run(List.of("rqat", "run"), RunSettings.load(recipe, sets), EMBEDDED, output, Progress.silent());
        return output;
    }

    private static List<Path> files(Path directory) throws IOException {
        try (Stream<Path> paths = Files.walk(directory)) {
            return paths.filter(Files::isRegularFile).sorted().toList();
        }
    }

    private static void flip(Path file, long bit) throws IOException {
        byte[] bytes = Files.readAllBytes(file);
        bytes[(int) (bit / 8)] ^= (byte) (1 << bit % 8);
        Files.write(file, bytes);
    }

    @Test
    void aFlippedBitAnywhereInAFinishedRunIsFound() throws IOException {
        Path run = run(folder.resolve("run"));
        Check whole = Check.of(run, Progress.silent());
        assertThat(whole.damaged()).isEmpty();
        assertThat(whole.unchecked()).isEmpty();
        assertThat(whole.notes()).isEmpty();
        List<Path> files = files(run);
        assertThat(whole.intact().keySet()).containsExactlyInAnyOrderElementsOf(files).hasSizeGreaterThan(30);

        long seed = System.nanoTime();
        System.out.println("CheckTest seed " + seed);
        var random = new Random(seed);
        for (Path file : files) {
            if (Files.size(file) == 0) continue; // no event was logged
            long bit = random.nextLong(8 * Files.size(file));
            flip(file, bit);
            assertThat(Check.of(run, Progress.silent()).damaged()).as("bit %d of %s", bit, file).containsKey(file);
            flip(file, bit);
        }
        assertThat(Check.of(run, Progress.silent()).damaged()).isEmpty();

        Path notes = Files.writeString(run.resolve("notes.txt"), "mine");
        Files.delete(run.resolve("stages/rtn/config.json"));
        Check changed = Check.of(run, Progress.silent());
        assertThat(changed.unchecked()).containsExactly(notes);
        assertThat(changed.damaged()).isEqualTo(Map.of(run.resolve("stages/rtn/config.json"), "is missing"));
    }

    @Test
    void everyBitOfLatentsCountsWhenTheyAreLoaded() throws IOException {
        Path model = Quantize.run(
                new Session(1, Torch.Compute.FLOAT32, 1, 1, Progress.silent()),
                RunSettings.DEFAULT.quantise().of(Method.Name.RTN),
                EMBEDDED,
                folder.resolve("latents"));
        Path latents = model.resolve("quantization/latents.safetensors");
        long size = Files.size(latents);
        var random = new Random(7);
        for (int i = 0; i < 4; i++) {
            // The lowest bits of numbers, which change no code.
            long bit = 8 * (size - 4 * (1 + random.nextLong(size / 8))) + random.nextInt(4);
            flip(latents, bit);
            assertThatThrownBy(() -> ModelDirectory.load(model)).as("bit %d", bit).isInstanceOfSatisfying(
                    Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE));
            flip(latents, bit);
        }
        ModelDirectory.load(model).close();
    }

    @Test
    void whatHasNoChecksumIsSaid() {
        assertThatThrownBy(() -> Check.of(EMBEDDED, Progress.silent())).isInstanceOf(Failure.class).hasMessageContaining("nothing in it has a checksum");
        assertThatThrownBy(() -> Check.of(folder.resolve("gone"), Progress.silent())).isInstanceOf(Failure.class).hasMessageContaining("no such directory");
    }
}
