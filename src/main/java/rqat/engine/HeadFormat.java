package rqat.engine;

/// In what the engine holds the head, the matrix that makes logits; no method quantises it. The embedding's rows are read from the file as they are.
public enum HeadFormat {
    /// As the file has it: bfloat16 where all its values are, else float32.
    STORED,
    /// Rounded to bfloat16.
    BFLOAT16,
    /// Rounded to 8 bits, a scale for each 128 columns.
    INT8
}
