package rqat.report;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// Lines over a common horizontal axis, usually the optimiser step. With smoothing the raw values stay visible behind the lines.
///
/// @param title     what is shown
/// @param unit      what the vertical axis counts, shown beside the title; may be empty
/// @param xLabel    what the horizontal axis counts
/// @param series    the lines; those without a finite value are left out
/// @param fromZero  whether the vertical axis begins at zero, as it should for shares and rates
/// @param smoothing width in points of the centred moving average; 0 or 1 for none
public record LineChart(String title, String unit, String xLabel, List<Series> series, boolean fromZero, int smoothing) implements Chart {

    private static final double WIDTH = 520;
    private static final double PLOT_HEIGHT = 176;
    private static final double LEFT = 52;
    private static final double RIGHT = 14;
    private static final double LEGEND_LINE = 17;
    /// Lines have at most twice as many points as this: the least and the greatest of each bucket, so that spikes survive.
    private static final int BUCKETS = 300;
    private static final int HOVER_POINTS = 60;

    public LineChart {
        series = List.copyOf(series);
    }

    /// One line.
    ///
    /// @param colour index into the palette, so that one stage has one colour in all charts
    /// @param x      ascending
    /// @param y      as long as `x`; a value that is not finite, or beyond [#MAX_VALUE], is a gap
    public record Series(String name, int colour, double[] x, double[] y) {

        /// What diverges beyond this would only flatten the rest of the chart.
        public static final double MAX_VALUE = 1e12;

        public Series {
            if (x.length != y.length) {
                throw new IllegalArgumentException("series %s has %d x and %d y".formatted(name, x.length, y.length));
            }
        }

        private boolean isDrawn() {
            return IntStream.range(0, x.length).anyMatch(this::hasPoint);
        }

        private boolean hasPoint(int i) {
            return Math.abs(x[i]) <= MAX_VALUE && Math.abs(y[i]) <= MAX_VALUE;
        }
    }

    @Override
    public String svg() {
        List<Series> drawn = series.stream().filter(Series::isDrawn).toList();
        Legend legend = Legend.of(drawn);
        double top = 34 + legend.lines * LEGEND_LINE;
        double bottom = top + PLOT_HEIGHT;
        var svg = new Svg(WIDTH, bottom + 24, title);
        svg.title(title, unit);
        legend.draw(svg);
        if (drawn.isEmpty()) {
            return svg.text(WIDTH / 2, (top + bottom) / 2, 12, "middle", "", "no values").end();
        }
        double low = fromZero ? Math.min(0, extreme(drawn, true, false)) : extreme(drawn, true, false);
        double[] yTicks = Svg.ticks(low, widened(low, extreme(drawn, true, true)), 4);
        // The horizontal axis ends where the data end; its first and last tick may lie outside and are then not drawn.
        double xLow = extreme(drawn, false, false);
        double xHigh = widened(xLow, extreme(drawn, false, true));
        double[] xTicks = Svg.ticks(xLow, xHigh, 6);
        var frame = new Frame(xLow, xHigh, yTicks[0], yTicks[yTicks.length - 1], top, bottom);
        axes(svg, frame, xTicks, yTicks);
        for (Series one : drawn) {
            draw(svg, frame, one);
        }
        return svg.end();
    }

    private static double widened(double low, double high) {
        return high > low ? high : low + Math.max(Math.abs(low) * 0.1, 1e-6);
    }

    private void axes(Svg svg, Frame frame, double[] xTicks, double[] yTicks) {
        List<String> yLabels = Svg.labels(yTicks);
        for (int i = 0; i < yTicks.length; i++) {
            double y = frame.y(yTicks[i]);
            svg.line("g", Svg.GRID, LEFT, y, WIDTH - RIGHT, y, "");
            svg.text(LEFT - 8, y + 4, 11, "end", "", yLabels.get(i));
        }
        List<String> xLabels = Svg.labels(xTicks);
        for (int i = 0; i < xTicks.length; i++) {
            if (xTicks[i] >= frame.xLow - 1e-9 && xTicks[i] <= frame.xHigh + 1e-9) {
                double x = frame.x(xTicks[i]);
                svg.line("m", Svg.MUTED, x, frame.bottom, x, frame.bottom + 4, "");
                svg.text(x, frame.bottom + 17, 11, "middle", "", xLabels.get(i));
            }
        }
        svg.line("m", Svg.MUTED, LEFT, frame.bottom, WIDTH - RIGHT, frame.bottom, "");
        svg.text(LEFT - 8, frame.bottom + 17, 11, "end", "fill-opacity=\"0.72\"", xLabel);
    }

    private void draw(Svg svg, Frame frame, Series one) {
        boolean smooth = smoothing > 1 && one.y.length > smoothing;
        double[] line = smooth ? smooth(one.y, smoothing) : one.y;
        String stroke = "class=\"%s\" fill=\"none\" stroke=\"%s\" stroke-linejoin=\"round\"".formatted(Svg.colourClass(one.colour), Svg.colour(one.colour));
        if (smooth) {
            svg.add("<path %s stroke-width=\"1\" stroke-opacity=\"0.25\" d=\"%s\"/>".formatted(stroke, path(frame, one, one.y)));
        }
        svg.add("<path %s stroke-width=\"1.8\"%s d=\"%s\"/>".formatted(stroke, Svg.dash(one.colour), path(frame, one, line)));
        int stride = Math.max(1, (one.x.length + HOVER_POINTS - 1) / HOVER_POINTS);
        for (int i = (one.x.length - 1) % stride; i < one.x.length; i += stride) {
            if (one.hasPoint(i)) {
                boolean alone = one.x.length == 1;
                svg.add("<circle class=\"%s%s\" cx=\"%s\" cy=\"%s\" r=\"4\" fill=\"%s\" fill-opacity=\"%s\"><title>%s</title></circle>".formatted(
                        Svg.colourClass(one.colour), alone ? "" : " h", Svg.coordinate(frame.x(one.x[i])), Svg.coordinate(frame.y(line[i])),
                        Svg.colour(one.colour), alone ? "1" : "0",
                        Html.escape("%s\n%s %s: %s%s".formatted(one.name, xLabel, Svg.plain(one.x[i]), Svg.plain(one.y[i]),
                                smooth ? " (smoothed " + Svg.plain(line[i]) + ")" : ""))));
            }
        }
    }

    /// A centred moving average. Towards the ends the window shrinks evenly to a quarter, so that a steep start is not flattened, and is cut
    /// off from there on, so that the last value is not taken for a trend. Gaps are skipped.
    static double[] smooth(double[] y, int window) {
        double[] smoothed = new double[y.length];
        for (int i = 0; i < y.length; i++) {
            int half = Math.clamp(Math.min(i, y.length - 1 - i), Math.max(2, window / 8), Math.max(2, window / 2));
            smoothed[i] = Arrays.stream(y, Math.max(0, i - half), Math.min(y.length, i + half + 1))
                    .filter(value -> Math.abs(value) <= Series.MAX_VALUE).average().orElse(Double.NaN);
        }
        return smoothed;
    }

    private static String path(Frame frame, Series one, double[] y) {
        double[] x = one.x;
        var path = new StringBuilder();
        int size = Math.max(1, (x.length + BUCKETS - 1) / BUCKETS);
        boolean pen = false;
        for (int start = 0; start < x.length; start += size) {
            int least = -1;
            int greatest = -1;
            for (int i = start; i < Math.min(start + size, x.length); i++) {
                if (one.hasPoint(i)) {
                    least = least < 0 || y[i] < y[least] ? i : least;
                    greatest = greatest < 0 || y[i] >= y[greatest] ? i : greatest;
                }
            }
            if (least < 0) {
                pen = false;
                continue;
            }
            for (int i : least == greatest ? new int[] {least} : new int[] {Math.min(least, greatest), Math.max(least, greatest)}) {
                path.append(pen ? 'L' : 'M').append(Svg.coordinate(frame.x(x[i]))).append(' ').append(Svg.coordinate(frame.y(y[i])));
                pen = true;
            }
        }
        return path.toString();
    }

    private static double extreme(List<Series> drawn, boolean vertical, boolean greatest) {
        return drawn.stream().flatMapToDouble(one -> IntStream.range(0, one.x.length)
                        .filter(one::hasPoint)
                        .mapToDouble(i -> vertical ? one.y[i] : one.x[i]))
                .reduce(greatest ? Math::max : Math::min).orElseThrow();
    }

    /// From data to coordinates.
    private record Frame(double xLow, double xHigh, double yLow, double yHigh, double top, double bottom) {

        double x(double value) {
            return LEFT + (value - xLow) / (xHigh - xLow) * (WIDTH - LEFT - RIGHT);
        }

        double y(double value) {
            return bottom - (value - yLow) / (yHigh - yLow) * (bottom - top);
        }
    }

    /// Names in rows below the title.
    private record Legend(List<Series> entries, double[] x, int[] line, int lines) {

        static Legend of(List<Series> entries) {
            double[] x = new double[entries.size()];
            int[] line = new int[entries.size()];
            double next = 0;
            int current = 0;
            for (int i = 0; i < x.length; i++) {
                double width = 22 + Svg.textWidth(entries.get(i).name, 11.5) + 16;
                if (next > 0 && next + width > WIDTH) {
                    next = 0;
                    current++;
                }
                x[i] = next;
                line[i] = current;
                next += width;
            }
            return new Legend(entries, x, line, entries.isEmpty() ? 0 : current + 1);
        }

        void draw(Svg svg) {
            for (int i = 0; i < x.length; i++) {
                Series one = entries.get(i);
                double y = 36 + line[i] * LEGEND_LINE;
                svg.line(Svg.colourClass(one.colour), Svg.colour(one.colour), x[i], y - 4, x[i] + 16, y - 4, "stroke-width=\"2.4\"" + Svg.dash(one.colour));
                svg.text(x[i] + 22, y, 11.5, "start", "", Svg.fit(one.name, 11.5, WIDTH - 30));
            }
        }
    }
}
