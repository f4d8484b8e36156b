package rqat.engine;

import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.engine.PackedModel.Block;
import rqat.model.ModelConfig;

/// The forward pass of [PackedModel]: rows of tokens, each of some sequence at some position, go through the blocks together, and leave their keys and values in the cache. Which rows share a pass makes no
/// difference to any of them.
final class PackedDecoder {
    /// Rows of a pass at most: of more, the activations of a panel would not stay near the processor.
    static final int ROWS = 128;

    private final PackedModel model;
    private final ModelConfig config;
    private final PagedCache cache;
    private final Workers workers;
    private final PackedMatrix.Scratch[] scratch;
    private final PagedCache.Scratch[] attention;
    private final float[] frequencies;
    private final Activations[] inputs = {new Activations(), new Activations(), new Activations()};
    private final Readers head;
    private final int hiddenWidth;
    private final int queryWidth;
    private final int keyWidth;
    private final int gateWidth;

    private float[] residual = {};
    private float[] normed = {};
    private float[] queries = {};
    private float[] keys = {};
    private float[] values = {};
    private float[] attended = {};
    private float[] gate = {};
    private float[] up = {};
    private float[] out = {};
    private float[] cosines = {};
    private float[] sines = {};

    /// A token at its place.
    record Row(int token, PagedCache.Sequence sequence, int position) {}

    PackedDecoder(PackedModel model, PagedCache cache) {
        this.model = model;
        this.config = model.config();
        this.cache = cache;
        this.workers = model.workers();
        this.scratch = new PackedMatrix.Scratch[workers.threads()];
        for (int i = 0; i < scratch.length; i++) scratch[i] = new PackedMatrix.Scratch();
        this.attention = new PagedCache.Scratch[workers.threads()];
        for (int i = 0; i < attention.length; i++) attention[i] = cache.new Scratch();
        this.frequencies = config.rope().inverseFrequencies(config.headDimension());
        this.head = new Readers(model.head());
        Block block = model.blocks().getFirst();
        this.hiddenWidth = block.output().matrix(0).width();
        this.queryWidth = block.attention().matrix(0).width();
        this.keyWidth = block.attention().matrix(1).width();
        this.gateWidth = block.mlp().matrix(0).width();
    }

    /// Final hidden states, row `r` from `r * hiddenWidth()` on, of rows whose sequences have pages for them; rows of one sequence follow each other in the order of their positions, from the first
    /// that is not cached yet. Valid until the next call.
    ///
    /// @param rows at most [#ROWS]
    float[] hidden(List<Row> rows) {
        int count = rows.size();
        reserve(rows);
        for (int i = 0; i < count; i++) System.arraycopy(model.embedding(rows.get(i).token), 0, residual, i * hiddenWidth, config.hiddenSize());
        for (int layer = 0; layer < config.layers(); layer++) {
            attention(layer, rows);
            mlp(model.blocks().get(layer), count);
        }
        for (Row row : rows) row.sequence.length = Math.max(row.sequence.length, row.position + 1);
        workers.run(count, (row, _) -> VectorMath.norm(residual, row * hiddenWidth, model.finalNorm(), config.normEpsilon(), normed, row * hiddenWidth));
        return normed;
    }

    /// From one row of hidden states to the next.
    int hiddenWidth() {
        return hiddenWidth;
    }

    /// Logits of some rows of hidden states: those of the i-th from `i * logitsWidth()` on. Valid until the next call.
    float[] logits(float[] hidden, int[] rows) {
        head.reserve(inputs, rows.length);
        workers.run(rows.length, (i, _) -> head.set(inputs, i, hidden, rows[i] * hiddenWidth));
        if (out.length < rows.length * logitsWidth()) out = new float[rows.length * logitsWidth()];
        PackedMatrix matrix = head.matrix(0);
        workers.run(matrix.panels(), (panel, worker) -> matrix.multiply(panel, inputs[0], rows.length, out, 0, logitsWidth(), scratch[worker]));
        return out;
    }

    int logitsWidth() {
        return head.matrix(0).width();
    }

    private void reserve(List<Row> rows) {
        int count = rows.size();
        if (residual.length < count * hiddenWidth) {
            residual = new float[count * hiddenWidth];
            normed = new float[count * hiddenWidth];
            queries = new float[count * queryWidth];
            keys = new float[count * keyWidth];
            values = new float[count * keyWidth];
            attended = new float[count * queryWidth];
            gate = new float[count * gateWidth];
            up = new float[count * gateWidth];
            cosines = new float[count * frequencies.length];
            sines = new float[count * frequencies.length];
        }
        if (out.length < count * hiddenWidth) out = new float[count * hiddenWidth];
        int longest = 0;
        for (Row row : rows) longest = Math.max(longest, row.position + 1);
        for (PagedCache.Scratch scratch : attention) scratch.reserve(longest);
        float factor = (float) config.rope().attentionFactor();
        for (int i = 0; i < count; i++) {
            for (int j = 0; j < frequencies.length; j++) {
                float angle = rows.get(i).position * frequencies[j];
                cosines[i * frequencies.length + j] = (float) Math.cos(angle) * factor;
                sines[i * frequencies.length + j] = (float) Math.sin(angle) * factor;
            }
        }
    }

    private void attention(int layer, List<Row> rows) {
        Block block = model.blocks().get(layer);
        int count = rows.size(), width = config.headDimension(), shared = config.heads() / config.keyValueHeads();
        normInto(block.attention(), block.attentionNorm(), count);
        Readers maps = block.attention();
        int queryPanels = maps.matrix(0).panels(), keyPanels = maps.matrix(1).panels();
        workers.run(queryPanels + 2 * keyPanels, (task, worker) -> {
            if (task < queryPanels) multiply(maps, 0, task, count, queries, block.queryBias(), worker);
            else if (task < queryPanels + keyPanels) multiply(maps, 1, task - queryPanels, count, keys, block.keyBias(), worker);
            else multiply(maps, 2, task - queryPanels - keyPanels, count, values, block.valueBias(), worker);
        });
        float factor = (float) (1 / Math.sqrt(width));
        workers.run(config.keyValueHeads(), (head, _) -> {
            for (int i = 0; i < count; i++) {
                int at = i * keyWidth + head * width;
                turn(keys, at, i, block.keyNorm(), 1);
                cache.store(rows.get(i).sequence, layer, head, rows.get(i).position, keys, at, values, at);
                for (int query = head * shared; query < (head + 1) * shared; query++) turn(queries, i * queryWidth + query * width, i, block.queryNorm(), factor);
            }
        });
        workers.run(count * config.heads(), (task, worker) -> {
            int i = task / config.heads(), head = task % config.heads(), at = i * queryWidth + head * width;
            Row row = rows.get(i);
            cache.attend(row.sequence, layer, head / shared, row.position + 1, queries, at, attended, at, attention[worker]);
        });
        addProduct(block.output(), block.outputBias(), attended, queryWidth, count);
    }

    private void mlp(Block block, int count) {
        normInto(block.mlp(), block.mlpNorm(), count);
        workers.run(block.mlp().matrix(0).panels(), (panel, worker) -> {
            multiply(block.mlp(), 0, panel, count, gate, block.gateBias(), worker);
            multiply(block.mlp(), 1, panel, count, up, block.upBias(), worker);
            for (int row = 0; row < count; row++) VectorMath.gated(gate, up, row * gateWidth + panel * Kernels.PANEL, Kernels.PANEL);
        });
        addProduct(block.down(), block.downBias(), gate, gateWidth, count);
    }

    private void normInto(Readers readers, float[] weight, int count) {
        readers.reserve(inputs, count);
        workers.run(count, (row, _) -> {
            VectorMath.norm(residual, row * hiddenWidth, weight, config.normEpsilon(), normed, row * hiddenWidth);
            readers.set(inputs, row, normed, row * hiddenWidth);
        });
    }

    /// Adds the product of a map with rows of `from` to the residual stream.
    private void addProduct(Readers map, float @Nullable [] bias, float[] from, int stride, int count) {
        map.reserve(inputs, count);
        workers.run(count, (row, _) -> map.set(inputs, row, from, row * stride));
        workers.run(map.matrix(0).panels(), (panel, worker) -> {
            multiply(map, 0, panel, count, out, bias, worker);
            for (int row = 0; row < count; row++) {
                int at = row * hiddenWidth + panel * Kernels.PANEL;
                Kernels.add(out, at, residual, at);
            }
        });
    }

    private void multiply(Readers maps, int index, int panel, int count, float[] into, float @Nullable [] bias, int worker) {
        PackedMatrix matrix = maps.matrix(index);
        matrix.multiply(panel, maps.of(inputs, index), count, into, 0, matrix.width(), scratch[worker]);
        if (bias == null) return;
        int first = panel * Kernels.PANEL, end = Math.min(first + Kernels.PANEL, matrix.rows());
        for (int row = 0; row < count; row++) {
            for (int i = first; i < end; i++) into[row * matrix.width() + i] += bias[i];
        }
    }

    /// Norms one head where the family does, turns it by its position, and multiplies it by `factor`.
    private void turn(float[] x, int at, int row, float @Nullable [] norm, float factor) {
        if (norm != null) VectorMath.norm(x, at, norm, config.normEpsilon(), x, at);
        int half = frequencies.length;
        for (int i = 0; i < half; i++) {
            float cosine = cosines[row * half + i], sine = sines[row * half + i], a = x[at + i], b = x[at + half + i];
            x[at + i] = (a * cosine - b * sine) * factor;
            x[at + half + i] = (b * cosine + a * sine) * factor;
        }
    }
}
