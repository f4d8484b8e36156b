package rqat.recipe;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiFunction;
import rqat.recipe.Study.Measured;
import rqat.recipe.Study.Track;
import rqat.recipe.Study.Variant;
import rqat.report.BarChart;
import rqat.report.Chart;
import rqat.report.Document;
import rqat.report.Document.Section;
import rqat.report.LineChart;
import rqat.report.Results;
import tools.jackson.databind.JsonNode;

/// The charts that a study's recipe asks for.
///
/// @param measured all rows
/// @param tracks   of the rows that were evaluated by step
/// @param logged   a metric of a row's last stage: for each step the values of the repetitions
record StudyCharts(
        RunSettings settings,
        List<Measured> measured,
        Map<Variant, Track> tracks,
        BiFunction<Variant, String, TreeMap<Long, List<Double>>> logged) {
    private static final int SMOOTHED_FROM = 16;

    /// One section for bars and one for lines, without those that have no chart.
    List<Section> sections() {
        var bars = new ArrayList<Chart>();
        var lines = new ArrayList<Chart>();
        for (StudySettings.Picture picture : settings.study().charts()) {
            List<Measured> shown = measured.stream()
                    .filter(row -> row.stopped() == null && (picture.rows().isEmpty() || picture.rows().contains(row.variant().row().name())))
                    .toList();
            switch (picture.metric()) {
                case "score" -> bars.add(scoreBars(picture, shown));
                case "drop" -> bars.add(dropBars(picture, shown));
                default -> lines.add(lines(picture, shown));
            }
        }
        var sections = new ArrayList<Section>();
        if (!bars.isEmpty()) sections.add(new Section("Scores", List.of(new Document.Charts(bars))));
        if (!lines.isEmpty()) {
            sections.add(new Section("Curves", List.of(
                    new Document.Charts(lines),
                    new Document.Words("Mean over repetitions; where values are many, a thin line has them and a thick one their moving average."))));
        }
        return sections;
    }

    private BarChart scoreBars(StudySettings.Picture picture, List<Measured> shown) {
        var series = new ArrayList<BarChart.Series>();
        for (String task : settings.evaluate().tasks()) {
            double[] values = shown.stream().mapToDouble(row -> score(row, task)).toArray();
            double[] errors = shown.stream()
                    .mapToDouble(row -> row.result().scores().containsKey(task) ? row.result().scores().get(task).std() : Double.NaN)
                    .toArray();
            series.add(BarChart.Series.of(task, series.size(), values, errors));
        }
        return new BarChart(picture.title(), picture.unit(), shown.stream().map(row -> row.variant().row().name()).toList(), series, Double.NaN);
    }

    private BarChart dropBars(StudySettings.Picture picture, List<Measured> shown) {
        List<String> tasks = settings.evaluate().tasks();
        var series = new ArrayList<BarChart.Series>();
        for (Measured row : shown) {
            Measured reference = Study.reference(row, measured);
            if (reference == null || reference.stopped() != null || row.variant().chain().steps().isEmpty()) continue;
            double[] values = tasks.stream().mapToDouble(task -> score(reference, task) - score(row, task)).toArray();
            series.add(BarChart.Series.of(row.variant().row().name(), series.size(), values, new double[values.length]));
        }
        return new BarChart(picture.title(), picture.unit(), tasks, series, Double.NaN);
    }

    private static double score(Measured row, String task) {
        Results.Score score = row.result().scores().get(task);
        if (score != null) return score.mean();
        JsonNode others = row.result().extra().get("non_reasoning_scores");
        return others == null ? Double.NaN : others.path(task).path("mean").asDouble(Double.NaN);
    }

    private LineChart lines(StudySettings.Picture picture, List<Measured> shown) {
        boolean byStep = picture.metric().equals("accuracy") || picture.metric().equals("length");
        var series = new ArrayList<LineChart.Series>();
        int points = 0;
        for (Measured row : shown) {
            int colour = shown.indexOf(row);
            if (byStep) {
                Track track = tracks.get(row.variant());
                if (track == null) continue;
                series.add(new LineChart.Series(
                        row.variant().row().name(), colour, track.steps(), picture.metric().equals("length") ? track.length() : track.accuracy()));
            } else {
                TreeMap<Long, List<Double>> values = logged.apply(row.variant(), picture.metric());
                if (values.isEmpty()) continue;
                points = Math.max(points, values.size());
                series.add(new LineChart.Series(
                        row.variant().row().name(),
                        colour,
                        values.keySet().stream().mapToDouble(Long::doubleValue).toArray(),
                        values.values().stream().mapToDouble(Study::mean).toArray()));
            }
        }
        boolean fromZero = !byStep && !picture.metric().equals("length/mean");
        return new LineChart(picture.title(), picture.unit(), "step", series, fromZero, points >= SMOOTHED_FROM ? Math.max(5, points / 10) : 0);
    }
}
