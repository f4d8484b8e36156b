package rqat.text.jinja;

import java.util.List;

/// A rendered template and the parts of it that came from `generation` blocks, in the order of the text.
public record JinjaRendering(String text, List<Range> generated) {
    /// The characters from `start` to `end` (exclusive), in UTF-16 indices.
    public record Range(int start, int end) {}
}
