package rqat.run;

import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import rqat.Failure;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;

/// `events.jsonl`: what happened besides numbers, one JSON object each, appended at once.
public final class Events implements AutoCloseable {

    /// What kind of event.
    public enum Kind {
        /// Something the user should look at.
        WARNING,
        /// A gate was judged; the text says the figure and the threshold.
        GATE,
        /// A checkpoint was written, loaded or found broken.
        CHECKPOINT,
        /// Anything else worth knowing later.
        NOTE
    }

    /// One event, at a step (0 before the first) and an instant, which is the only part that differs between equal runs.
    public record Event(long step, Kind kind, String text, Instant at) {}

    private final JsonLines lines;

    private Events(JsonLines lines) {
        this.lines = lines;
    }

    /// Opens a file for appending, creates it if it is absent, and drops a torn last line.
    public static Events append(Path file) {
        return new Events(JsonLines.append(file));
    }

    /// Appends an event.
    public void write(long step, Kind kind, String text) {
        lines.write(JsonNodeFactory.instance.objectNode()
                .put("step", step)
                .put("kind", kind.name().toLowerCase(Locale.ROOT))
                .put("text", text)
                .put("time/at", Instant.now().toString()));
    }

    @Override
    public void close() {
        lines.close();
    }

    /// All whole lines of a file.
    ///
    /// @throws Failure of kind BAD_FILE with the line that is no event
    public static List<Event> read(Path file) {
        List<JsonNode> objects = JsonLines.read(file);
        return IntStream.range(0, objects.size()).mapToObj(i -> event(objects.get(i), file + ":" + (i + 1))).toList();
    }

    private static Event event(JsonNode object, String place) {
        try {
            return new Event(Metrics.step(object, place), Kind.valueOf(object.path("kind").asString().toUpperCase(Locale.ROOT)),
                    object.path("text").asString(), Instant.parse(object.path("time/at").asString()));
        } catch (IllegalArgumentException | DateTimeException e) {
            throw Failure.badFile("%s: no event: %s".formatted(place, e.getMessage()));
        }
    }

    /// As [Metrics#truncateAfter].
    public static void truncateAfter(Path file, long step) {
        Metrics.truncateAfter(file, step);
    }
}
