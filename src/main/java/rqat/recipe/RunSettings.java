package rqat.recipe;

import java.net.URI;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import rqat.data.WordProblems;
import rqat.export.ExportFormat;
import rqat.format.ScaleType;
import rqat.quant.Awq;
import rqat.quant.ClipSearch;
import rqat.quant.FlatQuant;
import rqat.quant.Gptq;
import rqat.quant.Method;
import rqat.quant.QuaRot;
import rqat.quant.RoundToNearest;
import rqat.rl.Advantages;
import rqat.rl.ColdStartGate;
import rqat.rl.GrpoLoss;
import rqat.rl.OnPolicySettings;
import rqat.run.Configuration;
import rqat.tensor.Torch;
import rqat.texts.DataSettings;
import rqat.texts.Texts;
import rqat.texts.WordProblemTexts;

/// The recipe of a whole run: which rows, and the settings of every stage. What `rqat run` and `rqat study` read from YAML.
///
/// @param model    a model directory, or `embedded`
/// @param output   the run's directory
/// @param seed     of everything random that is not a benchmark
/// @param jobs     stages that run side by side
/// @param threads  that one operation of a stage may use: 1 for small models; as many as cores, with one job, for large ones
/// @param compute  dtype of forward and backward passes
/// @param kvCacheGib GiB that the keys and values of sequences being sampled may take
/// @param rows     see [RecipeRow]
/// @param quantise format and method options
/// @param sft      supervised fine-tuning
/// @param kd       distillation
/// @param grpo     training on sampled completions
/// @param evaluate benchmarks
/// @param export   formats that the last row is exported as at the end of a run, see [ExportFormat]
/// @param log      who is told of training besides the files
/// @param study    what a study has besides
public record RunSettings(
        String model,
        String output,
        long seed,
        int jobs,
        int threads,
        Torch.Compute compute,
        double kvCacheGib,
        List<RecipeRow> rows,
        QuantiseSettings quantise,
        FineTune.Settings sft,
        Distill.Settings kd,
        Reinforce.Settings grpo,
        Evaluate.Settings evaluate,
        List<String> export,
        LogSettings log,
        StudySettings study) {

    private static final List<String> TASKS = WordProblems.TASKS;

    /// What the embedded model's quickstart says.
    public static final RunSettings DEFAULT = new RunSettings(
            "embedded",
            "runs/quickstart",
            1,
            2,
            1,
            Torch.Compute.FLOAT32,
            4,
            Stream.of("full precision", "rtn", "gptq", "rtn+kd", "rtn+grpo", "gptq+sft", "gptq+kd", "gptq+kd+grpo").map(RecipeRow::of).toList(),
            new QuantiseSettings(
                    2,
                    128,
                    ScaleType.BFLOAT16,
                    256,
                    TASKS,
                    Texts.WORKED,
                    DataSettings.DEFAULT,
                    new RoundToNearest.Settings(true, ClipSearch.NONE),
                    new Gptq.Settings(false, ClipSearch.MSE, true, 0.01),
                    QuaRot.Settings.DEFAULT,
                    FlatQuant.Settings.DEFAULT),
            new FineTune.Settings(DataSettings.DEFAULT, TASKS, Texts.WORKED, 20_000, 32, Optimisation.of(150, 3e-4, 32)),
            new Distill.Settings(DataSettings.DEFAULT, TASKS, Texts.WORKED, 20_000, 32, Distill.Loss.FORWARD_KL, 1, Optimisation.of(150, 3e-4, 32)),
            new Reinforce.Settings(
                    DataSettings.DEFAULT,
                    TASKS,
                    20_000,
                    16,
                    8,
                    1.0,
                    112,
                    128,
                    Reinforce.Objective.GRPO,
                    Distill.Loss.REVERSE_KL,
                    Advantages.Scaling.GROUP_STD,
                    new GrpoLoss(GrpoLoss.Preset.DAPO, 0.2, 0.2, Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY, 0, GrpoLoss.KlGradient.CORRECTED, 112),
                    OnPolicySettings.Truncation.KEEP,
                    ColdStartGate.DEFAULT,
                    32,
                    Optimisation.of(60, 1e-4, 32).weightsOnly()),
            Evaluate.Settings.DEFAULT,
            List.of(),
            new LogSettings(""),
            StudySettings.DEFAULT);

    /// @param bits        of the weights, 2 to 8; quarot and flatquant have their own
    /// @param groupSize   columns that share a scale; 0 for whole rows
    /// @param scaleType   dtype of the stored scales
    /// @param calibration worked problems that a method with calibration sees
    /// @param tasks       of the calibration problems
    /// @param texts       which part of them is read
    /// @param data        which problems, and how long a window of them is
    /// @param rtn         round to nearest
    /// @param gptq        GPTQ
    /// @param quarot      QuaRot
    /// @param flatquant   FlatQuant
    public record QuantiseSettings(
            int bits,
            int groupSize,
            ScaleType scaleType,
            int calibration,
            List<String> tasks,
            Texts texts,
            DataSettings data,
            RoundToNearest.Settings rtn,
            Gptq.Settings gptq,
            QuaRot.Settings quarot,
            FlatQuant.Settings flatquant) {

        /// Checks all methods, whichever the rows use.
        public QuantiseSettings {
            tasks = WordProblemTexts.checked(tasks);
            Configuration.require(calibration >= 1, "calibration", calibration, "1 or more");
            for (Method.Name name : Method.Name.values()) settings(name, rtn, gptq, quarot, flatquant).of(bits, groupSize, scaleType);
        }

        /// The stage of this method.
        public Quantize.Settings of(Method.Name name) {
            return of(settings(name).of(bits, groupSize, scaleType));
        }

        /// The stage of a method with options of its own, such as a [Presets#method].
        public Quantize.Settings of(Method method) {
            return new Quantize.Settings(method, calibration, tasks, texts, data);
        }

        /// What the recipe says of a method.
        Method.Settings settings(Method.Name name) {
            return settings(name, rtn, gptq, quarot, flatquant);
        }

        private static Method.Settings settings(
                Method.Name name, RoundToNearest.Settings rtn, Gptq.Settings gptq, QuaRot.Settings quarot, FlatQuant.Settings flatquant) {
            return switch (name) {
                case RTN -> rtn;
                case GPTQ -> gptq;
                case AWQ -> new Awq.Settings();
                case QUAROT -> quarot;
                case FLATQUANT -> flatquant;
            };
        }
    }

    /// @param mlflow address of an MLflow server; empty for none
    public record LogSettings(String mlflow) {
        /// Checks the address.
        public LogSettings {
            Configuration.require(mlflow.isEmpty() || mlflow.matches("https?://[^/\\s]+(/\\S*)?"), "mlflow", mlflow, "the http address of a server, such as http://127.0.0.1:5000");
        }

        /// The server, or null.
        public @Nullable URI server() {
            return mlflow.isEmpty() ? null : URI.create(mlflow);
        }
    }

    /// Checks the rows.
    public RunSettings {
        rows = List.copyOf(rows);
        List<String> names = rows.stream().map(RecipeRow::name).toList();
        if (new HashSet<>(names).size() < names.size()) throw new IllegalArgumentException("rows %s repeat a name".formatted(names));
        Configuration.require(jobs >= 1, "jobs", jobs, "1 or more");
        Configuration.require(threads >= 1, "threads", threads, "1 or more");
        Configuration.require(kvCacheGib > 0, "kv_cache_gib", kvCacheGib, "more than 0");
        export = List.copyOf(export);
        for (String format : export) Configuration.require(ExportFormat.of(format).isPresent(), "export", format, "formats of " + ExportFormat.labels());
        if (new HashSet<>(export).size() < export.size()) throw new IllegalArgumentException("export %s repeats a format".formatted(export));
        requireExportable(rows, quantise, export);
        Stream.concat(
                        study.compare().stream().flatMap(one -> Stream.of(one.row(), one.over())),
                        study.charts().stream().flatMap(one -> one.rows().stream()))
                .filter(name -> !names.contains(name))
                .findFirst()
                .ifPresent(name -> {
                    throw new IllegalArgumentException("study refers to the row `%s`; there are %s".formatted(name, names));
                });
        if (!study.compare().isEmpty() && evaluate.tasks().stream().noneMatch(Evaluate::reasons)) {
            throw new IllegalArgumentException("study compares the averages of reasoning tasks; evaluate has none");
        }
        if (!study.seeds().isEmpty() && evaluate.seeds().size() % study.seeds().size() != 0) {
            throw new IllegalArgumentException("evaluate has %d seeds to be dealt out to %d repetitions; expected a multiple"
                    .formatted(evaluate.seeds().size(), study.seeds().size()));
        }
    }

    /// What no format but one has a word for is known before hours of work.
    private static void requireExportable(List<RecipeRow> rows, QuantiseSettings quantise, List<String> export) {
        if (export.isEmpty() || export.equals(List.of(ExportFormat.HF.label()))) return;
        if (rows.isEmpty()) throw new IllegalArgumentException("export needs a row to export");
        List<Chain.Step> steps = rows.getLast().steps().steps();
        if (!steps.isEmpty() && steps.getFirst() instanceof Chain.Step.Quantisation(Method.Name method)
                && !quantise.of(method).method().activations().quantisers().isEmpty()) {
            throw new IllegalArgumentException("export %s of the last row `%s`: its activations are quantised too, which only `hf` can hold".formatted(export, rows.getLast().name()));
        }
    }

    /// Reads a recipe.
    public static Configuration.Resolved<RunSettings> load(Path recipe, List<String> sets) {
        return Configuration.load(recipe, sets, DEFAULT, RunSettings.class, elements());
    }

    /// Reads a recipe for each of its rows, with what the row sets.
    static List<RunSettings> variants(Path recipe, List<String> sets) {
        return Configuration.variants(recipe, sets, DEFAULT, RunSettings.class, "rows", "set", elements()).stream()
                .map(Configuration.Resolved::value)
                .toList();
    }

    /// The settings of a step of a chain.
    StageSettings stage(Chain.Step step) {
        return switch (step) {
            case Chain.Step.Quantisation(Method.Name method) -> quantise.of(method);
            case Chain.Step.Training.SFT -> sft;
            case Chain.Step.Training.KD -> kd;
            case Chain.Step.Training.GRPO -> grpo;
        };
    }

    private static Configuration.Section[] elements() {
        return Stream.concat(
                        Stream.of(new Configuration.Section("rows.*", RecipeRow.DEFAULTS)),
                        StudySettings.ELEMENTS.entrySet().stream().map(entry -> new Configuration.Section(entry.getKey(), entry.getValue())))
                .toArray(Configuration.Section[]::new);
    }
}
