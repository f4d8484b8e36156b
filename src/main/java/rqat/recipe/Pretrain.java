package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import rqat.data.BytePairTrainer;
import rqat.data.WordProblems;
import rqat.data.WordProblems.Problem;
import rqat.data.WordProblems.Split;
import rqat.io.AtomicFiles;
import rqat.io.DataType;
import rqat.model.ModelConfig;
import rqat.quant.ModelDirectory;
import rqat.quant.QuantisedModel;
import rqat.run.Configuration;
import rqat.tensor.Torch;
import rqat.text.Tokenizer;
import rqat.texts.WordProblemTexts;
import rqat.train.ChunkedHead;
import rqat.train.Initialiser;
import rqat.train.SftObjective;
import rqat.train.ShuffledBatches;

/// Makes the embedded model from nothing: a byte-level BPE of the word problems' language, a random Qwen3 decoder, and next-token
/// prediction on worked problems. Not part of the quantisation workflow, which starts from a model that can reason.
public final class Pretrain {
    private Pretrain() {}

    /// @param output       the model's directory
    /// @param seed         of weights, problems and their order
    /// @param compute      dtype of forward and backward passes
    /// @param vocabulary   largest number of tokens that the tokenizer may learn
    /// @param shape        of the decoder
    /// @param problems     worked problems per task
    /// @param batch        sequences per optimiser step
    /// @param optimisation how the weights move
    public record Settings(
            String output,
            long seed,
            Torch.Compute compute,
            int vocabulary,
            Shape shape,
            List<Integer> problems,
            int batch,
            Optimisation optimisation) {
        /// The recipe of the embedded model.
        public static final Settings DEFAULT = new Settings(
                "models/embedded",
                1,
                Torch.Compute.FAST_FLOAT32,
                512,
                new Shape(448, 128, 384, 4, 4, 2, 32, 512, 10_000),
                List.of(40_000, 50_000, 70_000),
                64,
                Optimisation.of(1600, 2e-3, 16));

        /// Checks the counts.
        public Settings {
            problems = List.copyOf(problems);
            Configuration.require(
                    problems.size() == WordProblems.TASKS.size(), "problems", problems, "one count for each of " + WordProblems.TASKS);
            Configuration.require(batch >= 1, "batch", batch, "1 or more");
        }
    }

    /// The sizes of a Qwen3 decoder with tied embeddings; see [ModelConfig].
    public record Shape(
            int vocabularyRows,
            int hidden,
            int intermediate,
            int layers,
            int heads,
            int keyValueHeads,
            int headDimension,
            int maxPositions,
            double ropeTheta) {

        private String configJson(int padId, int endId) {
            return """
                    {
                      "architectures": ["Qwen3ForCausalLM"],
                      "attention_bias": false,
                      "attention_dropout": 0.0,
                      "bos_token_id": null,
                      "eos_token_id": %d,
                      "pad_token_id": %d,
                      "head_dim": %d,
                      "hidden_act": "silu",
                      "hidden_size": %d,
                      "initializer_range": 0.02,
                      "intermediate_size": %d,
                      "max_position_embeddings": %d,
                      "max_window_layers": %d,
                      "model_type": "qwen3",
                      "num_attention_heads": %d,
                      "num_hidden_layers": %d,
                      "num_key_value_heads": %d,
                      "rms_norm_eps": 1e-06,
                      "rope_scaling": null,
                      "rope_theta": %s,
                      "sliding_window": null,
                      "tie_word_embeddings": true,
                      "torch_dtype": "bfloat16",
                      "use_cache": true,
                      "use_sliding_window": false,
                      "vocab_size": %d
                    }
                    """
                    .formatted(endId, padId, headDimension, hidden, intermediate, maxPositions, layers, heads, layers, keyValueHeads, ropeTheta, vocabularyRows);
        }
    }

    /// Pretrains into `out`, in bfloat16.
    public static void run(Session session, Settings settings, Path out) {
        Torch.compute(settings.compute());
        session.produce("pretrain", settings, Session.inputs(), out, work -> {
            Path directory = work.directory();
            writeTokenizer(settings, directory);
            Tokenizer tokenizer = Tokenizer.load(directory);
            AtomicFiles.write(
                    directory.resolve("config.json"),
                    settings.shape().configJson(tokenizer.encode("<|endoftext|>")[0], tokenizer.encode("<|im_end|>")[0]));
            ModelConfig config = ModelConfig.load(directory);
            List<Problem> problems = new ArrayList<>();
            for (int i = 0; i < WordProblems.TASKS.size(); i++) {
                problems.addAll(WordProblems.problems(Split.TRAIN, WordProblems.TASKS.get(i), settings.problems().get(i), settings.seed()));
            }
            var batches = new ShuffledBatches(WordProblemTexts.pretraining(tokenizer, problems), settings.batch(), settings.seed());
            try (QuantisedModel model = Initialiser.model(config, settings.seed())) {
                TrainingRun.train(work, settings.optimisation(), model, student -> new SftObjective(
                        batches, settings.optimisation().microBatch(), ChunkedHead.chunkFor(config.vocabularySize())), (_, _) -> {});
                ModelDirectory.saveCheckpoint(model, directory, DataType.BF16);
            }
        });
    }

    private static void writeTokenizer(Settings settings, Path directory) {
        if (Files.exists(directory.resolve("tokenizer.json"))) return;
        var sample = new ArrayList<String>();
        for (String task : WordProblems.TASKS) {
            for (Problem problem : WordProblems.problems(Split.TRAIN, task, 2000, settings.seed())) {
                sample.add(problem.prompt());
                sample.add(problem.completion());
            }
        }
        BytePairTrainer.train(sample, settings.vocabulary()).write(directory);
    }
}
