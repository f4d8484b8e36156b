package rqat.api;

import java.nio.file.Path;
import java.util.List;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.export.ExportResult;
import rqat.export.ExportSettings;
import rqat.export.Exporter;
import rqat.recipe.Distill;
import rqat.recipe.Evaluate;
import rqat.recipe.FineTune;
import rqat.recipe.Models;
import rqat.recipe.Quantize;
import rqat.recipe.Reinforce;
import rqat.run.Progress;

/// A model: a directory in the Hugging Face layout, full precision or quantised, ours or one that another tool quantised.
///
/// Methods that make a model write it to `out` and resume what an interrupted call left there; where the same model is there already, it is taken as it is, and another one is refused. They may be
/// interrupted ([Thread#interrupt]) and then throw a [Failure] of the kind INTERRUPTED. All of them throw a [Failure] with one message for whatever goes wrong.
public final class Model {
    private final Path directory;

    private Model(Path directory) {
        this.directory = directory;
    }

    /// Finds a model; it is read when it is used.
    ///
    /// @param model a directory, a GGUF file, a repository `owner/name` of the Hugging Face Hub, which is downloaded, or `embedded`, which needs the environment variable `RQAT_HOME` or a checkout as
    ///              current directory
    /// @throws Failure BAD_FILE when there is none
    public static Model open(String model) {
        return new Model(Models.directory(model, Progress.silent()));
    }

    /// Where it lies.
    public Path directory() {
        return directory;
    }

    /// Post-training quantisation of a full-precision model; reads the section `quantise`.
    public Model quantise(QuantisationMethod method, Settings settings, Path out) {
        return new Model(Quantize.run(settings.session(), settings.values().quantise().of(method.name), directory, out));
    }

    /// Quantisation-aware training with cross-entropy; reads the section `sft`.
    public Model fineTune(Settings settings, Path out) {
        return new Model(FineTune.run(settings.session(), settings.values().sft(), directory, out));
    }

    /// Quantisation-aware training towards a full-precision teacher; reads the section `kd`.
    public Model distil(Model teacher, Settings settings, Path out) {
        return new Model(Distill.run(settings.session(), settings.values().kd(), directory, teacher.directory, out));
    }

    /// Reinforcement learning with a reward for right answers; reads the section `grpo`.
    ///
    /// @throws Failure GATE when the model finds too few rewards to learn from; USAGE when `grpo.objective` is `distillation`, which [#distilOnPolicy] does
    public Model reinforce(Settings settings, Path out) {
        return onPolicy(Reinforce.Objective.GRPO, null, settings, out);
    }

    /// Training on the model's own samples towards a full-precision teacher; reads the section `grpo`, whose `objective` must be `distillation`.
    public Model distilOnPolicy(Model teacher, Settings settings, Path out) {
        return onPolicy(Reinforce.Objective.DISTILLATION, teacher.directory, settings, out);
    }

    private Model onPolicy(Reinforce.Objective expected, @Nullable Path teacher, Settings settings, Path out) {
        Reinforce.Settings stage = settings.values().grpo();
        if (stage.objective() != expected) throw Failure.usage("grpo.objective is %s; expected %s".formatted(stage.objective(), expected));
        return new Model(Reinforce.run(settings.session(), stage, directory, teacher, false, out));
    }

    /// Benchmarks; reads the section `evaluate`.
    ///
    /// @param out directory for samples and scores
    /// @return a score for each task, in their order
    public List<Score> evaluate(Settings settings, Path out) {
        return Evaluate.run(settings.session(), settings.values().evaluate(), directory, out).stream()
                .map(result -> new Score(
                        result.task(),
                        result.accuracy(),
                        result.deviation() == null ? OptionalDouble.empty() : OptionalDouble.of(result.deviation()),
                        result.perplexity() == null ? OptionalDouble.empty() : OptionalDouble.of(result.perplexity()),
                        result.examples(),
                        result.accuracies().size()))
                .toList();
    }

    /// Files that other engines serve, which change nothing; what the format cannot hold exactly is refused.
    ///
    /// @param out a directory to make, or for [Format#GGUF] a file `NAME.gguf`
    /// @throws Failure USAGE naming the tensor that does not fit and a format that holds it
    public Exported export(Format format, Path out) {
        ExportResult result = Exporter.run(directory, out, ExportSettings.of(format.format), Progress.silent());
        return new Exported(result.place(), result.bytes(), result.quantisedBits(), result.bits(), result.ratio(), result.card());
    }

    /// Serves the model over OpenAI's HTTP interface until the service is closed.
    ///
    /// @param port to listen at on 127.0.0.1; 0 for any that is free
    public Service serve(int port) {
        return Service.of(directory, port);
    }
}
