package rqat.recipe;

import java.nio.file.Path;
import rqat.generate.Generator;
import rqat.generate.LocalGenerator;
import rqat.generate.Scorer;
import rqat.generate.StepModel;
import rqat.generate.torch.TorchScorer;
import rqat.generate.torch.TorchSteps;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.quant.LoadedModel;
import rqat.tensor.Torch;

/// Opens models for sampling and scoring: the one place that says which engine runs a model and how much of the machine it may take.
public final class Engines {
    /// How many tokens are scored together.
    private static final int SCORED_TOKENS = 4096;

    private Engines() {}

    /// A model directory that is open; owns the weights. One thread at a time.
    public static final class Engine implements AutoCloseable {
        private final LoadedModel model;

        private Engine(LoadedModel model) {
            this.model = model;
        }

        /// Of the model.
        public ModelConfig config() {
            return model.decoder().config();
        }

        /// Samples batches.
        ///
        /// @param batch    sequences that are sampled together
        /// @param cacheGib GiB that their keys and values may take
        public Generator generator(int batch, double cacheGib) {
            return Engines.generator(model.decoder(), batch, cacheGib);
        }

        /// Samples requests as they come, through a [rqat.generate.Scheduler], which closes it.
        public StepModel steps(double cacheGib) {
            return TorchSteps.within(model.decoder(), cacheGib);
        }

        /// Scores texts.
        public Scorer scorer() {
            return new TorchScorer(model.decoder(), SCORED_TOKENS);
        }

        @Override
        public void close() {
            model.close();
        }
    }

    /// Opens the model in `directory`.
    ///
    /// @throws rqat.Failure as [LoadedModel#open(Path, Place)]
    public static Engine open(Path directory, Torch.Compute compute) {
        return new Engine(LoadedModel.open(directory, compute.place()));
    }

    /// Samples from a model that is in memory already, one in training.
    static Generator generator(Decoder decoder, int batch, double cacheGib) {
        return new LocalGenerator(() -> TorchSteps.within(decoder, cacheGib), batch);
    }
}
