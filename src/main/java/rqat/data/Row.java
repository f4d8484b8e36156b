package rqat.data;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import rqat.Failure;
import tools.jackson.databind.JsonNode;

/// One record of a data file, by column name. Columns are read with the type that the data set publishes; anything else is a bad file, named
/// by file and line.
///
/// @param file   as the user knows it
/// @param number of the line (JSONL, CSV, text; a CSV record may go on over further lines) or of the row (Parquet, JSON), from 1
/// @param fields a JSON object
public record Row(String file, long number, JsonNode fields) {

    /// Where this row is, as messages say it.
    public String place() {
        return file + ":" + number;
    }

    /// Whether there is such a column and it is not null here.
    public boolean has(String column) {
        return fields.hasNonNull(column);
    }

    /// The text in the first of `columns` that is there.
    ///
    /// @throws Failure BAD_FILE when none is there or it is no text
    public String text(String... columns) {
        return optionalText(columns).orElseThrow(() -> bad("no column `%s`".formatted(String.join("` or `", columns)), "a text there"));
    }

    /// As [#text], empty when no column is there.
    public Optional<String> optionalText(String... columns) {
        for (String column : columns) {
            if (has(column)) {
                JsonNode value = fields.get(column);
                // Publishers disagree whether an integer answer or id is a number or a text.
                if (value.isIntegralNumber()) return Optional.of(value.asString());
                if (!value.isString()) throw wrong(column, "a text");
                return Optional.of(value.stringValue());
            }
        }
        return Optional.empty();
    }

    /// A list of texts.
    public List<String> texts(String column) {
        var texts = new ArrayList<String>();
        for (JsonNode element : list(column)) {
            if (!element.isString()) throw wrong(column, "a list of texts");
            texts.add(element.stringValue());
        }
        return texts;
    }

    /// A list of booleans, empty when the column is null or missing; a null in it counts as false.
    public List<Boolean> flags(String column) {
        var flags = new ArrayList<Boolean>();
        if (!has(column)) return flags;
        for (JsonNode element : list(column)) {
            if (!element.isBoolean() && !element.isNull()) throw wrong(column, "a list of booleans");
            flags.add(element.isBoolean() && element.booleanValue());
        }
        return flags;
    }

    /// A list of anything.
    public List<JsonNode> list(String column) {
        JsonNode value = fields.path(column);
        if (!value.isArray()) throw wrong(column, "a list");
        return List.copyOf(value.values());
    }

    /// The failure to throw for a column that does not hold what it should.
    public Failure wrong(String column, String expected) {
        JsonNode value = fields.path(column);
        String found = value.isMissingNode() ? "missing" : Failure.quote(value.toString());
        return bad("column `%s` is %s".formatted(column, found), expected);
    }

    private Failure bad(String found, String expected) {
        return Failure.badFile("%s: %s; expected %s. The columns are %s".formatted(place(), found, expected, Failure.quote(fields.propertyNames().toString())));
    }
}
