package rqat.generate;

import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.model.Attention;
import rqat.model.ModelConfig;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Keys and values of the sequences in flight: sequence `s` owns slot `s`, position `t` of its tokens lies at `[.., s, t, ..]`. Slots are
/// dense: the active sequences are always slots 0 to n-1, so a step reads one view and never gathers.
///
/// Storage is one tensor `[2, layers, slots, capacity, K, D]` (keys, values), reallocated when more is needed, by at least a quarter so that
/// growing token by token costs little. Shapes as in [Attention].
final class KvCache implements AutoCloseable {
    private static final int GRANULE = 64;

    private final ModelConfig config;
    private final ScalarType type;
    private final long tokenBudget;
    private @Nullable Tensor storage;
    private long slots;
    private long capacity;

    /// An empty cache that never holds more than `tokenBudget` positions in all (twice that while it is being reallocated).
    KvCache(ModelConfig config, ScalarType type, long tokenBudget) {
        this.config = config;
        this.type = type;
        this.tokenBudget = tokenBudget;
    }

    /// Makes room for `rows` slots of `length` positions, keeping what the first `kept` slots hold. The product must be within the budget.
    void reserve(int rows, int length, int kept) {
        if (rows <= slots && length <= capacity) return;
        long newSlots = Math.max(rows, slots);
        long newCapacity = length <= capacity ? capacity : (length + length / 4 + GRANULE - 1) / GRANULE * GRANULE;
        if (newSlots * newCapacity > tokenBudget) {
            newSlots = rows;
            newCapacity = Math.min(newCapacity, tokenBudget / rows);
        }
        long[] shape = {2, config.layers(), newSlots, newCapacity, config.keyValueHeads(), config.headDimension()};
        // Zeros: masked positions are multiplied by probability 0, which would let a NaN of uninitialised memory through.
        Tensor larger = Scope.own(() -> Tensors.zeros(type, shape));
        Tensor old = storage;
        if (old != null) {
            long held = Math.min(capacity, newCapacity);
            Scope.run(() -> larger.narrow(2, 0, kept).narrow(3, 0, held).copy_(old.narrow(2, 0, kept).narrow(3, 0, held)));
            old.close();
        }
        storage = larger;
        slots = newSlots;
        capacity = newCapacity;
    }

    /// Copies the first `length` positions of slot `from` to slot `to`.
    void copy(int from, int to, int length) {
        Scope.run(() -> storage()
                .select(2, to)
                .narrow(2, 0, length)
                .copy_(storage().select(2, from).narrow(2, 0, length)));
    }

    /// Attention for whole sequences, right-padded, that fill the slots from `firstSlot` on. What padding leaves behind is never seen.
    Attention prefill(int firstSlot) {
        return (layer, queries, keys, values) -> {
            store(0, layer, firstSlot, keys);
            store(1, layer, firstSlot, values);
            return Attention.CAUSAL.attend(layer, queries, keys, values);
        };
    }

    private void store(int which, int layer, int firstSlot, Tensor x) {
        storage()
                .select(0, which)
                .select(0, layer)
                .narrow(0, firstSlot, x.size(0))
                .narrow(1, 0, x.size(2))
                .copy_(x.transpose(1, 2));
    }

    /// Attention for one new token in each of the slots `0 .. positions.length - 1`, whose place is `positions` of its sequence.
    ///
    /// The `H / K` query heads that share a key-value head become the query rows of one attention over that head, so keys and values are
    /// read once and never repeated.
    Attention decode(int[] positions) {
        long rows = positions.length, longest = 0;
        long[] places = new long[positions.length];
        for (int row = 0; row < positions.length; row++) {
            places[row] = row * capacity + positions[row];
            longest = Math.max(longest, positions[row] + 1);
        }
        long length = longest, heads = config.keyValueHeads(), width = config.headDimension(), perToken = heads * width;
        Tensor place = Tensors.of(places, rows);
        Tensor visible = Tensors.range(0, length).le(Tensors.of(positions, rows, 1));
        Tensor mask = torch.where(visible, new Scalar(0.0), new Scalar(Double.NEGATIVE_INFINITY))
                .to(type)
                .view(rows, 1, 1, length);
        TensorOptional optionalMask = Tensors.optional(mask);
        DoubleOptional defaultScale = new DoubleOptional();
        long[] flat = {slots * capacity, perToken}, flatStrides = {perToken, 1};
        long[] view = {rows, heads, length, width}, viewStrides = {capacity * perToken, width, perToken, 1};
        return (layer, queries, keys, values) -> {
            Tensor allKeys = storage().select(0, 0).select(0, layer);
            Tensor allValues = storage().select(0, 1).select(0, layer);
            allKeys.view(flat).index_copy_(0, place, keys.reshape(rows, perToken));
            allValues.view(flat).index_copy_(0, place, values.reshape(rows, perToken));
            return torch.scaled_dot_product_attention(
                            queries.reshape(rows, heads, queries.size(1) / heads, width),
                            allKeys.narrow(0, 0, rows).narrow(1, 0, length).transpose(1, 2),
                            allValues.narrow(0, 0, rows).narrow(1, 0, length).transpose(1, 2),
                            optionalMask,
                            0.0,
                            false,
                            defaultScale,
                            false)
                    .reshape(rows, queries.size(1), 1, width);
        };
    }

    @Override
    public void close() {
        if (storage != null) storage.close();
        storage = null;
    }

    private Tensor storage() {
        if (storage == null) throw new IllegalStateException("nothing reserved");
        return storage;
    }
}
