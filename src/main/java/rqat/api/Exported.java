package rqat.api;

import java.nio.file.Path;

/// Files that left, read back and compared with the model.
///
/// @param place            the directory or file
/// @param bytes            of the weights
/// @param bitsPerWeight    of the quantised maps, scales and zero points included
/// @param bitsPerParameter embedding and head included
/// @param ratio            size of the original in bfloat16 over that of this one
/// @param card             a model card in Markdown
public record Exported(Path place, long bytes, double bitsPerWeight, double bitsPerParameter, double ratio, String card) {}
