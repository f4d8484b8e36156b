package rqat.recipe;

import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.quant.Method;
import rqat.train.ChunkedHead;

/// How many bytes the parts of a stage take, from the sizes of the model alone. Each formula counts what the code holds at the same moment:
/// it stands for `rqat.model.Decoder`, `rqat.train.Student` and so on as they are, and changes with them.
///
/// Names in formulas: P parameters, Q of them quantised, h hidden, I intermediate, A query width, K key width, T tokens of a sequence.
///
/// @param config of the model
/// @param width  bytes of a value of the compute dtype
/// @param group  columns that share a scale; 0 for whole rows
record MemoryModel(ModelConfig config, int width, int group) implements Method.Sizes {
    private static final int FLOAT = 4;
    private static final int DOUBLE = 8;
    /// Scores of at most this many pairs of tokens are stored (`rqat.model.Attention`).
    private static final long STORED_SCORES = 1 << 18;
    private static final int CACHE_GRANULE = 64;
    /// The C library maps larger blocks, and gives them back when they are freed (the launcher says from what size on).
    private static final long STORED_BLOCK = 4 << 20;
    /// Of a decoder pass that fills the cache (`rqat.generate.torch.TorchSteps`).
    private static final int PREFILL_TOKENS = 2048;

    long parameters() {
        return config.tensors().values().stream().mapToLong(MemoryModel::size).sum();
    }

    long quantised() {
        long sum = 0;
        for (Linear linear : Linear.values()) sum += (long) config.layers() * matrix(linear);
        return sum;
    }

    long largestTensor() {
        return config.tensors().values().stream().mapToLong(MemoryModel::size).max().orElse(0);
    }

    @Override
    public long largestMap() {
        return Arrays.stream(Linear.values()).mapToLong(this::matrix).max().orElse(0);
    }

    @Override
    public MemoryModel inFloat32() {
        return new MemoryModel(config, FLOAT, 0);
    }

    /// What fitting a grid to a map, or projecting it, holds.
    @Override
    public long fitting() {
        return 6L * FLOAT * largestMap();
    }

    @Override
    public long states(List<int[]> windows) {
        return Method.Sizes.tokens(windows) * config.hiddenSize() * width;
    }

    /// Windows of one length go through a block together, up to a number of tokens.
    @Override
    public long observing(List<int[]> windows) {
        var counts = new TreeMap<Integer, Integer>();
        for (int[] ids : windows) counts.merge(ids.length, 1, Integer::sum);
        long largest = 0;
        for (var entry : counts.entrySet()) {
            int length = entry.getKey();
            long tokens = (long) length * Math.min(entry.getValue(), Math.max(1, PACKED_TOKENS / length));
            largest = Math.max(largest, block(tokens, length) + observing(tokens));
        }
        return largest;
    }

    private long matrix(Linear linear) {
        return (long) config.outputs(linear) * config.inputs(linear);
    }

    private static long size(long[] shape) {
        return Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }

    /// Scales and zero points, float32.
    long grids() {
        long groups = 0;
        for (Linear linear : Linear.values()) {
            groups += (long) config.layers() * config.outputs(linear) * (group == 0 ? 1 : config.inputs(linear) / group);
        }
        return 2 * FLOAT * groups;
    }

    private long queryWidth() {
        return (long) config.heads() * config.headDimension();
    }

    private long keyWidth() {
        return (long) config.keyValueHeads() * config.headDimension();
    }

    /// Temporaries of one block without gradients, all alive at its end, for `tokens` in sequences of `length`.
    @Override
    public long block(long tokens, long length) {
        long h = config.hiddenSize();
        long a = queryWidth();
        long k = keyWidth();
        long norms = 2 * norm(h) + (config.queryKeyNorm() ? norm(a) + norm(k) : 0);
        long values = 3 * (a + k) // rotation
                + a + 2 * k // queries, keys, values
                + attention(length)
                + a + 4 * h // what attention and MLP give, joined with the residual stream
                + 4L * config.intermediateSize();
        return tokens * (norms + width * values);
    }

    /// Per token, in values, without gradients.
    private long attention(long length) {
        long a = queryWidth();
        if (length * length > STORED_SCORES) {
            long values = a + 2 * (config.heads() == config.keyValueHeads() ? 0 : a);
            // The fused kernel computes in float32, so all its inputs and its result exist in both.
            return width == FLOAT ? values : FLOAT / width * values + a + FLOAT / width * (a + 2 * keyWidth());
        }
        return 3 * a + 2 * keyWidth() + 3L * config.heads() * length;
    }

    /// Per token, in bytes: the square and the quotient in float32, and in a narrower dtype the input in float32 and the result rounded.
    private long norm(long size) {
        return size * (width == FLOAT ? 3 * FLOAT : 3 * FLOAT + 2L * width);
    }

    /// What the graph of one block keeps for its backward pass.
    @Override
    public long recorded(long tokens, long length) {
        long h = config.hiddenSize();
        long a = queryWidth();
        long k = keyWidth();
        boolean stored = length * length <= STORED_SCORES;
        long values = 2 * (h + h) // inputs of both norms and of the maps after them
                + (config.queryKeyNorm() ? 2 * (a + k) : 0)
                + (stored ? a + 2 * k + (long) config.heads() * length : FLOAT / width * 4 * a)
                + a
                + 4L * config.intermediateSize();
        long wide = 2 * h * FLOAT * (width == FLOAT ? 1 : 2);
        return tokens * (wide + width * values);
    }

    /// Gradients in flight while one block is taken back.
    @Override
    public long backward(long tokens, long length) {
        boolean stored = length * length <= STORED_SCORES;
        return tokens * width * (3L * config.intermediateSize() + 2L * config.hiddenSize() + (stored ? 2L * config.heads() * length : 2 * queryWidth()));
    }

    /// Inputs of all blocks and of the last norm, and its output.
    long blockInputs(long tokens) {
        return tokens * width * (config.layers() + 2L) * config.hiddenSize();
    }

    /// Logits of one chunk of the head with what the loss makes of them, and gradients of the hidden states of `rows`.
    ///
    /// @param arrays of a number for each logit that live at the same time
    long head(long rows, int arrays) {
        long chunk = Math.min(rows, ChunkedHead.chunkFor(config.vocabularySize()));
        long narrow = width == FLOAT ? 0 : width;
        return chunk * config.vocabularySize() * (arrays * (long) FLOAT + narrow) + 3 * rows * config.hiddenSize() * width
                + (width == FLOAT ? 0 : (long) Math.min(ChunkedHead.GRADIENT_ROWS, config.vocabularySize()) * config.hiddenSize() * (width + FLOAT));
    }

    /// What taking the embedding back makes: a gradient of all its rows, and a copy in float32 to add it.
    long embeddingGradient() {
        return (long) config.vocabularySize() * config.hiddenSize() * (width == FLOAT ? FLOAT : width + FLOAT);
    }

    /// Whether the arrays of one chunk of the head are small enough to come from the allocator's own store, which keeps what is freed.
    boolean keepsLogits(long rows) {
        return isStored(FLOAT * Math.min(rows, ChunkedHead.chunkFor(config.vocabularySize())) * config.vocabularySize());
    }

    /// Whether an array of so many bytes comes from the allocator's own store.
    boolean isStored(long bytes) {
        return bytes < STORED_BLOCK;
    }

    /// Keys and values for `sequences` that grow from `prompt` to `limit` tokens within a budget, while the cache is being enlarged.
    long cache(int sequences, int prompt, int limit, double budgetGib) {
        long position = 2L * config.layers() * keyWidth() * width;
        long budget = (long) (budgetGib * (1L << 30)) / position;
        long slots = 0;
        long capacity = 0;
        long peak = 0;
        for (int length = Math.max(1, prompt); length <= limit; length++) {
            if (length <= capacity) continue;
            // Those that no longer fit leave (`rqat.generate.torch.TorchSteps`).
            long rows = Math.max(1, Math.min(sequences, budget / length));
            long larger = (length + length / 4 + CACHE_GRANULE - 1L) / CACHE_GRANULE * CACHE_GRANULE;
            if (rows * larger > budget) larger = Math.min(larger, budget / rows);
            peak = Math.max(peak, slots * capacity + rows * larger);
            slots = rows;
            capacity = larger;
        }
        return peak * position;
    }

    /// Temporaries of sampling: the larger of filling the cache and of one step of `sequences` with their probabilities.
    long sampling(int sequences, int prompt, int limit) {
        long step = block(sequences, 1) + (long) sequences * queryWidth() * width
                + (long) sequences * config.vocabularySize() * (3L * FLOAT + (width == FLOAT ? 0 : width));
        return Math.max(block(Math.max(prompt, Math.min(PREFILL_TOKENS, (long) sequences * prompt)), prompt), step + (long) sequences * config.heads() * limit * 3 * width);
    }

    /// Inputs of the widest map in float64 and the sum of their products, while calibration text passes through a block.
    @Override
    public long observing(long tokens) {
        long columns = Arrays.stream(Linear.values()).mapToLong(config::inputs).max().orElse(0);
        return DOUBLE * columns * (tokens + columns);
    }

    /// Floating-point operations of a forward pass for one token, without attention's scores.
    double operations() {
        return 2.0 * (quantised() + (double) config.vocabularySize() * config.hiddenSize());
    }

    /// Of these sequences together.
    double operations(List<int[]> sequences) {
        return operations() * sequences.stream().mapToLong(ids -> ids.length).sum();
    }
}
