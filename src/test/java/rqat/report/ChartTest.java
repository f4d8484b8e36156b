package rqat.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Element;

class ChartTest {

    private static Element parse(Chart chart) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(new ByteArrayInputStream(chart.svg().getBytes(StandardCharsets.UTF_8))).getDocumentElement();
    }

    private static List<double[]> points(String path) {
        var points = new ArrayList<double[]>();
        var matcher = Pattern.compile("[ML](-?[\\d.]+) (-?[\\d.]+)").matcher(path);
        while (matcher.find()) {
            points.add(new double[] {Double.parseDouble(matcher.group(1)), Double.parseDouble(matcher.group(2))});
        }
        return points;
    }

    private static LineChart chart(int smoothing, double[]... lines) {
        List<LineChart.Series> series = IntStream.range(0, lines.length).mapToObj(i -> new LineChart.Series("line <" + i + ">", i,
                IntStream.range(0, lines[i].length).mapToDouble(x -> x).toArray(), lines[i])).toList();
        return new LineChart("A & B", "unit", "step", series, false, smoothing);
    }

    /// The marks of the axis say what the line shows: on a straight line from 0 to 100 every tick label sits where the line has that value.
    @Test
    void linesAndAxesAgree() throws Exception {
        double[] y = IntStream.rangeClosed(0, 100).mapToDouble(x -> x).toArray();
        Element svg = parse(chart(0, y));
        List<double[]> points = points(((Element) svg.getElementsByTagName("path").item(0)).getAttribute("d"));
        assertThat(points).hasSize(101);
        var texts = svg.getElementsByTagName("text");
        int checked = 0;
        for (int i = 0; i < texts.getLength(); i++) {
            Element text = (Element) texts.item(i);
            if (text.getTextContent().matches("\\d+")) {
                double[] point = points.get(Integer.parseInt(text.getTextContent()));
                boolean vertical = text.getAttribute("text-anchor").equals("end");
                double at = Double.parseDouble(text.getAttribute(vertical ? "y" : "x"));
                assertThat(at).isCloseTo(vertical ? point[1] + 4 : point[0], within(0.11));
                checked++;
            }
        }
        assertThat(checked).isGreaterThan(8);
    }

    @Test
    void gapsBreakTheLineAndDivergenceIsAGap() throws Exception {
        Element svg = parse(chart(0, new double[] {1, 2, Double.NaN, 3, 1e300, 2, Double.POSITIVE_INFINITY}));
        assertThat(((Element) svg.getElementsByTagName("path").item(0)).getAttribute("d").chars().filter(c -> c == 'M').count()).isEqualTo(3);
        assertThat(svg.getElementsByTagName("circle").getLength()).isEqualTo(4);
    }

    @Test
    void aSpikeSurvivesThinningOut() throws Exception {
        double[] y = new double[100_000];
        y[77_777] = 1;
        Element svg = parse(chart(0, y));
        List<double[]> points = points(((Element) svg.getElementsByTagName("path").item(0)).getAttribute("d"));
        assertThat(points).hasSizeLessThan(700);
        double top = points.stream().mapToDouble(point -> point[1]).min().orElseThrow();
        assertThat(points.stream().filter(point -> point[1] == top)).hasSize(1);
        assertThat(svg.getElementsByTagName("circle").getLength()).isLessThanOrEqualTo(60);
    }

    @Test
    void smoothingKeepsStraightLinesAndMeans() {
        double[] line = IntStream.range(0, 200).mapToDouble(i -> 3 * i).toArray();
        double[] smoothed = LineChart.smooth(line, 20);
        for (int i = 10; i < 190; i++) {
            assertThat(smoothed[i]).isCloseTo(line[i], within(1e-9));
        }
        var random = new Random(3);
        double[] noise = random.doubles(2_000, -1, 1).toArray();
        assertThat(Arrays.stream(LineChart.smooth(noise, 100)).map(Math::abs).max().orElseThrow()).isLessThan(0.5);
        assertThat(LineChart.smooth(new double[] {1, Double.NaN, 3, 5, 7}, 2)[1]).isEqualTo(3);
    }

    @Test
    void chartsWithoutAnythingToShowAreStillCharts() throws Exception {
        assertThat(parse(new LineChart("empty", "", "step", List.of(), true, 5)).getTextContent()).contains("no values");
        assertThat(parse(chart(5, new double[] {}, new double[] {Double.NaN})).getTextContent()).contains("no values");
        assertThat(parse(chart(5, new double[] {4})).getElementsByTagName("circle").getLength()).isEqualTo(1);
        assertThat(parse(new BarChart("none", "", List.of(), List.of(), Double.NaN)).getTagName()).isEqualTo("svg");
        assertThat(parse(new BarChart("none", "", List.of("a"), List.of(BarChart.Series.of("s", 0, new double[] {Double.NaN}, new double[] {0})), Double.NaN)).getElementsByTagName("rect").getLength()).isZero();
    }

    /// Bars are as long as their values, error bars as long as twice the error.
    @Test
    void barsAreToScale() throws Exception {
        double[] values = {80, 20, 40};
        double[] errors = {2, 0, 4};
        Element svg = parse(new BarChart("bars", "percent", List.of("a & b", "c", "d"), List.of(BarChart.Series.of("average", 0, values, errors)), 80));
        var bars = svg.getElementsByTagName("rect");
        double scale = width(bars.item(0)) / 80;
        assertThat(width(bars.item(1))).isCloseTo(20 * scale, within(0.1));
        assertThat(width(bars.item(2))).isCloseTo(40 * scale, within(0.1));
        var matcher = Pattern.compile("M([\\d.]+) [\\d.]+H([\\d.]+)").matcher(((Element) svg.getElementsByTagName("path").item(1)).getAttribute("d"));
        assertThat(matcher.find()).isTrue();
        assertThat(Double.parseDouble(matcher.group(2)) - Double.parseDouble(matcher.group(1))).isCloseTo(8 * scale, within(0.2));
        assertThat(svg.getElementsByTagName("path").getLength()).isEqualTo(2);
        assertThat(bars.item(0).getTextContent()).isEqualTo("a & b, average: 80 ± 2");
    }

    private static double width(org.w3c.dom.Node rect) {
        return Double.parseDouble(((Element) rect).getAttribute("width"));
    }

    /// Whatever the range, ticks are few, evenly spaced at round distances, cover it, and can be told apart by their labels.
    @Test
    void ticksAreRoundAndCoverTheRange() {
        for (int seed = 0; seed < 5_000; seed++) {
            var random = new Random(seed);
            double low = (random.nextDouble() - 0.3) * Math.pow(10, random.nextInt(20) - 10);
            double high = low + Math.max(random.nextDouble() * Math.pow(10, random.nextInt(20) - 10), Math.abs(low) * 1e-3);
            double[] ticks = Svg.ticks(low, high, 5);
            double step = ticks[1] - ticks[0];
            assertThat(ticks.length).as("seed %d", seed).isBetween(2, 8);
            assertThat(ticks[0]).as("seed %d", seed).isLessThanOrEqualTo(low + step * 1e-6);
            assertThat(ticks[ticks.length - 1]).as("seed %d", seed).isGreaterThanOrEqualTo(high - step * 1e-6);
            double mantissa = step / Math.pow(10, Math.floor(Math.log10(step * 1.0001)));
            assertThat(List.of(1L, 2L, 5L)).as("seed %d: step %s", seed, step).contains(Math.round(mantissa));
            List<String> labels = Svg.labels(ticks);
            assertThat(new HashSet<>(labels)).as("seed %d: %s", seed, labels).hasSameSizeAs(labels);
        }
        assertThat(Svg.labels(new double[] {0, 5e-6, 1e-5, 1.5e-5})).containsExactly("0", "5e-6", "1e-5", "1.5e-5");
        assertThat(Svg.labels(new double[] {0, 5000, 10_000})).containsExactly("0", "5k", "10k");
        assertThat(Svg.labels(new double[] {-0.5, 0, 0.5})).containsExactly("-0.5", "0", "0.5");
    }
}
