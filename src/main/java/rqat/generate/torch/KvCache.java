package rqat.generate.torch;

import java.util.Arrays;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.model.Attention;
import rqat.model.ModelConfig;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import rqat.tensor.Torch;

/// Keys and values of the sequences in flight: sequence `s` owns slot `s`, position `t` of its tokens lies at `[.., s, .., t, :]`. Slots
/// are dense: the active sequences are always slots 0 to n-1, so a step reads one view and never gathers.
///
/// Storage is one tensor `[2, layers, slots, K, capacity, D]` (keys, values), reallocated when more is needed, by at least a quarter so that
/// growing token by token costs little. Shapes as in [Attention].
final class KvCache implements AutoCloseable {
    private static final int GRANULE = 64;

    private final ModelConfig config;
    private final Place place;
    private final long tokenBudget;
    private @Nullable Tensor storage;
    private long slots;
    private long capacity;

    /// An empty cache that never holds more than `tokenBudget` positions in all (twice that while it is being reallocated).
    KvCache(ModelConfig config, Place place, long tokenBudget) {
        this.config = config;
        this.place = place;
        this.tokenBudget = tokenBudget;
    }

    /// Makes room for `rows` slots of `length` positions, keeping what the first `kept` slots hold. The product must be within the budget.
    void reserve(int rows, int length, int kept) {
        if ((long) rows * length > tokenBudget) {
            throw new IllegalArgumentException("%d slots of %d positions in a cache of %d".formatted(rows, length, tokenBudget));
        }
        if (rows <= slots && length <= capacity) return;
        long newSlots = Math.max(rows, slots);
        long newCapacity = length <= capacity ? capacity : (length + length / 4 + GRANULE - 1) / GRANULE * GRANULE;
        if (newSlots * newCapacity > tokenBudget) {
            newSlots = rows;
            newCapacity = Math.min(newCapacity, tokenBudget / rows);
        }
        long[] shape = {2, config.layers(), newSlots, config.keyValueHeads(), newCapacity, config.headDimension()};
        // Zeros: masked positions are multiplied by probability 0, which would let a NaN of uninitialised memory through.
        Tensor larger = Scope.own(() -> Tensors.zeros(place, shape));
        Tensor old = storage;
        if (old != null) {
            long held = Math.min(capacity, newCapacity);
            Scope.run(() -> larger.narrow(2, 0, kept).narrow(4, 0, held).copy_(old.narrow(2, 0, kept).narrow(4, 0, held)));
            old.close();
        }
        storage = larger;
        slots = newSlots;
        capacity = newCapacity;
    }

    /// How many positions there is room for, over all slots.
    long positions() {
        return slots * capacity;
    }

    /// Copies the first `length` positions of slot `from` to slot `to`.
    void copy(int from, int to, int length) {
        Scope.run(() -> storage()
                .select(2, to)
                .narrow(3, 0, length)
                .copy_(storage().select(2, from).narrow(3, 0, length)));
    }

    /// Fills slot `slot` with zeros.
    void clear(int slot) {
        Scope.run(() -> storage().select(2, slot).zero_());
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
        layer(which, layer).narrow(0, firstSlot, x.size(0)).narrow(2, 0, x.size(2)).copy_(x);
    }

    /// Attention for one new token in each of the slots `0 .. positions.length - 1`, whose place is `positions` of its sequence.
    Attention decode(int[] positions) {
        int rows = positions.length, heads = config.keyValueHeads();
        int longest = Arrays.stream(positions).max().orElseThrow() + 1;
        long width = config.headDimension();
        long[] places = new long[rows * heads];
        boolean[] visible = new boolean[rows * longest];
        for (int row = 0; row < rows; row++) {
            for (int head = 0; head < heads; head++) places[row * heads + head] = (row * heads + head) * capacity + positions[row];
            Arrays.fill(visible, row * longest, row * longest + positions[row] + 1, true);
        }
        Tensor into = Tensors.of(place, places, places.length);
        Attention overAll = over(Tensors.of(place, visible, rows, 1, 1, longest));
        return (layer, queries, keys, values) -> {
            Tensor allKeys = layer(0, layer), allValues = layer(1, layer);
            allKeys.view(-1, width).index_copy_(0, into, keys.reshape(-1, width));
            allValues.view(-1, width).index_copy_(0, into, values.reshape(-1, width));
            return overAll.attend(
                    layer, queries, allKeys.narrow(0, 0, rows).narrow(2, 0, longest), allValues.narrow(0, 0, rows).narrow(2, 0, longest));
        };
    }

    /// Attention of one query a sequence to the keys that `mask [B, 1, 1, T]` shows. In float32 the fused kernel is the fastest, with the
    /// `H / K` query heads that share a key-value head as the query rows of one attention, so that nothing is repeated; in bfloat16 it
    /// is several times slower than plain products, and under [Torch.Compute#FAST_FLOAT32] slower still.
    private Attention over(Tensor mask) {
        if (place.type() != ScalarType.Float) return Attention.masked(mask);
        Tensor additive = Tensors.zerosLike(mask, place.type())
                .masked_fill_(mask.logical_not(), new Scalar(Double.NEGATIVE_INFINITY));
        return (_, queries, keys, values) -> {
            long rows = queries.size(0), heads = keys.size(1), width = queries.size(3);
            return torch.scaled_dot_product_attention(
                            queries.reshape(rows, heads, -1, width),
                            keys,
                            values,
                            Tensors.optional(additive),
                            0.0,
                            false,
                            new DoubleOptional(),
                            false)
                    .reshape(rows, -1, 1, width);
        };
    }

    /// The keys (0) or values (1) of one layer, `[slots, K, capacity, D]`.
    private Tensor layer(int which, int layer) {
        return storage().select(0, which).select(0, layer);
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
