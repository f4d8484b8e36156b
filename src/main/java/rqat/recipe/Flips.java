package rqat.recipe;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.eval.PairedAnswers;
import rqat.eval.Sample;
import rqat.report.Document;
import rqat.report.Results;

/// Which answers two evaluations of the same problems do not share, and in which direction they flip.
///
/// @param row     of both runs; empty for two evaluations
/// @param answers the second's, with the first as reference
public record Flips(String row, PairedAnswers answers) {
    private static final String SAMPLES = "samples.jsonl";
    private static final String EVALUATIONS = "evaluations";

    /// Whether this directory is one evaluation, not a run of several.
    public static boolean isEvaluation(Path directory) {
        return Files.isRegularFile(directory.resolve(SAMPLES));
    }

    /// Of two evaluations, each a directory with a `samples.jsonl`.
    ///
    /// @throws Failure BAD_FILE when one is damaged, or when they have no answer to the same problem
    public static List<Flips> ofEvaluations(Path first, Path second) {
        List<Flips> flips = flips("", List.of(first), List.of(second));
        if (flips.isEmpty()) {
            throw Failure.badFile("%s and %s have no problem in common (task, seed and id); compare evaluations of the same tasks and seeds".formatted(first, second));
        }
        return flips;
    }

    /// Of the rows that two runs or studies have in common, as far as their samples are there.
    public static List<Flips> ofRuns(Path first, Results firstResults, Path second, Results secondResults) {
        SequencedMap<String, List<Path>> before = evaluations(first, firstResults);
        SequencedMap<String, List<Path>> after = evaluations(second, secondResults);
        var flips = new ArrayList<Flips>();
        before.forEach((row, folders) -> {
            if (after.containsKey(row)) flips.addAll(flips(row, folders, after.get(row)));
        });
        return flips;
    }

    /// The evaluations of each row: those that a study names in its results, otherwise those in the run's folder.
    private static SequencedMap<String, List<Path>> evaluations(Path run, Results results) {
        var evaluations = new LinkedHashMap<String, List<Path>>();
        for (Results.Row row : results.rows()) {
            var named = row.extra().get("evaluations");
            List<Path> folders = named != null && named.isArray()
                    ? named.valueStream().map(folder -> Path.of(folder.asString(""))).toList()
                    : List.of(run.resolve(EVALUATIONS).resolve(row.name()));
            if (folders.stream().allMatch(Flips::isEvaluation)) evaluations.put(row.name(), folders);
        }
        return evaluations;
    }

    private static List<Flips> flips(String row, List<Path> first, List<Path> second) {
        return PairedAnswers.of(samples(first), samples(second)).stream().map(answers -> new Flips(row, answers)).toList();
    }

    private static List<Sample> samples(List<Path> folders) {
        return folders.stream().flatMap(folder -> Sample.read(folder.resolve(SAMPLES)).stream()).toList();
    }

    /// For people.
    public static String text(List<Flips> flips) {
        if (flips.isEmpty()) return "";
        boolean rows = flips.stream().anyMatch(flip -> !flip.row.isEmpty());
        var header = new ArrayList<>(rows ? List.of("model", "task") : List.of("task"));
        header.addAll(List.of("answers", "lost", "won", "p", "tokens", "alone"));
        var lines = new ArrayList<List<String>>();
        for (Flips flip : flips) {
            PairedAnswers answers = flip.answers;
            var line = new ArrayList<>(rows ? List.of(flip.row, answers.task()) : List.of(answers.task()));
            line.addAll(List.of(
                    String.valueOf(answers.pairs()),
                    String.valueOf(answers.lost()),
                    String.valueOf(answers.won()),
                    probability(answers.probability()),
                    inflation(answers.inflation()),
                    String.valueOf(answers.alone())));
            lines.add(line);
        }
        return new Document.Table(header, lines, rows ? 2 : 1).text()
                + "Answers to the same problem with the same seed. Lost: right in the first, wrong in the second; won: the reverse; p: McNemar's exact test of the two;\n"
                + "tokens: the second's length over the first's; alone: answers without a partner, left out.\n";
    }

    static String probability(double p) {
        return p < 0.001 ? "<0.001" : String.format(Locale.ROOT, "%.3f", p);
    }

    static String inflation(@Nullable Double inflation) {
        return inflation == null ? "-" : String.format(Locale.ROOT, "%.2fx", inflation);
    }
}
