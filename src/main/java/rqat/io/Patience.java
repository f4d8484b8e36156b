package rqat.io;

import java.io.IOException;
import java.net.ConnectException;
import java.net.http.HttpHeaders;
import java.nio.channels.ClosedByInterruptException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;
import rqat.Failure;

/// Tries again what failed on the network in a way that may pass: connections that end, servers that are busy.
///
/// @param first    how long to wait after a first failure; twice as long after each further one, unless the server says how long
/// @param failures how many in a row are too many
/// @param notice   hears, in one line, of a first failure in a row and that it will be tried again
public record Patience(Duration first, int failures, Consumer<String> notice) {
    private static final Duration LONGEST_WAIT = Duration.ofMinutes(5);

    /// So much progress makes the failures before it forgotten.
    private static final long PROGRESS = 1 << 20;

    /// A failure that may pass, and how long to wait if the server said so.
    public static final class Passing extends IOException {
        private final @Nullable Duration wait;

        /// @param wait null to wait as long as the failures so far suggest
        public Passing(String message, @Nullable Duration wait) {
            super(message);
            this.wait = wait;
        }
    }

    /// Something that may fail; an [IOException] may pass, a [Failure] may not.
    @FunctionalInterface
    public interface Attempt<T> {
        /// @return null when there was progress but not the end
        @Nullable T run() throws IOException, InterruptedException;
    }

    /// Eight failures in a row are too many.
    public Patience(Duration first) {
        this(first, 8);
    }

    /// Without a notice.
    public Patience(Duration first, int failures) {
        this(first, failures, _ -> {});
    }

    /// This one with a notice.
    public Patience told(Consumer<String> notice) {
        return new Patience(first, failures, notice);
    }

    /// The result of the first attempt that has one.
    ///
    /// @param what     what it is about, for messages
    /// @param advice   what a user can do when it never succeeds
    /// @param position how far it is, for example in bytes
    /// @throws Failure FAILED after too many failures without a million steps of progress in between; INTERRUPTED when the thread is
    public <T> T persist(String what, String advice, LongSupplier position, Attempt<T> attempt) {
        long reached = position.getAsLong();
        for (int failed = 0; ; ) {
            IOException cause;
            try {
                T result = attempt.run();
                if (result != null) return result;
                cause = new IOException("nothing came");
            } catch (InterruptedException | ClosedByInterruptException e) {
                throw interrupted(what);
            } catch (IOException e) {
                cause = e;
            }
            if (Thread.interrupted()) throw interrupted(what);
            if (position.getAsLong() >= reached + PROGRESS) {
                reached = position.getAsLong();
                failed = 0;
            }
            if (++failed >= failures) {
                throw Failure.failed("%s: given up after %d attempts; the last one: %s. %s".formatted(what, failed, said(cause), advice), cause);
            }
            if (failed == 1) notice.accept("%s: %s; trying again, up to %d times".formatted(what, said(cause), failures - 1));
            Duration wait = cause instanceof Passing passing && passing.wait != null ? passing.wait : first.multipliedBy(1L << (failed - 1));
            try {
                Thread.sleep(wait.compareTo(LONGEST_WAIT) < 0 ? wait : LONGEST_WAIT);
            } catch (InterruptedException e) {
                throw interrupted(what);
            }
        }
    }

    private static String said(IOException cause) {
        return cause instanceof ConnectException ? "no connection" : cause.getMessage() == null ? cause.toString() : cause.getMessage();
    }

    /// Whether an HTTP status says that the same request may succeed later.
    public static boolean mayPass(int status) {
        return status == 408 || status == 429 || status >= 500;
    }

    /// How long the server asks to wait, in seconds or until a date; null when it does not say.
    public static @Nullable Duration retryAfter(HttpHeaders headers) {
        String value = headers.firstValue("Retry-After").orElse("");
        if (value.matches("[0-9]{1,6}")) return Duration.ofSeconds(Long.parseLong(value));
        try {
            Duration until = Duration.between(Instant.now(), ZonedDateTime.parse(value, DateTimeFormatter.RFC_1123_DATE_TIME));
            return until.isNegative() ? Duration.ZERO : until;
        } catch (DateTimeParseException e) {
            return null;
        }
    }

    private static Failure interrupted(String what) {
        return Failure.interrupted("interrupted in %s; the same command resumes".formatted(what));
    }
}
