package rqat.io;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.time.Duration;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/// Closes a body on which nothing came for a while: reading it would wait for ever.
public final class StallWatch implements AutoCloseable {
    private static final ScheduledExecutorService CLOCK =
            Executors.newSingleThreadScheduledExecutor(Thread.ofPlatform().daemon().name("stall-watch").factory());

    private final ScheduledFuture<?> check;
    private volatile boolean alive = true;

    /// @param patience after which a silent body is closed, at the latest after twice as long
    public StallWatch(InputStream body, Duration patience) {
        check = CLOCK.scheduleAtFixedRate(
                () -> {
                    if (!alive) {
                        try {
                            body.close();
                        } catch (IOException e) {
                            // The reader sees the same.
                        }
                    }
                    alive = false;
                },
                patience.toMillis(), patience.toMillis(), TimeUnit.MILLISECONDS);
    }

    /// Something came.
    public void alive() {
        alive = true;
    }

    @Override
    public void close() {
        check.cancel(false);
    }

    /// All of a body; null where it is longer than `most` bytes.
    ///
    /// @param patience as of the constructor
    public static byte @Nullable [] read(InputStream source, int most, Duration patience) throws IOException {
        try (InputStream body = source; var watch = new StallWatch(body, patience)) {
            var bytes = new ByteArrayOutputStream();
            byte[] buffer = new byte[1 << 14];
            for (int read; (read = body.read(buffer)) >= 0; ) {
                watch.alive();
                if (bytes.size() + read > most) return null;
                bytes.write(buffer, 0, read);
            }
            return bytes.toByteArray();
        }
    }
}
