package rqat.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import rqat.Failure;
import rqat.data.Hub;
import rqat.run.Progress;

/// Where models are.
final class Models {
    private static final String EMBEDDED = "embedded";

    private Models() {}

    /// The directory that a user means by `model`: a path, `embedded` for the model that comes with the program, or a repository of the Hub,
    /// which is downloaded.
    static Path directory(String model) {
        if (!model.equals(EMBEDDED)) {
            Path directory = Path.of(model);
            if (Files.isDirectory(directory)) return directory;
            if (Hub.isId(model)) return downloaded(model);
            throw Failure.badFile("%s: no such directory; expected a Hugging Face model directory, a repository `owner/name` of the Hub, or `%s`"
                    .formatted(model, EMBEDDED));
        }
        // The launcher says where the program is; a build tool that starts us has it as its current directory.
        Path directory = Path.of(System.getenv().getOrDefault("RQAT_HOME", "."), "models", EMBEDDED);
        if (!Files.isDirectory(directory)) {
            throw Failure.badFile("%s: the embedded model is not there; start rqat by its launcher script".formatted(directory));
        }
        return directory;
    }

    private static Path downloaded(String model) {
        try {
            return Interruption.stopping(() -> Hub.ofEnvironment(Progress.Display.ofStandardError()).model(model));
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
