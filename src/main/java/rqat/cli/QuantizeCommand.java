package rqat.cli;

import java.nio.file.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import rqat.recipe.Chain;
import rqat.recipe.Quantize;
import rqat.recipe.RunSettings;
import rqat.recipe.Session;

/// `rqat quantize`.
@Command(
        name = "quantize",
        description = "Quantise a full-precision model. Settings: --set quantise.bits=2, quantise.group_size=128, ...",
        mixinStandardHelpOptions = true)
final class QuantizeCommand extends StageCommand {
    /// The compression methods.
    enum MethodName {
        rtn,
        gptq
    }

    @Option(names = "--method", required = true, description = "One of: ${COMPLETION-CANDIDATES}.")
    private MethodName method;

    @Override
    void run(Session session, RunSettings settings, Path model, Path out) {
        Chain.Step step = switch (method) {
            case rtn -> Chain.Step.RTN;
            case gptq -> Chain.Step.GPTQ;
        };
        Quantize.run(session, settings.quantise().of(step), model, out);
    }
}
