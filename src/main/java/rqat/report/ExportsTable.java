package rqat.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import tools.jackson.databind.JsonNode;

/// What a run exported, from `exports` of its results: a line a file, with its size and that of the original.
public final class ExportsTable {
    private ExportsTable() {}

    /// The table, or nothing where nothing was exported.
    public static Optional<Document.Table> of(Results results) {
        JsonNode exports = results.extra().get("exports");
        if (exports == null || exports.isEmpty()) return Optional.empty();
        var lines = new ArrayList<List<String>>();
        for (JsonNode export : exports) {
            lines.add(List.of(
                    export.path("path").asString("-"),
                    export.path("format").asString("-"),
                    String.format(Locale.ROOT, "%,d", export.path("file_bytes").asLong(0)),
                    number(export.path("bits_per_weight")),
                    number(export.path("bits_per_parameter")),
                    number(export.path("smaller_than_bfloat16"))));
        }
        return Optional.of(new Document.Table(List.of("exported", "format", "bytes", "bits/weight, maps", "bits/weight, all", "bf16 / this"), lines, 2));
    }

    private static String number(JsonNode number) {
        return number.isNumber() ? String.format(Locale.ROOT, "%.2f", number.asDouble()) : "-";
    }
}
