package rqat.export;

import java.nio.file.Path;
import java.util.Map;

/// What an export became.
///
/// @param place          the directory or file
/// @param format         its label
/// @param stored         the types of its quantised maps with how many maps have them; empty where all weights are plain
/// @param dtype          what the file names as the model's dtype: `float16`, `bfloat16` or `float32`
/// @param bytes          of all weights
/// @param quantisedBits  bits per weight of the quantised maps, scales and zero points included; of all linear maps where none is quantised
/// @param bits           bits per parameter, embedding and head included
/// @param ratio          size of the original in bfloat16 over that of this one
/// @param change         the largest change of a value; [Change#NONE] unless it was allowed
/// @param products       the largest change that an engine makes that computes weights in `float16` or `bfloat16`
/// @param tensors        how many were read back and compared
/// @param card           the model card, see [ModelCard]
public record ExportResult(
        Path place,
        String format,
        Map<String, Integer> stored,
        String dtype,
        long bytes,
        double quantisedBits,
        double bits,
        double ratio,
        Change change,
        Map<String, Change> products,
        int tensors,
        String card) {
    /// The same with a card.
    ExportResult with(String text) {
        return new ExportResult(place, format, stored, dtype, bytes, quantisedBits, bits, ratio, change, products, tensors, text);
    }
}
