package rqat.cli;

import java.nio.file.Path;
import rqat.run.Progress;

/// Where models are, for commands: a download can be interrupted and says how far it is.
final class Models {
    private Models() {}

    /// See [rqat.recipe.Models#directory].
    static Path directory(String model) {
        return Interruption.stopping(() -> rqat.recipe.Models.directory(model, Progress.Display.ofStandardError()));
    }
}
