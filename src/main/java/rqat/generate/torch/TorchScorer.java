package rqat.generate.torch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.Failure;
import rqat.generate.Choice;
import rqat.generate.Scorer;
import rqat.generate.TokenChooser;
import rqat.model.Decoder;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Scores with the decoder of this process: sequences go through it together, padded on the right; logits are made for some rows at a time,
/// so that memory does not grow with tokens times vocabulary. Softmaxes are in float32. Not for several threads at once.
public final class TorchScorer implements Scorer {
    /// Logits held at a time.
    private static final long LOGITS = 1L << 24;

    private final Decoder decoder;
    private final int tokensPerPass;

    /// A scorer over `decoder`, which stays the caller's.
    ///
    /// @param tokensPerPass how many tokens, padding included, go through the decoder together; a longer sequence goes alone
    public TorchScorer(Decoder decoder, int tokensPerPass) {
        this.decoder = decoder;
        this.tokensPerPass = tokensPerPass;
    }

    @Override
    public List<float[]> score(List<int[]> sequences) {
        for (int i = 0; i < sequences.size(); i++) Scorer.check(i, sequences.get(i), decoder.config().maxPositions(), decoder.config().vocabularySize());
        var result = new ArrayList<float[]>(sequences.size());
        for (int from = 0; from < sequences.size(); ) {
            if (Thread.interrupted()) {
                throw Failure.interrupted("interrupted after scoring %d of %d sequences".formatted(from, sequences.size()));
            }
            int end = from + 1;
            int width = sequences.get(from).length;
            while (end < sequences.size()) {
                int wider = Math.max(width, sequences.get(end).length);
                if ((long) wider * (end + 1 - from) > tokensPerPass) break;
                width = wider;
                end++;
            }
            result.addAll(pass(sequences.subList(from, end), width));
            from = end;
        }
        return result;
    }

    private List<float[]> pass(List<int[]> sequences, int width) {
        int[] ids = new int[sequences.size() * width];
        for (int i = 0; i < sequences.size(); i++) {
            System.arraycopy(sequences.get(i), 0, ids, i * width, sequences.get(i).length);
        }
        return Grad.off(() -> Scope.get(() -> {
            Tensor hidden = decoder.hidden(Tensors.of(decoder.place(), ids, sequences.size(), width));
            var result = new ArrayList<float[]>(sequences.size());
            for (int i = 0; i < sequences.size(); i++) result.add(logProbabilities(decoder, hidden.select(0, i), sequences.get(i)));
            return result;
        }));
    }

    /// @param hidden `[T, hidden]`, T at least the length of `tokens`
    private static float[] logProbabilities(Decoder decoder, Tensor hidden, int[] tokens) {
        float[] result = new float[tokens.length - 1];
        for (Rows rows : Rows.of(decoder, tokens)) {
            float[] part = Scope.get(() -> {
                Tensor of = rows.logProbabilities(decoder, hidden);
                return Tensors.floats(of.gather(1, Tensors.of(decoder.place(), rows.targets, rows.count(), 1)));
            });
            System.arraycopy(part, 0, result, rows.from, part.length);
        }
        return result;
    }

    /// As [Scorer#score] for one sequence, with the most probable tokens beside each of its own.
    ///
    /// @param hidden `[T, hidden]`, T at least the length of `tokens` but 1
    static List<Choice> choices(Decoder decoder, Tensor hidden, int[] tokens, int alternatives) {
        var result = new ArrayList<Choice>();
        for (Rows rows : Rows.of(decoder, tokens)) {
            Scope.run(() -> {
                Tensor of = rows.logProbabilities(decoder, hidden);
                float[] chosen = Tensors.floats(of.gather(1, Tensors.of(decoder.place(), rows.targets, rows.count(), 1)));
                for (int row = 0; row < chosen.length; row++) {
                    result.add(new Choice(rows.targets[row], chosen[row], alternatives == 0 ? List.of() : mostProbable(of.select(0, row), alternatives)));
                }
            });
        }
        return result;
    }

    private static List<Choice.Alternative> mostProbable(Tensor logProbabilities, int count) {
        float[] values = Tensors.floats(logProbabilities);
        return Arrays.stream(TokenChooser.mostProbable(Tensors.floats(logProbabilities.exp()), count))
                .mapToObj(id -> new Choice.Alternative(id, values[id]))
                .toList();
    }

    /// Some rows of a sequence whose logits are made together, and the tokens that follow them.
    private record Rows(int from, int[] targets) {
        static List<Rows> of(Decoder decoder, int[] tokens) {
            int chunk = (int) Math.clamp(LOGITS / decoder.config().vocabularySize(), 1, Math.max(1, tokens.length));
            var rows = new ArrayList<Rows>();
            for (int from = 0; from < tokens.length - 1; from += chunk) {
                rows.add(new Rows(from, Arrays.copyOfRange(tokens, from + 1, Math.min(from + 1 + chunk, tokens.length))));
            }
            return rows;
        }

        int count() {
            return targets.length;
        }

        /// `[count, V]`
        Tensor logProbabilities(Decoder decoder, Tensor hidden) {
            return decoder.logits(hidden.narrow(0, from, count())).to(ScalarType.Float).log_softmax(-1);
        }
    }
}
