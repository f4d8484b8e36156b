package rqat.report;

/// A chart as inline SVG: no script, no external resource, readable without its style sheet.
///
/// Every colour is written as an attribute for light backgrounds and repeated as a class (`s0` to `s6` for series, `t` for text, `g` for
/// grid lines, `m` for muted marks), so that a page can adapt it to a dark one. The palette is that of Okabe and Ito (Color Universal
/// Design, 2008), darkened for contrast on white; series beyond the seventh repeat it with dashes.
public sealed interface Chart permits LineChart, BarChart {

    /// The chart as one `<svg>` element, well-formed XML.
    String svg();
}
