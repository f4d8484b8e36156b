package rqat.report;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;

/// Horizontal bars in groups, with error bars: the names of models are long, and lengths are compared best along one line. The axis begins
/// at zero.
///
/// @param title     what is shown
/// @param unit      what the bars count, shown beside the title; may be empty
/// @param groups    the names down the left side
/// @param series    the bars of each group; a single series needs no legend
/// @param reference a level to compare with, drawn as a dashed line; NaN for none
public record BarChart(String title, String unit, List<String> groups, List<Series> series, double reference) implements Chart {

    private static final double WIDTH = 1000;
    private static final double VALUE_SPACE = 52;
    private static final double MAX_NAME = 320;
    private static final double LEGEND_LINE = 18;

    public BarChart {
        groups = List.copyOf(groups);
        series = List.copyOf(series);
    }

    /// One kind of bar.
    ///
    /// @param colours index into the palette for each group; a negative one is neutral
    /// @param values  for each group; a value that is not finite has no bar
    /// @param errors  half the length of each error bar; none where not finite or zero
    public record Series(String name, int[] colours, double[] values, double[] errors) {

        /// A series of one colour.
        public static Series of(String name, int colour, double[] values, double[] errors) {
            int[] colours = new int[values.length];
            Arrays.fill(colours, colour);
            return new Series(name, colours, values, errors);
        }

        public Series {
            if (values.length != errors.length || values.length != colours.length) {
                throw new IllegalArgumentException("series %s has %d values, %d errors, %d colours".formatted(name, values.length, errors.length, colours.length));
            }
        }
    }

    @Override
    public String svg() {
        boolean single = series.size() == 1;
        double barHeight = single ? 19 : 12;
        double groupHeight = series.size() * (barHeight + 2) + (single ? 9 : 16);
        double top = single ? 40 : 44 + LEGEND_LINE;
        double bottom = top + groups.size() * groupHeight;
        double left = Math.min(MAX_NAME, groups.stream().mapToDouble(name -> Svg.textWidth(name, 12.5)).max().orElse(0)) + 12;
        double highest = Math.max(series.stream().flatMapToDouble(BarChart::ends).max().orElse(1), Double.isFinite(reference) ? reference : 0);
        double[] ticks = Svg.ticks(0, highest > 0 ? highest : 1, 5);
        double scale = (WIDTH - left - VALUE_SPACE) / ticks[ticks.length - 1];

        var svg = new Svg(WIDTH, bottom + 26, title);
        svg.title(title, unit);
        if (!single) {
            legend(svg);
        }
        List<String> labels = Svg.labels(ticks);
        for (int i = 0; i < ticks.length; i++) {
            double x = left + ticks[i] * scale;
            svg.line(i == 0 ? "m" : "g", i == 0 ? Svg.MUTED : Svg.GRID, x, top - 8, x, bottom, "");
            svg.text(x, bottom + 16, 11, "middle", "", labels.get(i));
        }
        for (int group = 0; group < groups.size(); group++) {
            double y = top + group * groupHeight;
            double middle = y + series.size() * (barHeight + 2) / 2 + 3.5;
            svg.text(left - 10, middle, 12.5, "end", "", Svg.fit(groups.get(group), 12.5, MAX_NAME));
            for (int i = 0; i < series.size(); i++) {
                bar(svg, series.get(i), group, left, y + i * (barHeight + 2), barHeight, scale);
            }
        }
        if (Double.isFinite(reference)) {
            double x = left + reference * scale;
            svg.line("t", Svg.TEXT, x, top - 8, x, bottom, "stroke-dasharray=\"3 3\" stroke-opacity=\"0.75\"");
        }
        return svg.end();
    }

    private void bar(Svg svg, Series one, int group, double left, double y, double height, double scale) {
        double value = one.values[group];
        if (!Double.isFinite(value)) {
            return;
        }
        double error = Double.isFinite(one.errors[group]) ? one.errors[group] : 0;
        boolean neutral = one.colours[group] < 0;
        String fill = neutral ? Svg.MUTED : Svg.colour(one.colours[group]);
        String label = "%s, %s: %s%s".formatted(groups.get(group), one.name, Svg.plain(value), error > 0 ? " ± " + Svg.plain(error) : "");
        svg.add("<rect class=\"%s\" x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" rx=\"2\" fill=\"%s\"><title>%s</title></rect>".formatted(
                neutral ? "m" : Svg.colourClass(one.colours[group]), Svg.coordinate(left), Svg.coordinate(y),
                Svg.coordinate(Math.max(0, value) * scale), Svg.coordinate(height), fill, Html.escape(label)));
        double end = left + Math.max(0, value) * scale;
        if (error > 0) {
            double middle = y + height / 2;
            double low = Math.max(left, end - error * scale);
            double high = end + error * scale;
            svg.add("<path class=\"t\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.3\" d=\"M%s %sH%sM%s %sv6M%s %sv6\"/>".formatted(Svg.TEXT,
                    Svg.coordinate(low), Svg.coordinate(middle), Svg.coordinate(high), Svg.coordinate(low), Svg.coordinate(middle - 3),
                    Svg.coordinate(high), Svg.coordinate(middle - 3)));
            end = high;
        }
        svg.text(end + 6, y + height / 2 + 4, series.size() == 1 ? 12 : 10.5, "start", "", String.format(Locale.ROOT, "%.1f", value));
    }

    private void legend(Svg svg) {
        double x = 0;
        for (Series one : series) {
            int colour = one.colours.length == 0 ? 0 : one.colours[0];
            svg.add("<rect class=\"%s\" x=\"%s\" y=\"28\" width=\"12\" height=\"12\" rx=\"2\" fill=\"%s\"/>".formatted(
                    Svg.colourClass(colour), Svg.coordinate(x), Svg.colour(colour)));
            svg.text(x + 18, 38, 11.5, "start", "", one.name);
            x += 18 + Svg.textWidth(one.name, 11.5) + 18;
        }
    }

    private static DoubleStream ends(Series one) {
        return IntStream.range(0, one.values.length).filter(i -> Double.isFinite(one.values[i]))
                .mapToDouble(i -> one.values[i] + (Double.isFinite(one.errors[i]) ? one.errors[i] : 0));
    }
}
