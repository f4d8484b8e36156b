package rqat.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import rqat.Failure;

class MetricsTest {

    @TempDir
    Path directory;

    private static SequencedMap<String, Number> values(Object... namesAndValues) {
        SequencedMap<String, Number> values = new LinkedHashMap<>();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            values.put((String) namesAndValues[i], (Number) namesAndValues[i + 1]);
        }
        return values;
    }

    private static void write(Path file, int from, int to) {
        try (Metrics metrics = Metrics.append(file)) {
            for (int step = from; step <= to; step++) {
                metrics.write(step, values("time/step", 0.25, "loss", 1.0 / step, "tokens", 100L * step));
            }
        }
    }

    private static void assertBadFile(ThrowingCallable call, String message) {
        assertThatThrownBy(call).isInstanceOfSatisfying(Failure.class, failure -> {
            assertThat(failure.kind()).isEqualTo(Failure.Kind.BAD_FILE);
            assertThat(failure.getMessage()).contains(message);
        });
    }

    @Test
    void aStepIsALineWithTimesLast() throws IOException {
        Path file = directory.resolve("metrics.jsonl");
        try (Metrics metrics = Metrics.append(file)) {
            metrics.write(3, values("time/step", 0.5, "z", 1, "a", 0.1f, "grad", Double.NaN, "max", Float.POSITIVE_INFINITY, "min",
                    Double.NEGATIVE_INFINITY));
            metrics.force();
        }
        assertThat(Files.readString(file))
                .matches("\\Q{\"step\":3,\"z\":1,\"a\":0.10000000149011612,\"grad\":\"NaN\",\"max\":\"Infinity\",\"min\":\"-Infinity\",\"time/step\":0.5,\"time/at\":\\E[0-9.E]+}\n");
        Metrics.Row row = Metrics.read(file).getFirst();
        assertThat(row.step()).isEqualTo(3);
        assertThat(row.values()).isEqualTo(new LinkedHashMap<>(values("z", 1.0, "a", (double) 0.1f, "grad", Double.NaN, "max",
                Double.POSITIVE_INFINITY, "min", Double.NEGATIVE_INFINITY)));
        assertThat(row.values().sequencedKeySet()).containsExactly("z", "a", "grad", "max", "min");
        assertThat(row.times().sequencedKeySet()).containsExactly("step", "at");
        assertThat(row.times().get("at")).isBetween(1.7e9, 1e10);
    }

    @Test
    void aResumedFileIsThatOfAnUninterruptedRunButForTimes() {
        Path whole = directory.resolve("whole");
        Path resumed = directory.resolve("resumed");
        write(whole, 1, 20);
        write(resumed, 1, 13);
        Metrics.truncateAfter(resumed, 10);
        assertThat(Metrics.read(resumed)).hasSize(10);
        write(resumed, 11, 20);
        List<Metrics.Row> a = Metrics.read(whole);
        List<Metrics.Row> b = Metrics.read(resumed);
        assertThat(b).hasSize(20);
        for (int i = 0; i < 20; i++) {
            assertThat(b.get(i).step()).isEqualTo(i + 1);
            assertThat(b.get(i).values()).isEqualTo(a.get(i).values());
        }
    }

    @Test
    void aFileTornAtAnyByteLosesOnlyTheTornLine() throws IOException {
        Path file = directory.resolve("metrics.jsonl");
        write(file, 1, 3);
        byte[] bytes = Files.readAllBytes(file);
        for (int length = 0; length <= bytes.length; length++) {
            byte[] torn = Arrays.copyOf(bytes, length);
            long whole = new String(torn, StandardCharsets.UTF_8).chars().filter(c -> c == '\n').count();
            Files.write(file, torn);
            assertThat(Metrics.read(file)).hasSize((int) whole);
            Metrics.truncateAfter(file, 2);
            assertThat(Metrics.read(file)).hasSize((int) Math.min(2, whole));
            write(file, 7, 7);
            assertThat(Metrics.read(file)).hasSize((int) Math.min(2, whole) + 1).last().extracting(Metrics.Row::step).isEqualTo(7L);
        }
    }

    @Test
    void zerosOfAPowerCutAreATornLine() throws IOException {
        Path file = directory.resolve("metrics.jsonl");
        write(file, 1, 2);
        byte[] bytes = Files.readAllBytes(file);
        byte[] torn = Arrays.copyOf(bytes, bytes.length + 30);
        Files.write(file, torn);
        assertThat(Metrics.read(file)).hasSize(2);
        torn[torn.length - 1] = '\n';
        Files.write(file, torn);
        assertThat(Metrics.read(file)).hasSize(2);
        write(file, 3, 3);
        assertThat(Metrics.read(file)).extracting(Metrics.Row::step).containsExactly(1L, 2L, 3L);
    }

    @Test
    void damageBeforeTheLastLineIsABadFile() throws IOException {
        Path file = directory.resolve("metrics.jsonl");
        Files.writeString(file, "{\"step\":1}\n{\"step\":2,}\n{\"step\":3}\n");
        assertBadFile(() -> Metrics.read(file), file + ":2:");
        assertBadFile(() -> Metrics.append(file), file + ":2:");
        Files.writeString(file, "{\"step\":1}\n[]\n{\"step\":3}\n");
        assertBadFile(() -> Metrics.read(file), file + ":2: expected a JSON object");
        Files.writeString(file, "{\"step\":1}\n{\"loss\":2}\n{\"step\":3}\n");
        assertBadFile(() -> Metrics.read(file), file + ":2: `step` is absent; expected an integer");
        Files.writeString(file, "{\"step\":1}\n{\"step\":2,\"loss\":\"high\"}\n{\"step\":3}\n");
        assertBadFile(() -> Metrics.read(file), file + ":2: `loss` is `\"high\"`; expected a number");
        assertBadFile(() -> Metrics.read(directory.resolve("gone")), "no such file");
        Metrics.truncateAfter(directory.resolve("gone"), 3);
        assertThat(directory.resolve("gone")).doesNotExist();
    }

    @Test
    void truncatingKeepsTheBytesOfWhatStays() throws IOException {
        Path file = directory.resolve("metrics.jsonl");
        Files.writeString(file, "{ \"step\" : 1, \"x\":1.50 }\n{\"step\":3}\n{\"step\":2}\n{\"step\":4}");
        Metrics.truncateAfter(file, 2);
        assertThat(file).hasContent("{ \"step\" : 1, \"x\":1.50 }\n{\"step\":2}\n");
    }

    @Test
    void stepIsNoMetric() {
        try (Metrics metrics = Metrics.append(directory.resolve("m"))) {
            assertThatThrownBy(() -> metrics.write(1, values("step", 2))).isInstanceOf(IllegalArgumentException.class);
        }
        assertThat(Metrics.read(directory.resolve("m"))).isEmpty();
    }

    @Test
    void eventsComeBackInOrder() throws IOException {
        Path file = directory.resolve("events.jsonl");
        try (Events events = Events.append(file)) {
            events.write(0, Events.Kind.WARNING, "teacher and student share a \"tokenizer\"\nnearly");
            events.write(5, Events.Kind.GATE, "mismatch 0.02 < 0.1");
            events.write(6, Events.Kind.CHECKPOINT, "saved");
        }
        Files.writeString(file, "{\"step\":7,\"ki", StandardOpenOption.APPEND);
        Events.truncateAfter(file, 5);
        try (Events events = Events.append(file)) {
            events.write(6, Events.Kind.NOTE, "again");
        }
        assertThat(Events.read(file)).extracting(Events.Event::step).containsExactly(0L, 5L, 6L);
        assertThat(Events.read(file)).extracting(Events.Event::kind)
                .containsExactly(Events.Kind.WARNING, Events.Kind.GATE, Events.Kind.NOTE);
        assertThat(Events.read(file).getFirst().text()).isEqualTo("teacher and student share a \"tokenizer\"\nnearly");
        Files.writeString(file, "{\"step\":1,\"kind\":\"riot\"}\n{}\n");
        assertBadFile(() -> Events.read(file), file + ":1: no event");
    }
}
