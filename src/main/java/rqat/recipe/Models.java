package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import rqat.Failure;
import rqat.data.Hub;
import rqat.foreign.GgufDirectory;
import rqat.run.Progress;

/// Where models are.
public final class Models {
    private static final String EMBEDDED = "embedded";

    private Models() {}

    /// The directory that a user means by `model`: a path, a GGUF file (a directory is made of it), `embedded` for the model that comes with the program, or a repository of the Hub,
    /// which is downloaded.
    ///
    /// @throws Failure BAD_FILE when there is no such model; FAILED and INTERRUPTED of a download
    public static Path directory(String model, Progress progress) {
        if (!model.equals(EMBEDDED)) {
            Path directory = Path.of(model);
            if (Files.isDirectory(directory)) return directory;
            if (model.endsWith(".gguf") && Files.isRegularFile(directory)) return GgufDirectory.of(directory, cache());
            if (Hub.isId(model)) return downloaded(model, progress);
            throw Failure.badFile("%s: no such directory; expected a Hugging Face model directory, a GGUF file, a repository `owner/name` of the Hub, or `%s`"
                    .formatted(model, EMBEDDED));
        }
        // The launcher says where the program is; a build tool that starts us has it as its current directory.
        Path directory = Path.of(System.getenv().getOrDefault("RQAT_HOME", "."), "models", EMBEDDED);
        if (!Files.isDirectory(directory)) {
            throw Failure.badFile("%s: the embedded model is not there; start rqat by its launcher script, or set RQAT_HOME to where it lies".formatted(directory));
        }
        return directory;
    }

    /// Where what can be made again is kept between commands.
    private static Path cache() {
        String given = System.getenv().getOrDefault("XDG_CACHE_HOME", "");
        Path cache = given.isEmpty() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(given);
        return cache.resolve("rqat").resolve("gguf");
    }

    private static Path downloaded(String model, Progress progress) {
        try {
            return Hub.ofEnvironment(progress).model(model);
        } catch (Failure failure) {
            String message = "%s is no directory here; as a repository of the Hub: %s".formatted(model, failure.getMessage());
            throw switch (failure.kind()) {
                case BAD_FILE -> Failure.badFile(message, failure);
                case FAILED -> Failure.failed(message, failure);
                case USAGE, GATE, INTERRUPTED -> failure;
            };
        }
    }
}
