package rqat.generate.torch;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.generate.Choice;
import rqat.generate.StepModel;
import rqat.generate.TokenChooser;
import rqat.model.Decoder;
import rqat.model.ModelConfig;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// The decoder on libtorch, a step at a time, over a dense cache of keys and values. Sequences that enter go through the decoder together, padded
/// on the right; those that begin alike share the computation, their keys and values are copied. Softmaxes are in float32; tokens are
/// chosen on the host.
public final class TorchSteps implements StepModel {
    /// Tokens per prefill pass, padding included. More would not be faster, only need more memory.
    private static final int PREFILL_TOKENS = 2048;

    private final Decoder decoder;
    private final long capacity;
    private final KvCache cache;
    private final float[] probabilities;
    /// Positions that slot `s` has cached; slots `0` to `slots - 1` are in use.
    private int[] held = new int[16];
    private int slots;
    /// Slots whose keys and values may not be finite.
    private final BitSet broken = new BitSet();

    /// Steps of `decoder`, which stays the caller's and whose weights must not change meanwhile.
    ///
    /// @param capacity positions that the cache may hold, over all sequences; each takes `2 * layers * kvHeads * headDimension` values
    public TorchSteps(Decoder decoder, long capacity) {
        this.decoder = decoder;
        this.capacity = capacity;
        this.cache = new KvCache(decoder.config(), decoder.place(), capacity);
        this.probabilities = new float[decoder.config().vocabularySize()];
    }

    /// Steps with a cache of as many positions as fit in `cacheGib` GiB, in the dtype of the weights.
    public static TorchSteps within(Decoder decoder, double cacheGib) {
        ModelConfig config = decoder.config();
        long values = 2L * config.layers() * config.keyValueHeads() * config.headDimension();
        long bytes = values * decoder.weights().get(ModelConfig.EMBEDDING).element_size();
        return new TorchSteps(decoder, (long) (cacheGib * (1L << 30)) / bytes);
    }

    @Override
    public int vocabularySize() {
        return decoder.config().vocabularySize();
    }

    @Override
    public int maxPositions() {
        return decoder.config().maxPositions();
    }

    @Override
    public long capacity() {
        return capacity;
    }

    @Override
    public boolean fits(int... lengths) {
        return (long) lengths.length * longest(lengths) <= capacity;
    }

    private static int longest(int... lengths) {
        return Arrays.stream(lengths).max().orElse(0);
    }

    @Override
    public List<List<Choice>> enter(List<Entry> entries) {
        int first = slots;
        slots += entries.size();
        if (slots > held.length) held = Arrays.copyOf(held, Math.max(slots, 2 * held.length));
        for (int i = 0; i < entries.size(); i++) held[first + i] = entries.get(i).length();
        var scores = new ArrayList<List<Choice>>(entries.size());
        Grad.off(() -> {
            cache.reserve(slots, longest(Arrays.copyOf(held, slots)) + 1, first);
            for (int from = 0; from < entries.size(); ) {
                Entry entry = entries.get(from);
                if (entry.like() < 0) {
                    int end = passEnd(entries, from);
                    scores.addAll(prefill(entries.subList(from, end), first + from));
                    from = end;
                } else {
                    cache.copy(entry.like(), first + from, entry.length());
                    broken.set(first + from, broken.get(entry.like()));
                    scores.add(List.of());
                    from++;
                }
            }
        });
        return scores;
    }

    /// The end of the entries from `from` on that go through the decoder together.
    private static int passEnd(List<Entry> entries, int from) {
        int width = 0, end = from;
        while (end < entries.size() && entries.get(end).like() < 0) {
            int wider = Math.max(width, entries.get(end).length());
            if (end > from && (long) wider * (end + 1 - from) > PREFILL_TOKENS) break;
            width = wider;
            end++;
        }
        return end;
    }

    private List<List<Choice>> prefill(List<Entry> entries, int firstSlot) {
        int rows = entries.size();
        int columns = entries.stream().mapToInt(Entry::length).max().orElseThrow();
        var scores = new ArrayList<List<Choice>>(rows);
        if (columns == 0) {
            entries.forEach(_ -> scores.add(List.of()));
            return scores;
        }
        int[] ids = new int[rows * columns];
        for (int row = 0; row < rows; row++) {
            System.arraycopy(entries.get(row).tokens(), 0, ids, row * columns, entries.get(row).length());
        }
        Scope.run(() -> {
            Tensor hidden = decoder.hidden(
                    Tensors.of(decoder.place(), ids, rows, columns), Tensors.range(decoder.place(), 0, columns).unsqueeze(0), cache.prefill(firstSlot));
            for (int row = 0; row < rows; row++) {
                Entry entry = entries.get(row);
                int[] scored = entry.scored() ? Arrays.copyOf(entry.tokens(), entry.length() + 1) : new int[0];
                scores.add(TorchScorer.choices(decoder, hidden.select(0, row), scored, entry.alternatives()));
            }
        });
        return scores;
    }

    @Override
    public @Nullable Choice[] decode(int[] tokens, Draw[] draws) {
        int rows = tokens.length;
        int[] positions = Arrays.copyOf(held, rows);
        var choices = new @Nullable Choice[rows];
        Grad.off(() -> Scope.run(() -> {
            cache.reserve(rows, longest(positions) + 1, rows);
            Tensor hidden = decoder.hidden(Tensors.of(decoder.place(), tokens, rows, 1), Tensors.of(decoder.place(), positions, rows, 1), cache.decode(positions));
            Tensor logits = decoder.logits(hidden).to(ScalarType.Float);
            MemorySegment rowsOfProbabilities = Tensors.bytes(tempered(logits, draws).softmax(-1));
            for (int slot = 0; slot < rows; slot++) {
                MemorySegment.copy(
                        rowsOfProbabilities,
                        ValueLayout.JAVA_FLOAT,
                        4L * slot * probabilities.length,
                        probabilities,
                        0,
                        probabilities.length);
                choices[slot] = TokenChooser.choose(draws[slot], probabilities);
                if (choices[slot] == null) broken.set(slot);
                held[slot]++;
            }
        }));
        return choices;
    }

    /// Logits `[rows, 1, V]`, each row divided by its temperature. A row's bits are the same whether others have its temperature or not.
    private static Tensor tempered(Tensor logits, Draw[] draws) {
        double first = draws[0].sampling().divisor();
        float[] divisors = new float[draws.length];
        boolean equal = true;
        for (int row = 0; row < draws.length; row++) {
            double divisor = draws[row].sampling().divisor();
            divisors[row] = (float) divisor;
            equal &= divisor == first;
        }
        if (equal) return first == 1 ? logits : logits.div(new Scalar(first));
        return logits.div(Tensors.of(Place.of(logits), divisors, draws.length, 1, 1));
    }

    @Override
    public void leave(int slot) {
        int last = --slots;
        Grad.off(() -> {
            clear(slot);
            if (slot == last) return;
            cache.copy(last, slot, held[last]);
            held[slot] = held[last];
            broken.set(slot, broken.get(last));
            clear(last);
        });
    }

    /// Wipes a slot that held what is not finite: masked positions are multiplied by probability 0, which gives NaN for them.
    private void clear(int slot) {
        if (!broken.get(slot)) return;
        cache.clear(slot);
        broken.clear(slot);
    }

    @Override
    public void close() {
        cache.close();
    }
}
