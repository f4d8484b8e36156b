package rqat.recipe;

import java.nio.file.Path;
import java.util.List;
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
    public static List<Completion> run(Path directory, List<Request> requests, Listener listener) {
        try (var engine = Engines.open(directory, Torch.Compute.FLOAT32)) {
            return engine.generator(BATCH, CACHE_GIB).generate(requests, listener);
        }
    }
}
