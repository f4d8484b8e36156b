package rqat.report;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/// What the charts share: elements, palette, ticks, the width of text.
final class Svg {

    private static final String[] PALETTE = {"#0067a8", "#c2500a", "#00805c", "#a23e8c", "#8a6a00", "#2a7f9e", "#5b6270"};
    static final String TEXT = "#3b3f46";
    static final String GRID = "#e3e1dc";
    static final String MUTED = "#8b8f97";

    /// Average width of a character, in units of the font size, for the system's sans-serif fonts.
    private static final double CHARACTER_WIDTH = 0.56;

    private final StringBuilder out = new StringBuilder();

    Svg(double width, double height, String title) {
        out.append("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %s %s\" role=\"img\" aria-label=\"%s\" font-family=\"system-ui, sans-serif\">"
                .formatted(coordinate(width), coordinate(height), Html.escape(title)));
    }

    static String colour(int series) {
        return PALETTE[Math.floorMod(series, PALETTE.length)];
    }

    /// The class that a page recolours.
    static String colourClass(int series) {
        return "s" + Math.floorMod(series, PALETTE.length);
    }

    /// The dash attribute of a series, empty for the first round of the palette.
    static String dash(int series) {
        return series < PALETTE.length ? "" : " stroke-dasharray=\"5 3\"";
    }

    static double textWidth(String text, double size) {
        return text.codePointCount(0, text.length()) * CHARACTER_WIDTH * size;
    }

    /// Cuts a text to a width, with an ellipsis.
    static String fit(String text, double size, double width) {
        int characters = (int) (width / (CHARACTER_WIDTH * size));
        if (text.codePointCount(0, text.length()) <= characters) {
            return text;
        }
        return text.substring(0, text.offsetByCodePoints(0, Math.max(0, characters - 1))) + "…";
    }

    /// Ticks at multiples of 1, 2 or 5 times a power of ten that cover `[low, high]`, the outermost not inside it.
    static double[] ticks(double low, double high, int about) {
        double rough = Math.max((high - low) / about, Double.MIN_NORMAL);
        double power = Math.pow(10, Math.floor(Math.log10(rough)));
        double step = power * (rough / power > 5 ? 10 : rough / power > 2 ? 5 : rough / power > 1 ? 2 : 1);
        long first = (long) Math.floor(low / step + 1e-9);
        long last = (long) Math.ceil(high / step - 1e-9);
        var ticks = new ArrayList<Double>();
        for (long i = first; i <= Math.max(last, first + 1); i++) {
            ticks.add(i * step);
        }
        return ticks.stream().mapToDouble(Double::doubleValue).toArray();
    }

    /// Labels for ticks, all with the digits that their distance needs: `0.25`, `12k`, `2e-5`.
    static List<String> labels(double[] ticks) {
        double largest = Math.max(Math.abs(ticks[0]), Math.abs(ticks[ticks.length - 1]));
        double step = ticks[1] - ticks[0];
        int exponent = (int) Math.floor(Math.log10(step) + 1e-9);
        var digits = new MathContext(Math.max(1, (int) Math.floor(Math.log10(largest) + 1e-9) - exponent + 1));
        var labels = new ArrayList<String>();
        for (double tick : ticks) {
            if (Math.abs(tick) < step / 2) {
                labels.add("0");
            } else if (largest < 1e-3 || largest >= 1e7) {
                labels.add(scientific(new BigDecimal(tick).round(digits)));
            } else if (largest >= 1e4) {
                labels.add(new BigDecimal(tick / 1000).round(digits).stripTrailingZeros().toPlainString() + "k");
            } else {
                labels.add(String.format(Locale.ROOT, "%." + Math.max(0, -exponent) + "f", tick));
            }
        }
        return labels;
    }

    /// A number with four significant digits, for a hover text.
    static String plain(double value) {
        if (!Double.isFinite(value)) {
            return "–";
        }
        BigDecimal rounded = new BigDecimal(value).round(new MathContext(4)).stripTrailingZeros();
        boolean extreme = rounded.signum() != 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e7);
        return extreme ? scientific(rounded) : rounded.toPlainString();
    }

    private static String scientific(BigDecimal value) {
        BigDecimal digits = value.stripTrailingZeros();
        int exponent = digits.precision() - digits.scale() - 1;
        return digits.movePointLeft(exponent).toPlainString() + "e" + exponent;
    }

    static String coordinate(double value) {
        String text = String.format(Locale.ROOT, "%.1f", value);
        return text.endsWith(".0") ? text.substring(0, text.length() - 2) : text;
    }

    Svg add(String markup) {
        out.append(markup);
        return this;
    }

    Svg text(double x, double y, double size, String anchor, String attributes, String text) {
        return add("<text class=\"t\" x=\"%s\" y=\"%s\" font-size=\"%s\" text-anchor=\"%s\" fill=\"%s\"%s>%s</text>".formatted(
                coordinate(x), coordinate(y), coordinate(size), anchor, TEXT, attributes.isEmpty() ? "" : " " + attributes, Html.escape(text)));
    }

    /// A heading with a quieter remark behind it.
    Svg title(String title, String remark) {
        return add("<text class=\"t\" x=\"0\" y=\"15\" font-size=\"13.5\" fill=\"%s\"><tspan font-weight=\"600\">%s</tspan>".formatted(TEXT, Html.escape(title)))
                .add(remark.isEmpty() ? "</text>" : "<tspan dx=\"9\" font-size=\"11.5\" fill-opacity=\"0.72\">%s</tspan></text>".formatted(Html.escape(remark)));
    }

    Svg line(String cssClass, String stroke, double x1, double y1, double x2, double y2, String attributes) {
        return add("<line class=\"%s\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\" stroke=\"%s\"%s/>".formatted(cssClass,
                coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2), stroke, attributes.isEmpty() ? "" : " " + attributes));
    }

    String end() {
        return out.append("</svg>").toString();
    }
}
