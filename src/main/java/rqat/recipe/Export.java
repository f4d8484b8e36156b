package rqat.recipe;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import rqat.export.ExportFormat;
import rqat.export.ExportResult;
import rqat.export.ExportSettings;
import rqat.export.Exporter;
import rqat.export.ModelCard;
import rqat.io.AtomicFiles;
import rqat.io.JsonFiles;
import rqat.report.Document;
import rqat.report.Results;
import rqat.report.ResultsTable;
import rqat.run.StageDirectory;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// The end of a run: the model of its last row as files that other engines serve, a stage for each format: `exports/FORMAT/NAME`, with a model card that says what was measured.
final class Export {
    /// Where they go in a run's directory.
    static final String FOLDER = "exports";

    private Export() {}

    private record Settings(String format) {}

    private static Path stage(Path output, ExportFormat format) {
        return output.resolve(FOLDER).resolve(format.label());
    }

    /// The exported file or directory.
    private static Path file(Path stage, ExportFormat format, String name) {
        return stage.resolve(format == ExportFormat.GGUF ? name + ".gguf" : name);
    }

    /// Whether all of a run's exports are there.
    static boolean isFinished(RunSettings settings, Path output) {
        return formats(settings).stream().allMatch(format -> Files.exists(stage(output, format).resolve(StageDirectory.FINISHED)));
    }

    private static List<ExportFormat> formats(RunSettings settings) {
        return settings.export().stream().map(label -> ExportFormat.of(label).orElseThrow()).toList();
    }

    /// Makes what is missing of a run's exports, and says what they became: a list for `exports` of `results.json`.
    ///
    /// @param model of the last row
    /// @param base  the full-precision model, whose licence goes along
    /// @throws rqat.Failure as [Exporter#run]
    static ArrayNode run(Session session, RunSettings settings, Results results, Path model, Path base, Path output) {
        String row = settings.rows().getLast().name(), name = settings.rows().getLast().steps().name();
        ArrayNode exports = JsonFiles.object().putArray("exports");
        for (ExportFormat format : formats(settings)) {
            Path stage = session.produce("export", new Settings(format.label()), Session.inputs("model", model), stage(output, format), work -> {
                Path out = file(work.directory(), format, name);
                var facts = new ModelCard.Facts(name, ModelCard.licence(base), measured(results, settings.evaluate()));
                ExportResult result = Exporter.run(model, out, ExportSettings.of(format), facts, session.progress());
                if (format == ExportFormat.GGUF) AtomicFiles.write(work.directory().resolve("README.md"), result.card());
            });
            Path file = file(stage, format, name);
            JsonNode manifest = JsonFiles.read(format == ExportFormat.GGUF ? stage.resolve(name + ".export-manifest.json") : file.resolve("export-manifest.json"));
            ObjectNode export = exports.addObject().put("row", row).put("format", format.label()).put("path", output.relativize(file).toString()).put("file_bytes", bytes(file));
            for (String key : List.of("bytes", "bits_per_weight", "bits_per_parameter", "smaller_than_bfloat16")) export.set(key, manifest.path(key));
        }
        return exports;
    }

    private static long bytes(Path file) {
        try (Stream<Path> files = Files.walk(file)) {
            return files.filter(Files::isRegularFile).mapToLong(AtomicFiles::size).sum();
        } catch (IOException e) {
            throw AtomicFiles.failure("read", file, e);
        } catch (UncheckedIOException e) {
            throw AtomicFiles.failure("read", file, e.getCause());
        }
    }

    /// The row's results beside full precision, as Markdown.
    private static String measured(Results results, Evaluate.Settings settings) {
        var rows = new ArrayList<Results.Row>();
        results.fullPrecision().filter(row -> row != results.rows().getLast()).ifPresent(rows::add);
        rows.add(results.rows().getLast());
        Results shown = new Results(rows);
        Document.Table table = ResultsTable.of(shown);
        var text = new StringBuilder();
        line(text, table.header());
        line(text, table.header().stream().map(_ -> "---").toList());
        table.lines().forEach(each -> line(text, each));
        return text + "\n" + ResultsTable.legend(shown) + String.format(Locale.ROOT, " Temperature %s, top-p %s, at most %,d new tokens.\n",
                settings.temperature(), settings.topP(), settings.maxNewTokens());
    }

    private static void line(StringBuilder text, List<String> cells) {
        text.append("| ").append(String.join(" | ", cells.stream().map(cell -> cell.replace("|", "\\|")).toList())).append(" |\n");
    }
}
