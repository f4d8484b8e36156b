package rqat.recipe;

import java.nio.file.Path;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.generate.Completion;
import rqat.generate.Listener;
import rqat.generate.LocalGenerator;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.model.ModelLoader;
import rqat.model.Weights;

/// Samples from a model directory.
public final class Generate {
    private static final int BATCH = 64;

    private Generate() {}

    /// One completion per request; `listener` hears of tokens as they come.
    public static List<Completion> run(Path directory, List<Request> requests, Sampling sampling, Listener listener) {
        ModelConfig config = ModelConfig.load(directory);
        var weights = ModelLoader.load(directory, config, ScalarType.Float);
        try {
            return new LocalGenerator(new Decoder(config, new Weights(weights)), BATCH, Session.KV_TOKENS)
                    .generate(requests, sampling, listener);
        } finally {
            weights.values().forEach(Tensor::close);
        }
    }
}
