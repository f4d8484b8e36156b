package rqat.engine;

/// How the columns of a matrix are divided: groups share a scale, chunks of a group are summed at a time. Matrices of equal layout read the same [Activations].
///
/// @param columns    of the matrix
/// @param groupWidth columns that share a scale; divides `columns`
record Layout(Packing packing, int columns, int groupWidth) {
    /// Columns of a chunk at most: of so many the decoded weights of a panel stay in the first-level cache.
    static final int CHUNK = 128;

    int groups() {
        return columns / groupWidth;
    }

    private int chunksOfGroup() {
        return (groupWidth + CHUNK - 1) / CHUNK;
    }

    /// Chunks of a row.
    int chunks() {
        return groups() * chunksOfGroup();
    }

    int group(int chunk) {
        return chunk / chunksOfGroup();
    }

    private int start(int chunk) {
        return group(chunk) * groupWidth + chunk % chunksOfGroup() * CHUNK;
    }

    private int width(int chunk) {
        return Math.min(CHUNK, (group(chunk) + 1) * groupWidth - start(chunk));
    }

    private int blocksOfGroup() {
        return (groupWidth + Packing.BLOCK - 1) / Packing.BLOCK;
    }

    /// Blocks of a row. A group fills its last block with columns of weight 0.
    int blocks() {
        return groups() * blocksOfGroup();
    }

    /// The first column of a block.
    int startOfBlock(int block) {
        return block / blocksOfGroup() * groupWidth + block % blocksOfGroup() * Packing.BLOCK;
    }

    /// Columns of a block.
    int widthOfBlock(int block) {
        return Math.min(Packing.BLOCK, (block / blocksOfGroup() + 1) * groupWidth - startOfBlock(block));
    }

    /// The first block of a chunk.
    int firstBlock(int chunk) {
        return group(chunk) * blocksOfGroup() + chunk % chunksOfGroup() * (CHUNK / Packing.BLOCK);
    }

    /// Blocks of a chunk.
    int blocks(int chunk) {
        return (width(chunk) + Packing.BLOCK - 1) / Packing.BLOCK;
    }

    /// What a value that meets column `column` of a block is multiplied by, 32 of them: see [Packing#shift].
    float[] factors() {
        float[] factors = new float[Packing.BLOCK];
        for (int column = 0; column < factors.length; column++) factors[column] = Math.scalb(1f, -packing.shift(column));
        return factors;
    }
}
