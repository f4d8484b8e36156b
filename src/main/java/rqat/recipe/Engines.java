package rqat.recipe;

import java.nio.file.Path;
import java.util.Optional;
import rqat.Failure;
import rqat.engine.CacheFormat;
import rqat.engine.HeadFormat;
import rqat.engine.PackedModel;
import rqat.engine.PackedScorer;
import rqat.engine.PackedSteps;
import rqat.foreign.ForeignModel;
import rqat.format.ActivationFormat;
import rqat.format.CodedModel;
import rqat.generate.Generator;
import rqat.generate.LocalGenerator;
import rqat.generate.Scorer;
import rqat.generate.StepModel;
import rqat.generate.torch.TorchScorer;
import rqat.generate.torch.TorchSteps;
import rqat.io.DataType;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.quant.LoadedModel;
import rqat.tensor.Torch;

/// Opens models for sampling and scoring: the one place that says which engine runs a model and how much of the machine it may take.
public final class Engines {
    /// How many tokens are scored together.
    private static final int SCORED_TOKENS = 4096;

    private Engines() {}

    /// What computes.
    public enum Kind {
        /// The packed engine where it computes what libtorch does ([#packs]), else libtorch.
        AUTO,
        /// Codes and float32 activations, [PackedModel].
        PACKED,
        /// The weights of the checkpoint, [LoadedModel].
        TORCH
    }

    /// Which engine, and how the packed one rounds what no method quantises.
    ///
    /// @param head  of the packed engine
    /// @param cache of the packed engine
    public record Settings(Kind kind, HeadFormat head, CacheFormat cache) {
        /// libtorch.
        public static final Settings TORCH = new Settings(Kind.TORCH, HeadFormat.STORED, CacheFormat.FLOAT32);

        /// @throws Failure USAGE when libtorch is asked to round
        public Settings {
            if (kind == Kind.TORCH && !(head == HeadFormat.STORED && cache == CacheFormat.FLOAT32)) {
                throw Failure.usage("the torch engine rounds neither the head nor keys and values; only the packed engine does");
            }
        }

        /// Whether results are those of the model as it is, but for the order of sums.
        public boolean isExact() {
            return head == HeadFormat.STORED && cache == CacheFormat.FLOAT32;
        }
    }

    /// A model directory that is open; owns the weights. One thread at a time.
    public sealed interface Engine extends AutoCloseable {
        /// Of the model.
        ModelConfig config();

        /// Samples requests as they come, through a [rqat.generate.Scheduler], which closes it.
        ///
        /// @param cacheGib GiB that their keys and values may take
        StepModel steps(double cacheGib);

        /// Scores texts.
        Scorer scorer();

        /// What computes and what it rounds, for people.
        String description();

        /// Samples batches.
        ///
        /// @param batch    sequences that are sampled together
        /// @param cacheGib GiB that their keys and values may take
        default Generator generator(int batch, double cacheGib) {
            return new LocalGenerator(() -> steps(cacheGib), batch);
        }

        @Override
        void close();
    }

    private record TorchEngine(LoadedModel model) implements Engine {
        @Override
        public ModelConfig config() {
            return model.decoder().config();
        }

        @Override
        public StepModel steps(double cacheGib) {
            return TorchSteps.within(model.decoder(), cacheGib);
        }

        @Override
        public Scorer scorer() {
            return new TorchScorer(model.decoder(), SCORED_TOKENS);
        }

        @Override
        public String description() {
            return "torch engine";
        }

        @Override
        public void close() {
            model.close();
        }
    }

    private record PackedEngine(PackedModel model, int threads) implements Engine {
        @Override
        public ModelConfig config() {
            return model.config();
        }

        @Override
        public StepModel steps(double cacheGib) {
            return PackedSteps.within(model, cacheGib);
        }

        @Override
        public Scorer scorer() {
            return new PackedScorer(model);
        }

        @Override
        public String description() {
            return "packed engine, %d thread%s, %,.1f MB of weights, head in %d bits, keys and values in %d".formatted(threads, threads == 1 ? "" : "s", model.bytes() / 1e6, model.headBits(), model.cache().bits());
        }

        @Override
        public void close() {
            model.close();
        }
    }

    /// Opens the model in `directory` on libtorch.
    ///
    /// @throws Failure as [LoadedModel#open(Path, rqat.tensor.Place)]
    public static Engine open(Path directory, Torch.Compute compute) {
        return new TorchEngine(LoadedModel.open(directory, compute.place()));
    }

    /// Opens the model in `directory`.
    ///
    /// @param threads of the packed engine; those of libtorch belong to the process ([Torch#threads])
    /// @throws Failure as [LoadedModel#open(Path, rqat.tensor.Place)] and [PackedModel#open]; USAGE when the packed engine is asked for another compute dtype than float32
    public static Engine open(Path directory, Torch.Compute compute, Settings settings, int threads) {
        boolean packed = switch (settings.kind()) {
            case PACKED -> true;
            case TORCH -> false;
            case AUTO -> !settings.isExact() || compute == Torch.Compute.FLOAT32 && PackedModel.isAvailable() && packs(directory);
        };
        if (!packed) return open(directory, compute);
        if (compute != Torch.Compute.FLOAT32) throw Failure.usage("the packed engine computes in float32, not in %s; leave `compute` at float32, or use the torch engine".formatted(compute));
        return new PackedEngine(PackedModel.open(directory, new PackedModel.Settings(threads, settings.head(), settings.cache())), threads);
    }

    /// Whether the packed engine computes from the codes of `directory` what libtorch computes from its checkpoint: it is quantised, its activations are not, and the checkpoint holds the weights of the
    /// codes as they are, in float32, or not at all. (A checkpoint in bfloat16 has them rounded.)
    ///
    /// @throws Failure as [ForeignModel#open]
    static boolean packs(Path directory) {
        try (CodedModel model = ForeignModel.open(directory)) {
            Optional<String> coded = model.codedNames().stream().findFirst();
            return coded.isPresent()
                    && model.activations().equals(ActivationFormat.NONE)
                    && model.sites().isEmpty()
                    && model.value(coded.get()).type() == DataType.F32;
        }
    }

    /// Samples from a model that is in memory already, one in training.
    static Generator generator(Decoder decoder, int batch, double cacheGib) {
        return new LocalGenerator(() -> TorchSteps.within(decoder, cacheGib), batch);
    }
}
