package rqat.recipe;

import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.Function;
import rqat.data.TokenSequence;
import rqat.data.WordProblems;
import rqat.data.WordProblems.Split;
import rqat.format.ActivationFormat;
import rqat.io.Checkpoint;
import rqat.model.ModelConfig;
import rqat.quant.Method;
import rqat.recipe.Pipeline.Model;
import rqat.run.Progress;
import rqat.tensor.Torch;
import rqat.texts.DataSettings;
import rqat.texts.StageTexts;
import rqat.texts.Texts;
import rqat.train.MicroBatch;
import rqat.train.ShuffledBatches;

/// What a recipe will take, before anything of it is allocated: memory of every stage part by part, disk, arithmetic. From `config.json`, the
/// settings, and the lengths of the texts that the stages will see; no weight is read.
///
/// Memory is what the operating system counts at the peak (`VmHWM`): the program itself with its Java heap, which is what this process
/// has when it has read the texts and libtorch has multiplied, and what libtorch then holds.
///
/// @param stages in the order of the recipe, each once
/// @param jobs   how many run side by side
/// @param repetitions of everything, with other seeds
/// @param rates  how fast this machine is
public record Plan(List<Stage> stages, int jobs, int repetitions, Rates rates) {
    private static final long MIB = 1 << 20;
    /// The share of the speed of large matrix products that whole stages reach: measured in distillation of Qwen3-0.6B's shape; smaller
    /// models reach less.
    private static final double EFFICIENCY = 0.25;
    /// The same for GPTQ in float64, measured at that shape too.
    private static final double SOLVING_EFFICIENCY = 0.5;
    /// Bytes a second of model files, converting, checking and hashing included: measured from and to a disk that is no slower.
    private static final double FILES = 200e6;

    /// What takes memory.
    public enum Part {
        /// As it is now.
        PROGRAM("program and Java heap", "it does not shrink"),
        /// In the dtype of the forward pass.
        WEIGHTS("weights", "compute: bfloat16 halves them"),
        /// Float32.
        LATENTS("latents", "freeze parameters (frozen) or take a smaller model"),
        /// Float32.
        GRADIENTS("gradients", "freeze parameters (frozen) or take a smaller model"),
        /// Float32, two each.
        MOMENTS("moments", "freeze parameters (frozen) or take a smaller model"),
        /// Codes twice, scales, zero points.
        GRIDS("codes and grids", "larger groups have fewer scales"),
        /// Of distillation, on given texts or the student's own.
        TEACHER("teacher", "compute: bfloat16 halves it"),
        /// Of sampling.
        CACHE("keys and values", "lower kv_cache_gib, batch or max_new_tokens"),
        /// Of the head; or the gradient of the embedding, of the same size.
        LOGITS("logits or the embedding's gradient", "compute: bfloat16, or shorter micro-batches"),
        /// Of blocks.
        ACTIVATIONS("activations", "lower micro_batch, or recompute_blocks: true"),
        /// Of calibration.
        CALIBRATION("calibration", "fewer or shorter calibration texts"),
        /// Small tensors come from the allocator's own store, which keeps what is freed.
        RETAINED("kept by the allocator", "it follows activations, logits and calibration"),
        /// While a file is written or read.
        FILES("files being read or written", "the largest tensor passes through memory; it does not shrink");

        private final String label;
        private final String advice;

        Part(String label, String advice) {
            this.label = label;
            this.advice = advice;
        }

        /// Its name in tables.
        public String label() {
            return label;
        }

        /// How to make it smaller.
        public String advice() {
            return advice;
        }
    }

    /// One stage.
    ///
    /// @param name       as its directory is called; `evaluate` for all evaluations
    /// @param memory     bytes at the peak, part by part
    /// @param disk       bytes of what it leaves
    /// @param checkpoints bytes of what else it has on the disk until it has finished
    /// @param read       bytes of the models it reads
    /// @param operations floating-point operations of forward and backward passes
    /// @param solving    those of GPTQ, in float64
    public record Stage(
            String name, SequencedMap<Part, Long> memory, long disk, long checkpoints, long read, double operations, double solving) {
        /// Bytes at the peak, the program included.
        public long bytes() {
            return memory.values().stream().mapToLong(Long::longValue).sum();
        }

        /// The largest part that can be made smaller.
        public Part binding() {
            return memory.entrySet().stream().filter(part -> part.getKey() != Part.PROGRAM && part.getKey() != Part.RETAINED).max(java.util.Map.Entry.comparingByValue()).orElseThrow().getKey();
        }
    }

    /// Operations a second on this machine.
    ///
    /// @param passes  forward and backward
    /// @param solving of GPTQ
    public record Rates(double passes, double solving) {
        /// About how long a stage works.
        public double seconds(Stage stage) {
            return stage.operations / passes + stage.solving / solving + (stage.read + stage.disk + stage.checkpoints) / FILES;
        }
    }

    /// Bytes when the largest stages run side by side, as many as `jobs`; the program counts once.
    public long bytes() {
        List<Stage> largest = stages.stream().sorted(Comparator.comparingLong(Stage::bytes).reversed()).limit(jobs).toList();
        return largest.stream().mapToLong(Stage::bytes).sum()
                - largest.stream().skip(1).mapToLong(stage -> stage.memory().get(Part.PROGRAM)).sum();
    }

    /// Bytes on the disk at most: all that the run leaves, and the checkpoints of the stages that have the most.
    public long disk() {
        return repetitions * stages.stream().mapToLong(Stage::disk).sum()
                + stages.stream().map(Stage::checkpoints).sorted(Comparator.reverseOrder()).limit(jobs).mapToLong(Long::longValue).sum();
    }

    /// Floating-point operations of the passes of all stages.
    public double operations() {
        return repetitions * stages.stream().mapToDouble(Stage::operations).sum();
    }

    /// About how long everything takes.
    public double seconds() {
        return repetitions * stages.stream().mapToDouble(rates::seconds).sum() / Math.min(jobs, stages.size());
    }

    /// The stage that needs the most.
    public Stage largest() {
        return stages.stream().max(Comparator.comparingLong(Stage::bytes)).orElseThrow();
    }

    /// The plan of a recipe, rows with settings of their own included.
    ///
    /// @param recipe its file
    /// @param sets   `key=value` each, over the file
    /// @param models the directory of a model by the name that a recipe gives it
    public static Plan of(Path recipe, List<String> sets, Function<String, Path> models) {
        return of(RunSettings.load(recipe, sets).value(), RunSettings.variants(recipe, sets), models);
    }

    /// As [#of(Path, List, Function)] for settings in memory.
    ///
    /// @param variants the settings of each row; `settings` for all when empty
    static Plan of(RunSettings settings, List<RunSettings> variants, Function<String, Path> models) {
        var stages = new LinkedHashMap<Model, Stage>();
        Stage evaluation = null;
        for (int row = 0; row < settings.rows().size(); row++) {
            RunSettings own = variants.isEmpty() ? settings : variants.get(row);
            Path directory = models.apply(own.model());
            var chain = new ArrayDeque<Model.Made>();
            for (Model model = Model.of(directory, settings.rows().get(row).steps(), own, own.seed()); model instanceof Model.Made made; model = made.from()) {
                chain.push(made);
            }
            Method method = chain.isEmpty() ? null : ((Quantize.Settings) chain.peek().settings()).method();
            int group = method == null ? 0 : method.grid().groupSize();
            int width = own.compute() == Torch.Compute.BFLOAT16 ? 2 : 4;
            boolean activations = method != null && !method.activations().equals(ActivationFormat.NONE);
            ModelConfig config = ModelConfig.load(directory);
            var planner = new Planner(own, new MemoryModel(config, width, group), directory, Checkpoint.bytesIn(directory));
            // Quantised activations are served in float64 (`rqat.quant.LoadedModel`).
            var evaluator = activations && width == 4
                    ? new Planner(own, new MemoryModel(config, 8, group), directory, Checkpoint.bytesIn(directory))
                    : planner;
            for (Model.Made made : chain) {
                if (!stages.containsKey(made)) stages.put(made, planner.stage(made));
            }
            Stage evaluated = evaluator.evaluation(settings.rows().size());
            if (evaluation == null || evaluated.bytes() > evaluation.bytes()) evaluation = evaluated;
        }
        var all = new ArrayList<>(stages.values());
        if (evaluation != null) all.add(evaluation);
        var rates = new Rates(
                EFFICIENCY * 1e9 * Machine.products(settings.compute(), settings.threads()),
                SOLVING_EFFICIENCY * 1e9 * Machine.float64Products(settings.threads()));
        long program = Machine.resident();
        for (Stage stage : all) stage.memory().putFirst(Part.PROGRAM, program);
        return new Plan(List.copyOf(all), settings.jobs(), Math.max(1, settings.study().seeds().size()), rates);
    }

    /// @param checkpoint bytes of the full-precision model's files
    private record Planner(RunSettings settings, MemoryModel model, Path directory, long checkpoint) {
        private static final int FLOAT = 4;
        /// Tokens of a benchmark's prompt, and problems of a benchmark, about: its files are not read for this.
        private static final int PROMPT = 256;
        private static final int PROBLEMS = 500;

        Stage stage(Model.Made made) {
            String name = made.chain().name();
            return switch (made.settings()) {
                case Quantize.Settings quantise -> quantisation(name, quantise);
                case FineTune.Settings sft ->
                    training(name, sft.optimisation(), batches(texts(sft.data(), sft.tasks(), sft.texts()), sft.problems(), sft.batch()), 2, false);
                case Distill.Settings kd -> training(
                        name, kd.optimisation(), batches(texts(kd.data(), kd.tasks(), kd.texts()), kd.problems(), kd.batch()), logitArrays(kd.loss()), true);
                case Reinforce.Settings grpo -> reinforcement(name, grpo);
            };
        }

        private static int logitArrays(Distill.Loss loss) {
            return loss == Distill.Loss.JENSEN_SHANNON ? 7 : 3;
        }

        /// As the stage reads them, downloaded if need be.
        private StageTexts texts(DataSettings data, List<String> tasks, Texts texts) {
            var session = new Session(settings.seed(), settings.compute(), settings.threads(), settings.kvCacheGib(), Progress.silent());
            return StageInputs.texts(session, data, tasks, texts, directory, StageInputs.with(session, data, new LinkedHashMap<>()));
        }

        private ShuffledBatches batches(StageTexts texts, int problems, int batch) {
            return new ShuffledBatches(texts.training(problems), batch, settings.seed());
        }

        /// What passes through memory while a model is saved: a tensor in the compute dtype, or what makes a map of it.
        private long written() {
            long rounded = model.width() == FLOAT ? 0 : model.width() * model.largestTensor();
            return Math.max(rounded, model.fitting());
        }

        /// Three tenths of what comes and goes while so many tokens pass through a block: measured, not derived. Larger tensors than the
        /// allocator's own store holds are given back.
        private long retained(long working, long tokens) {
            return model.isStored(tokens * model.config().hiddenSize() * model.width()) ? working * 3 / 10 : 0;
        }

        private long stageDisk() {
            return (model.width() + FLOAT) * model.parameters() + model.quantised() + model.grids();
        }

        private Stage quantisation(String name, Quantize.Settings quantise) {
            long p = model.parameters();
            var memory = new LinkedHashMap<Part, Long>();
            memory.put(Part.LATENTS, 2 * FLOAT * p); // the source's and its own
            memory.put(Part.GRIDS, model.grids());
            if (!quantise.drawsData()) {
                memory.put(Part.FILES, written());
                return new Stage(name, memory, stageDisk(), 0, checkpoint, 0, 0);
            }
            List<int[]> windows = List.of(texts(quantise.data(), quantise.tasks(), quantise.texts()).calibration(quantise.calibration()));
            Method.Cost cost = quantise.method().cost(model, windows);
            if (cost.copiesWeights()) memory.put(Part.WEIGHTS, model.width() * p);
            memory.put(Part.CALIBRATION, cost.calibrating());
            memory.put(Part.RETAINED, retained(cost.calibrating(), Math.min(Method.Sizes.tokens(windows), Method.Sizes.PACKED_TOKENS)));
            return new Stage(name, memory, stageDisk(), 0, checkpoint, cost.passes() * model.operations(windows), cost.solving());
        }

        private Stage training(String name, Optimisation optimisation, ShuffledBatches batches, int logitArrays, boolean teacher) {
            var memory = student(optimisation);
            if (teacher) memory.put(Part.TEACHER, model.width() * model.parameters());
            long activations = 0;
            long lossTokens = 0;
            long micro = 0;
            double tokens = 0;
            for (long step = 0; step < optimisation.steps(); step++) {
                List<TokenSequence> sequences = batches.apply(step);
                for (MicroBatch part : MicroBatch.cut(sequences, optimisation.microBatch())) {
                    long padded = (long) part.sequences().size() * part.length();
                    tokens += padded;
                    micro = Math.max(micro, padded);
                    activations = Math.max(activations, activations(optimisation, padded, part.length()));
                    lossTokens = Math.max(lossTokens, part.lossTokens());
                }
            }
            step(memory, activations, model.head(lossTokens, logitArrays), lossTokens, micro);
            double passes = 3 + (optimisation.recomputeBlocks() ? 1 : 0) + (teacher ? 1 : 0);
            return new Stage(
                    name, memory, stageDisk(optimisation), checkpoints(optimisation), stageDisk() + (teacher ? checkpoint : 0), passes * tokens * model.operations(), 0);
        }

        private Stage reinforcement(String name, Reinforce.Settings grpo) {
            boolean distils = grpo.objective() == Reinforce.Objective.DISTILLATION;
            var memory = student(grpo.optimisation());
            if (distils) memory.put(Part.TEACHER, model.width() * model.parameters());
            int prompt = longest(texts(grpo.data(), grpo.tasks(), Texts.WORKED));
            int limit = Math.min(prompt + grpo.maxNewTokens(), model.config().maxPositions());
            int sequences = Math.min(grpo.batch(), grpo.prompts() * grpo.groupSize());
            long sampling = model.cache(sequences, prompt, limit, settings.kvCacheGib()) + model.sampling(sequences, prompt, limit);
            int micro = Math.min(grpo.optimisation().microBatch(), grpo.prompts() * grpo.groupSize());
            long tokens = (long) micro * limit;
            long activations = activations(grpo.optimisation(), tokens, limit);
            long logits = model.head((long) micro * grpo.maxNewTokens(), distils ? logitArrays(grpo.divergence()) : 2);
            if (sampling > activations + beside(logits)) {
                memory.put(Part.CACHE, model.cache(sequences, prompt, limit, settings.kvCacheGib()));
                memory.put(Part.ACTIVATIONS, model.sampling(sequences, prompt, limit));
            } else {
                step(memory, activations, logits, (long) micro * grpo.maxNewTokens(), tokens);
            }
            double sampled = (double) grpo.prompts() * grpo.groupSize() * limit;
            double operations = grpo.optimisation().steps() * sampled * (distils ? 6 : 5) * model.operations();
            return new Stage(
                    name, memory, stageDisk(grpo.optimisation()), checkpoints(grpo.optimisation()), stageDisk() + (distils ? checkpoint : 0), operations, 0);
        }

        /// What lives as long as the student does.
        private SequencedMap<Part, Long> student(Optimisation optimisation) {
            long p = model.parameters();
            long frozen = model.config().tensors().entrySet().stream()
                    .filter(tensor -> optimisation.frozen().contains(tensor.getKey()))
                    .mapToLong(tensor -> java.util.Arrays.stream(tensor.getValue()).reduce(1, (a, b) -> a * b))
                    .sum();
            var memory = new LinkedHashMap<Part, Long>();
            memory.put(Part.LATENTS, FLOAT * p);
            // In float32 what is not quantised is computed with the latents themselves.
            memory.put(Part.WEIGHTS, model.width() * (model.width() == FLOAT ? model.quantised() : p));
            memory.put(Part.GRADIENTS, FLOAT * (p - frozen));
            memory.put(Part.MOMENTS, 2 * FLOAT * (p - frozen));
            memory.put(Part.GRIDS, 2 * model.quantised() + model.grids());
            return memory;
        }

        /// A micro-batch, and the largest of what exists beside it at one time or another: its logits, the embedding's gradient, a temporary of
        /// the optimiser.
        ///
        /// @param lossTokens that the head sees
        /// @param tokens     that the blocks see
        private void step(SequencedMap<Part, Long> memory, long activations, long logits, long lossTokens, long tokens) {
            memory.put(Part.ACTIVATIONS, Math.max(activations, 5L * FLOAT * model.largestMap()));
            memory.put(Part.LOGITS, beside(logits));
            memory.put(Part.RETAINED, retained(activations + (model.keepsLogits(lossTokens) ? logits : 0), tokens));
        }

        private long beside(long logits) {
            return Math.max(logits, Math.max(model.embeddingGradient(), FLOAT * model.largestTensor()));
        }

        private long activations(Optimisation optimisation, long tokens, long length) {
            long block = model.block(tokens, length);
            long again = model.recorded(tokens, length) + model.backward(tokens, length);
            if (optimisation.recomputeBlocks()) return model.blockInputs(tokens) + Math.max(block, again) + 2 * tokens * model.config().hiddenSize() * model.width();
            long recorded = model.config().layers() * model.recorded(tokens, length);
            return recorded + Math.max(block, model.backward(tokens, length));
        }

        private static int longest(StageTexts texts) {
            return texts.problems(Split.VALIDATION, 200).stream().mapToInt(problem -> problem.prompt().length).max().orElse(1);
        }

        /// With the models kept along the way.
        private long stageDisk(Optimisation optimisation) {
            return (1 + optimisation.snapshots().count()) * stageDisk();
        }

        /// Two checkpoints of latents, codes and moments are kept while a third is being written, if there are so many.
        private long checkpoints(Optimisation optimisation) {
            int written = Math.ceilDiv(optimisation.steps(), optimisation.checkpointEvery());
            return Math.min(written, 3) * (3 * FLOAT * model.parameters() + model.quantised() + model.grids());
        }

        private Stage evaluation(int rows) {
            Evaluate.Settings evaluate = settings.evaluate();
            List<String> tasks = evaluate.tasks().stream().filter(Evaluate::reasons).toList();
            List<String> embedded = tasks.stream().filter(WordProblems.TASKS::contains).toList();
            boolean published = embedded.size() < tasks.size();
            int prompt = embedded.isEmpty() ? PROMPT : longest(texts(DataSettings.DEFAULT, embedded, Texts.WORKED));
            int limit = Math.min(published ? evaluate.published().tokens() : prompt + evaluate.maxNewTokens(), model.config().maxPositions());
            int problems = !published ? evaluate.problems() : evaluate.published().limit() == 0 ? PROBLEMS : evaluate.published().limit();
            var memory = new LinkedHashMap<Part, Long>();
            long weights = model.width() * model.parameters();
            int sequences = Math.min(evaluate.batch(), problems * evaluate.seeds().size());
            long cache = tasks.isEmpty() ? 0 : model.cache(sequences, prompt, limit, settings.kvCacheGib());
            long sampling = model.sampling(sequences, prompt, limit);
            long scoring = tasks.size() == evaluate.tasks().size() ? 0 : model.block(4096, prompt);
            memory.put(Part.WEIGHTS, weights);
            // While it is loaded the file is mapped, and every tensor is checked in a copy. The embedding comes first, when nothing else is
            // there, a head of its own last.
            long largest = model.largestTensor() * (checkpoint / model.parameters() + 2L * model.width());
            long loading = model.config().tiedEmbeddings() ? Math.max(checkpoint, largest - weights) : checkpoint + largest;
            if (loading > Math.max(cache + sampling, scoring)) {
                memory.put(Part.FILES, loading);
            } else {
                memory.put(Part.CACHE, cache);
                memory.put(Part.ACTIVATIONS, Math.max(sampling, scoring - cache));
            }
            double samples = (double) rows * problems * evaluate.seeds().size() * tasks.size();
            return new Stage("evaluate", memory, (long) samples * 2000, 0, rows * weights, samples * limit * model.operations(), 0);
        }
    }
}
