package rqat.verify.program;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/// The scripts that run inside the sandbox.
final class Resources {
    private Resources() {}

    static String text(String name) {
        try (InputStream source = Resources.class.getResourceAsStream(name)) {
            if (source == null) throw new IllegalStateException("no resource " + name);
            return new String(source.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
