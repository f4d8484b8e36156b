package rqat.recipe;

import java.nio.file.Path;
import java.util.List;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.torch.LocalGenerator;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.quant.LoadedModel;

/// Samples from a model directory.
public final class Generate {
    private static final int BATCH = 64;
    private static final double CACHE_GIB = 4;

    private Generate() {}

    /// One completion per request; `listener` hears of tokens as they come.
    public static List<Completion> run(Path directory, List<Request> requests, Sampling sampling, Listener listener) {
        try (LoadedModel model = LoadedModel.open(directory)) {
            return LocalGenerator.within(model.decoder(), BATCH, CACHE_GIB).generate(requests, sampling, listener);
        }
    }
}
