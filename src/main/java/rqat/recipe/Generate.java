package rqat.recipe;

import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.Request;
import rqat.tensor.Torch;

/// Samples from a model directory.
public final class Generate {
    private static final int BATCH = 64;
    private static final double CACHE_GIB = 4;

    private Generate() {}

    /// One completion per request; `listener` hears of tokens as they come.
    ///
    /// @param opened hears of the engine
    public static List<Completion> run(Path directory, Engines.Settings settings, Consumer<Engines.Engine> opened, List<Request> requests, Listener listener) {
        try (var engine = Engines.open(directory, Torch.Compute.FLOAT32, settings, Runtime.getRuntime().availableProcessors())) {
            opened.accept(engine);
            return engine.generator(BATCH, CACHE_GIB).generate(requests, listener);
        }
    }
}
