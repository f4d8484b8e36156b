package rqat.cli;

import java.nio.file.Path;
import java.util.Iterator;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import rqat.recipe.Chain;
import rqat.recipe.Presets;
import rqat.recipe.Quantize;
import rqat.recipe.RunSettings;
import rqat.recipe.Session;

/// `rqat quantize`.
@Command(
        name = "quantize",
        description = {
            "Quantise a full-precision model, by a method with the settings of a recipe (--set quantise.bits=2, ...) or by a preset with the paper's."
        },
        mixinStandardHelpOptions = true)
final class QuantizeCommand extends StageCommand {
    /// The compression methods.
    enum MethodName {
        rtn,
        gptq,
        awq,
        quarot,
        flatquant
    }

    /// The names of the presets, for the help text.
    static final class PresetNames implements Iterable<String> {
        @Override
        public Iterator<String> iterator() {
            return Presets.names().iterator();
        }
    }

    /// One of the two.
    static final class Choice {
        @Option(names = "--method", paramLabel = "METHOD", required = true, description = "One of: ${COMPLETION-CANDIDATES}.")
        private @Nullable MethodName method;

        @Option(
                names = "--preset",
                paramLabel = "NAME",
                required = true,
                completionCandidates = PresetNames.class,
                description = "A method with the paper's bits and options. One of: ${COMPLETION-CANDIDATES}.")
        private @Nullable String preset;
    }

    @ArgGroup(multiplicity = "1")
    private Choice choice;

    @Override
    void run(Session session, RunSettings settings, Path model, Path out) {
        RunSettings.QuantiseSettings quantise = settings.quantise();
        Quantize.Settings stage = choice.preset != null
                ? quantise.of(Presets.method(choice.preset))
                : quantise.of(switch (choice.method) {
                    case rtn -> Chain.Step.RTN;
                    case gptq -> Chain.Step.GPTQ;
                    case awq -> Chain.Step.AWQ;
                    case quarot -> Chain.Step.QUAROT;
                    case flatquant -> Chain.Step.FLATQUANT;
                });
        Quantize.run(session, stage, model, out);
    }
}
