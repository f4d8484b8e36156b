package rqat.recipe;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Stream;
import rqat.data.TokenSequence;
import rqat.data.WordProblems;
import rqat.data.WordProblems.Split;
import rqat.io.AtomicFiles;
import rqat.model.ModelConfig;
import rqat.quant.Method;
import rqat.recipe.Pipeline.Model;
import rqat.run.Progress;
import rqat.tensor.Torch;
import rqat.train.MicroBatch;
import rqat.train.ShuffledBatches;

/// What a recipe will take, before anything of it is allocated: memory of every stage part by part, disk, arithmetic. From `config.json`, the
/// settings, and the lengths of the texts that the stages will see; no weight is read.
///
/// Memory is what the operating system counts at the peak (`VmHWM`): the program itself, the Java heap, and what libtorch holds.
///
/// @param stages in the order of the recipe, each once
/// @param jobs   how many run side by side
/// @param repetitions of everything, with other seeds
public record Plan(List<Stage> stages, int jobs, int repetitions) {
    private static final long MIB = 1 << 20;
    /// Java, its classes and libtorch, resident before any tensor.
    private static final long RESIDENT = 230 * MIB;

    /// What takes memory.
    public enum Part {
        /// Of the program and the Java heap.
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
        /// Of the head.
        LOGITS("logits", "compute: bfloat16, or shorter micro-batches"),
        /// Of blocks.
        ACTIVATIONS("activations", "lower micro_batch, or recompute_blocks: true"),
        /// Of calibration.
        CALIBRATION("calibration", "fewer or shorter calibration texts"),
        /// Tensors of up to 32 MiB come from arenas, which keep what is freed.
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
    /// @param operations floating-point operations
    public record Stage(String name, SequencedMap<Part, Long> memory, long disk, double operations) {
        /// Bytes at the peak, the program included.
        public long bytes() {
            return memory.values().stream().mapToLong(Long::longValue).sum();
        }

        /// The largest part that can be made smaller.
        public Part binding() {
            return memory.entrySet().stream().filter(part -> part.getKey() != Part.PROGRAM && part.getKey() != Part.RETAINED).max(java.util.Map.Entry.comparingByValue()).orElseThrow().getKey();
        }
    }

    /// Bytes when the largest stages run side by side, as many as `jobs`; the program counts once.
    public long bytes() {
        List<Stage> largest = stages.stream().sorted(Comparator.comparingLong(Stage::bytes).reversed()).limit(jobs).toList();
        return largest.stream().mapToLong(Stage::bytes).sum()
                - largest.stream().skip(1).mapToLong(stage -> stage.memory().get(Part.PROGRAM)).sum();
    }

    /// Bytes of all that the run leaves.
    public long disk() {
        return repetitions * stages.stream().mapToLong(Stage::disk).sum();
    }

    /// Floating-point operations of all stages.
    public double operations() {
        return repetitions * stages.stream().mapToDouble(Stage::operations).sum();
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
            int group = chain.isEmpty() ? 0 : ((Quantize.Settings) chain.peek().settings()).method().grid().groupSize();
            int width = own.compute() == Torch.Compute.BFLOAT16 ? 2 : 4;
            var planner = new Planner(own, new MemoryModel(ModelConfig.load(directory), width, group), directory, checkpointBytes(directory));
            for (Model.Made made : chain) {
                if (!stages.containsKey(made)) stages.put(made, planner.stage(made));
            }
            Stage evaluated = planner.evaluation(settings.rows().size());
            if (evaluation == null || evaluated.bytes() > evaluation.bytes()) evaluation = evaluated;
        }
        var all = new ArrayList<>(stages.values());
        if (evaluation != null) all.add(evaluation);
        return new Plan(List.copyOf(all), settings.jobs(), Math.max(1, settings.study().seeds().size()));
    }

    private static long checkpointBytes(Path model) {
        try (Stream<Path> files = Files.list(model)) {
            long bytes = 0;
            for (Path file : files.filter(path -> path.toString().endsWith(".safetensors")).toList()) bytes += Files.size(file);
            return bytes;
        } catch (IOException e) {
            throw AtomicFiles.failure("read", model, e);
        }
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
            return loss == Distill.Loss.FORWARD_KL ? 5 : 7;
        }

        /// As the stage reads them, downloaded if need be.
        private StageTexts texts(DataSettings data, List<String> tasks, Texts texts) {
            var session = new Session(settings.seed(), settings.compute(), settings.threads(), settings.kvCacheGib(), Progress.silent());
            return StageTexts.of(session, data, tasks, texts, directory, StageTexts.inputs(session, data, new LinkedHashMap<>()));
        }

        private ShuffledBatches batches(StageTexts texts, int problems, int batch) {
            return new ShuffledBatches(texts.training(problems), batch, settings.seed());
        }

        private SequencedMap<Part, Long> program() {
            var memory = new LinkedHashMap<Part, Long>();
            memory.put(Part.PROGRAM, RESIDENT + youngGeneration());
            return memory;
        }

        /// Every stage fills the eden space of the heap before its first collection: with the launcher's settings 4/15 of 1/64 of the memory.
        private static long youngGeneration() {
            return Machine.memoryTotal() / 64 * 4 / 15;
        }

        /// A tensor on its way to a file is an array of the Java heap, its predecessor is there until it is in the way, and freed tensors of
        /// up to 32 MiB each stay with the allocator.
        private long written() {
            long largest = FLOAT * model.largestTensor();
            return largest + Math.min(largest, oldGeneration()) + Math.min(largest, 64 * MIB);
        }

        /// Three tenths of what comes and goes: measured, not derived. Larger tensors than the arenas hold are given back.
        private static long retained(long working) {
            return Math.min(working * 3 / 10, 1024 * MIB);
        }

        /// What the heap begins with for arrays that live: the launcher leaves the JVM's default, two thirds of 1/64 of the memory.
        private static long oldGeneration() {
            return Machine.memoryTotal() / 64 * 2 / 3;
        }

        private long stageDisk() {
            return (model.width() + FLOAT) * model.parameters() + model.quantised() + model.grids();
        }

        private Stage quantisation(String name, Quantize.Settings quantise) {
            long p = model.parameters();
            var memory = program();
            memory.put(Part.LATENTS, 2 * FLOAT * p); // the source's and its own
            memory.put(Part.GRIDS, model.grids());
            double operations = 0;
            long fitting = 6L * FLOAT * model.largestMap();
            if (!(quantise.method() instanceof Method.RoundToNearest)) {
                List<int[]> windows = List.of(texts(quantise.data(), quantise.tasks(), quantise.texts()).calibration(quantise.calibration()));
                long calibrating = windows.stream().mapToLong(ids -> ids.length).sum() * model.config().hiddenSize() * model.width()
                        + Math.max(passing(windows), model.solver() + fitting);
                memory.put(Part.WEIGHTS, model.width() * p);
                if (calibrating + model.width() * p > written()) {
                    memory.put(Part.CALIBRATION, calibrating);
                    memory.put(Part.RETAINED, retained(calibrating));
                } else {
                    memory.remove(Part.WEIGHTS);
                    memory.put(Part.FILES, written());
                }
                operations = 5 * model.operations(windows);
            } else {
                memory.put(Part.FILES, Math.max(written(), fitting));
            }
            return new Stage(name, memory, stageDisk(), operations);
        }

        /// Windows of one length go through a block together, 4,096 tokens at most.
        private long passing(List<int[]> windows) {
            var counts = new TreeMap<Integer, Integer>();
            for (int[] ids : windows) counts.merge(ids.length, 1, Integer::sum);
            long largest = 0;
            for (var entry : counts.entrySet()) {
                int length = entry.getKey();
                long tokens = (long) length * Math.min(entry.getValue(), Math.max(1, 4096 / length));
                largest = Math.max(largest, model.block(tokens, length) + model.observing(tokens));
            }
            return largest;
        }

        private Stage training(String name, Optimisation optimisation, ShuffledBatches batches, int logitArrays, boolean teacher) {
            var memory = student(optimisation);
            if (teacher) memory.put(Part.TEACHER, model.width() * model.parameters());
            long activations = 0;
            long logits = 0;
            double tokens = 0;
            for (long step = 0; step < optimisation.steps(); step++) {
                List<TokenSequence> sequences = batches.apply(step);
                for (MicroBatch part : MicroBatch.cut(sequences, optimisation.microBatch())) {
                    long padded = (long) part.sequences().size() * part.length();
                    tokens += padded;
                    activations = Math.max(activations, activations(optimisation, padded, part.length()));
                    logits = Math.max(logits, model.head(part.lossTokens(), logitArrays));
                }
            }
            step(memory, activations, logits);
            double passes = 3 + (optimisation.recomputeBlocks() ? 1 : 0) + (teacher ? 1 : 0);
            return new Stage(name, memory, stageDisk() + checkpoints(), passes * tokens * model.operations());
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
            if (sampling > activations + logits) {
                memory.put(Part.CACHE, model.cache(sequences, prompt, limit, settings.kvCacheGib()));
                memory.put(Part.ACTIVATIONS, model.sampling(sequences, prompt, limit));
            } else {
                step(memory, activations, logits);
            }
            double sampled = (double) grpo.prompts() * grpo.groupSize() * limit;
            return new Stage(name, memory, stageDisk() + checkpoints(), grpo.optimisation().steps() * sampled * (distils ? 6 : 5) * model.operations());
        }

        /// What lives as long as the student does.
        private SequencedMap<Part, Long> student(Optimisation optimisation) {
            long p = model.parameters();
            long frozen = model.config().tensors().entrySet().stream()
                    .filter(tensor -> optimisation.frozen().contains(tensor.getKey()))
                    .mapToLong(tensor -> java.util.Arrays.stream(tensor.getValue()).reduce(1, (a, b) -> a * b))
                    .sum();
            var memory = program();
            memory.put(Part.LATENTS, FLOAT * p);
            // In float32 what is not quantised is computed with the latents themselves.
            memory.put(Part.WEIGHTS, model.width() * (model.width() == FLOAT ? model.quantised() : p));
            memory.put(Part.GRADIENTS, FLOAT * (p - frozen));
            memory.put(Part.MOMENTS, 2 * FLOAT * (p - frozen));
            memory.put(Part.GRIDS, 2 * model.quantised() + model.grids());
            return memory;
        }

        /// The larger of a micro-batch with its loss and of the optimiser's own temporaries.
        private void step(SequencedMap<Part, Long> memory, long activations, long logits) {
            long optimiser = FLOAT * Math.max(model.largestTensor(), 5 * model.largestMap());
            long working = Math.max(activations, optimiser - logits);
            memory.put(Part.ACTIVATIONS, working);
            memory.put(Part.LOGITS, logits);
            memory.put(Part.RETAINED, retained(working + logits));
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

        /// Two checkpoints of latents, codes and moments are kept, a third is being written.
        private long checkpoints() {
            return 3 * (3 * FLOAT * model.parameters() + model.quantised() + model.grids());
        }

        private Stage evaluation(int rows) {
            Evaluate.Settings evaluate = settings.evaluate();
            List<String> tasks = evaluate.tasks().stream().filter(Evaluate::reasons).toList();
            List<String> embedded = tasks.stream().filter(WordProblems.TASKS::contains).toList();
            boolean published = embedded.size() < tasks.size();
            int prompt = embedded.isEmpty() ? PROMPT : longest(texts(DataSettings.DEFAULT, embedded, Texts.WORKED));
            int limit = Math.min(published ? evaluate.published().tokens() : prompt + evaluate.maxNewTokens(), model.config().maxPositions());
            int problems = !published ? evaluate.problems() : evaluate.published().limit() == 0 ? PROBLEMS : evaluate.published().limit();
            var memory = program();
            long weights = model.width() * model.parameters();
            int sequences = Math.min(evaluate.batch(), problems * evaluate.seeds().size());
            long cache = tasks.isEmpty() ? 0 : model.cache(sequences, prompt, limit, settings.kvCacheGib());
            long sampling = model.sampling(sequences, prompt, limit);
            long scoring = model.block(4096, prompt);
            memory.put(Part.WEIGHTS, weights);
            // While it is loaded the file is mapped, and the largest tensor is there three times.
            long loading = Math.max(checkpoint, weights) + 3L * FLOAT * model.largestTensor();
            if (loading > Math.max(cache + sampling, scoring)) {
                memory.put(Part.FILES, loading);
            } else {
                memory.put(Part.CACHE, cache);
                memory.put(Part.ACTIVATIONS, Math.max(sampling, scoring - cache));
            }
            double samples = (double) rows * problems * evaluate.seeds().size() * tasks.size();
            return new Stage("evaluate", memory, (long) samples * 2000, samples * limit * model.operations());
        }
    }
}
