package rqat.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import rqat.Failure;
import rqat.export.Change;
import rqat.export.ExportFormat;
import rqat.export.ExportResult;
import rqat.export.ExportSettings;
import rqat.export.Exporter;
import rqat.io.DataType;
import rqat.run.Progress;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// `rqat export`.
@Command(
        name = "export",
        description = {
            "Write a model as files that other engines serve, read them back with an independent reader and compare every code, scale and value; only then do they appear."
                    + " What a format cannot hold exactly is refused."
        },
        mixinStandardHelpOptions = true)
final class ExportCommand implements Callable<Integer> {
    private static final Map<String, DataType> TYPES = Map.of("float16", DataType.F16, "bfloat16", DataType.BF16, "float32", DataType.F32);

    @Spec
    private CommandSpec spec;

    @Parameters(index = "0", paramLabel = "MODEL", description = "Model directory, GGUF file, or `embedded`.")
    private String model;

    @Parameters(index = "1", paramLabel = "OUT", description = "Directory to make; for gguf a file NAME.gguf.")
    private Path out;

    /// The names of the formats, for the help text.
    static final class Formats implements Iterable<String> {
        @Override
        public Iterator<String> iterator() {
            return ExportFormat.labels().iterator();
        }
    }

    @Option(names = "--format", required = true, paramLabel = "FORMAT", completionCandidates = Formats.class, description = "One of: ${COMPLETION-CANDIDATES}.")
    private String format;

    @Option(
            names = "--dtype",
            paramLabel = "DTYPE",
            description = "Of scales, of tensors that are not quantised, and of dequantised weights: float16, bfloat16 or float32. Left out: the narrowest that changes nothing.")
    private @Nullable String dtype;

    @Option(
            names = "--container-bits",
            paramLabel = "N",
            defaultValue = "0",
            description = {
                "Codes in a container of more bits: 4 or 8 for gptq and compressed-tensors (what GPU kernels of all ages run); 2, 4 or 8 for gguf (Q2_0, Q4_0, Q8_0),"
                        + " 16 or 32 for dequantised weights."
            })
    private int containerBits;

    @Option(names = "--lossy", description = "Allow values to change where the format cannot hold them, and say by how much.")
    private boolean lossy;

    @Option(names = "--json", description = "Print a JSON object.")
    private boolean json;

    @Override
    public Integer call() {
        ExportFormat chosen = ExportFormat.of(format).orElseThrow(
                () -> Failure.usage("--format %s; expected one of %s".formatted(Failure.quote(format), String.join(", ", ExportFormat.labels()))));
        if (dtype != null && !TYPES.containsKey(dtype)) throw Failure.usage("--dtype %s; expected float16, bfloat16 or float32".formatted(Failure.quote(dtype)));
        var settings = new ExportSettings(chosen, dtype == null ? null : TYPES.get(dtype), containerBits, lossy);
        ExportResult result = Interruption.stopping(() -> Exporter.run(Models.directory(model), out, settings, Progress.Display.ofStandardError()));
        Output.print(spec, json ? json(result) : text(result));
        return 0;
    }

    private static String text(ExportResult result) {
        var lines = new ArrayList<>(List.of(result.place().toString()));
        result.stored().forEach((stored, maps) -> lines.add("  %d maps as %s".formatted(maps, stored)));
        lines.add(String.format(Locale.ROOT, "  %,d bytes of weights: %.2f bits a weight in the linear maps, %.2f over all parameters; %.2f times smaller than bfloat16",
                result.bytes(), result.quantisedBits(), result.bits(), result.ratio()));
        lines.add("  largest change of a value: " + result.change());
        result.products().forEach((type, change) ->
                lines.add("  an engine that computes weights in %s rounds them by at most: %s".formatted(type, change)));
        lines.add("  %d tensors read back and compared".formatted(result.tensors()));
        return String.join("\n", lines);
    }

    private static String json(ExportResult result) {
        ObjectNode node = JsonMapper.shared().createObjectNode();
        node.put("path", result.place().toString());
        node.put("format", result.format());
        node.put("dtype", result.dtype());
        ObjectNode stored = node.putObject("maps");
        result.stored().forEach(stored::put);
        node.put("bytes", result.bytes());
        node.put("bits_per_weight", result.quantisedBits());
        node.put("bits_per_parameter", result.bits());
        node.put("smaller_than_bfloat16", result.ratio());
        change(node, "largest_change", result.change());
        ObjectNode products = node.putObject("rounding_of_products");
        result.products().forEach((type, change) -> change(products, type, change));
        node.put("tensors", result.tensors());
        return node.toString();
    }

    private static void change(ObjectNode node, String key, Change change) {
        if (change.isNone()) node.putNull(key);
        else node.putObject(key).put("tensor", change.tensor()).put("absolute", change.absolute()).put("relative", change.relative());
    }
}
