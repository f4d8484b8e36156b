package rqat.recipe;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import rqat.Failure;
import rqat.io.AtomicFiles;
import rqat.model.ModelConfig;
import rqat.tensor.Torch;

/// How probable a model finds given token sequences; exact float32.
public final class Score {
    private Score() {}

    /// One scored sequence of n tokens.
    ///
    /// @param sequence         its place in the input
    /// @param logProbabilities n - 1 natural logarithms: of the second token given the first, ..., of the last given all before it
    public record Result(int sequence, float[] logProbabilities) {
        /// Of the whole sequence given its first token.
        public double sum() {
            double sum = 0;
            for (float value : logProbabilities) sum += value;
            return sum;
        }

        /// exp of the mean negative log-probability; 1 when nothing was scored.
        public double perplexity() {
            return logProbabilities.length == 0 ? 1 : Math.exp(-sum() / logProbabilities.length);
        }
    }

    /// Scores `sequences`, which come from `source`, by the model in `directory`.
    ///
    /// @param opened hears of the engine
    /// @throws Failure BAD_FILE when there is no sequence, one is empty, too long for the model, or has an id outside its vocabulary
    public static List<Result> run(Path directory, Engines.Settings settings, Consumer<Engines.Engine> opened, Path source, List<int[]> sequences) {
        ModelConfig config = ModelConfig.load(directory);
        if (sequences.isEmpty()) throw Failure.badFile("%s: holds no sequence; expected at least one".formatted(source));
        for (int i = 0; i < sequences.size(); i++) check(config, source, i, sequences.get(i));
        try (var engine = Engines.open(directory, Torch.Compute.FLOAT32, settings, Runtime.getRuntime().availableProcessors())) {
            opened.accept(engine);
            List<float[]> scores = engine.scorer().score(sequences);
            var results = new ArrayList<Result>();
            for (int i = 0; i < scores.size(); i++) results.add(new Result(i, scores.get(i)));
            return results;
        }
    }

    private static void check(ModelConfig config, Path source, int sequence, int[] ids) {
        if (ids.length == 0 || ids.length > config.maxPositions()) {
            throw Failure.badFile("%s: sequence %d has %d tokens; expected 1 to %d, the model's positions"
                    .formatted(source, sequence, ids.length, config.maxPositions()));
        }
        for (int id : ids) {
            if (id < 0 || id >= config.vocabularySize()) {
                throw Failure.badFile("%s: sequence %d has the token id %d; the model's ids are 0 to %d"
                        .formatted(source, sequence, id, config.vocabularySize() - 1));
            }
        }
    }

    /// A text file of at most 100 MB.
    public static String readText(Path file) {
        try {
            if (Files.size(file) > 100_000_000) throw Failure.badFile("%s: larger than 100 MB; split it".formatted(file));
            return Files.readString(file);
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        }
    }
}
