package rqat.export;

import java.util.function.Function;

/// A tensor of the model as it leaves.
///
/// @param name      in the model
/// @param stored    its name, or the first part of its names, in the file
/// @param container how it is stored: `gptq 3 bits`, `Q4_0`, `F16`
/// @param elements  how many
/// @param bytes     that its tensors take
/// @param coded     whether it is a weight on a grid
/// @param grid      bits, group size and symmetry as the container has them; empty where it has none
/// @param change    the largest of its values
/// @param proof     compares it with what was written
record Piece(
        String name, String stored, String container, long elements, long bytes, boolean coded, String grid, Change change, Function<Proof, Proof.Hashes> proof) {
    double bitsPerWeight() {
        return 8.0 * bytes / elements;
    }
}
