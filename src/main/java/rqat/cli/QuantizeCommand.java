package rqat.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Iterator;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;
import rqat.quant.Method;
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
    /// The names of the presets, for the help text.
    static final class PresetNames implements Iterable<String> {
        @Override
        public Iterator<String> iterator() {
            return Presets.names().iterator();
        }
    }

    /// The names of the methods, for the help text, and what they name.
    static final class MethodNames implements Iterable<String>, ITypeConverter<Method.Name> {
        @Override
        public Iterator<String> iterator() {
            return Arrays.stream(Method.Name.values()).map(Method.Name::toString).iterator();
        }

        @Override
        public Method.Name convert(String value) {
            return Arrays.stream(Method.Name.values())
                    .filter(name -> name.toString().equalsIgnoreCase(value))
                    .findFirst()
                    .orElseThrow(() -> new TypeConversionException(
                            "expected one of %s but was '%s'".formatted(Arrays.toString(Method.Name.values()), value)));
        }
    }

    /// One of the two.
    static final class Choice {
        @Option(
                names = "--method",
                paramLabel = "METHOD",
                required = true,
                converter = MethodNames.class,
                completionCandidates = MethodNames.class,
                description = "One of: ${COMPLETION-CANDIDATES}.")
        private Method.@Nullable Name method;

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
                : quantise.of(choice.method);
        Quantize.run(session, stage, model, out);
    }
}
