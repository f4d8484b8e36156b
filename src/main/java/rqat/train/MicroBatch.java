package rqat.train;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import rqat.data.TokenSequence;
import rqat.tensor.Place;
import rqat.tensor.Tensors;

/// Sequences that go through the model together, padded on the right: under causal attention no real token sees the padding.
///
/// @param sequences at least one
public record MicroBatch(List<TokenSequence> sequences) {

    /// Cuts the sequences of an optimiser step into micro-batches of at most `size`, longest first, so that neighbours are of similar
    /// length and a step that does not fit in memory fails at once. The order is a pure function of the sequences (ties keep theirs).
    public static List<MicroBatch> cut(List<TokenSequence> sequences, int size) {
        if (size < 1) throw new IllegalArgumentException("micro-batch of %d sequences; expected at least 1".formatted(size));
        var sorted = new ArrayList<>(sequences);
        sorted.sort(Comparator.comparingInt(sequence -> -sequence.ids().length));
        var result = new ArrayList<MicroBatch>();
        for (int from = 0; from < sorted.size(); from += size) {
            result.add(new MicroBatch(List.copyOf(sorted.subList(from, Math.min(sorted.size(), from + size)))));
        }
        return result;
    }

    /// The longest sequence.
    public int length() {
        return sequences.stream().mapToInt(sequence -> sequence.ids().length).max().orElseThrow();
    }

    /// Number of predictions that the loss counts.
    public int lossTokens() {
        return sequences.stream().mapToInt(TokenSequence::lossTokens).sum();
    }

    /// Number of tokens without padding.
    public long tokens() {
        return sequences.stream().mapToLong(sequence -> sequence.ids().length).sum();
    }

    /// Ids `[sequences, length]`, int64, padded with 0.
    public Tensor ids(Place place) {
        int length = length();
        int[] ids = new int[sequences.size() * length];
        for (int i = 0; i < sequences.size(); i++) {
            int[] row = sequences.get(i).ids();
            System.arraycopy(row, 0, ids, i * length, row.length);
        }
        return Tensors.of(place, ids, sequences.size(), length);
    }

    /// The positions whose prediction the loss counts, as indices into the flattened `[sequences * length]` hidden states, int64: that of
    /// token `t` is made at position `t - 1`.
    public Tensor lossRows(Place place) {
        int length = length();
        int[] rows = new int[lossTokens()];
        int count = 0;
        for (int i = 0; i < sequences.size(); i++) {
            boolean[] inLoss = sequences.get(i).inLoss();
            for (int t = 1; t < inLoss.length; t++) {
                if (inLoss[t]) rows[count++] = i * length + t - 1;
            }
        }
        return Tensors.of(place, rows, count);
    }

    /// The tokens to predict at [#lossRows], int64.
    public Tensor targets(Place place) {
        int[] targets = new int[lossTokens()];
        int count = 0;
        for (TokenSequence sequence : sequences) {
            for (int t = 1; t < sequence.ids().length; t++) {
                if (sequence.inLoss()[t]) targets[count++] = sequence.ids()[t];
            }
        }
        return Tensors.of(place, Arrays.copyOf(targets, count), count);
    }
}
