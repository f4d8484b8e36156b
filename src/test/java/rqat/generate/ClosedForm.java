package rqat.generate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import rqat.run.RandomStream;
import rqat.run.Seeds;

/// A model whose next-token distribution is a function of the whole sequence before it, so that whoever mixes up two sequences, forgets a token
/// or decodes one twice gets other tokens; no tensors. Checks what a [StepModel] may expect of its user.
final class ClosedForm implements StepModel {
    private final int vocabulary;
    private final int positions;
    private final long capacity;
    private final List<List<Integer>> slots = new ArrayList<>();

    /// First tokens of sequences whose logits are not finite.
    final List<Integer> undefined = new ArrayList<>();

    /// What happened, in order: sequences that entered, as their tokens; those that were copies begin with `=`; `-SLOT` left.
    final List<String> history = new ArrayList<>();

    int rounds;
    int scoredTokens;
    int mostRows;
    boolean closed;
    @Nullable RuntimeException breaks;

    ClosedForm(int vocabulary, int positions, long capacity) {
        this.vocabulary = vocabulary;
        this.positions = positions;
        this.capacity = capacity;
    }

    /// The softmax of the logits after `sequence`, divided by `divisor`.
    static float[] row(List<Integer> sequence, int vocabulary, double divisor) {
        long seed = 1;
        for (int token : sequence) seed = Seeds.mix(seed, token);
        var random = new RandomStream(seed);
        double[] weights = new double[vocabulary];
        double sum = 0;
        for (int id = 0; id < vocabulary; id++) sum += weights[id] = Math.exp(1.5 * random.nextGaussian() / divisor);
        float[] row = new float[vocabulary];
        for (int id = 0; id < vocabulary; id++) row[id] = (float) (weights[id] / sum);
        return row;
    }

    @Override
    public int vocabularySize() {
        return vocabulary;
    }

    @Override
    public int maxPositions() {
        return positions;
    }

    @Override
    public long capacity() {
        return capacity;
    }

    @Override
    public boolean fits(int... lengths) {
        return (long) lengths.length * Arrays.stream(lengths).max().orElse(0) <= capacity;
    }

    @Override
    public List<List<Choice>> enter(List<Entry> entries) {
        if (breaks != null) throw breaks;
        var scores = new ArrayList<List<Choice>>();
        for (Entry entry : entries) {
            List<Integer> cached = boxed(Arrays.copyOf(entry.tokens(), entry.length()));
            if (entry.like() >= 0 && !slots.get(entry.like()).subList(0, entry.length()).equals(cached)) {
                throw new AssertionError("slot %d begins with %s, not with %s".formatted(entry.like(), slots.get(entry.like()), cached));
            }
            if (entry.like() >= 0 && entry.scored()) throw new AssertionError("a copy cannot be scored");
            history.add((entry.like() < 0 ? "" : "=") + cached);
            slots.add(new ArrayList<>(cached));
            scores.add(entry.scored() ? scores(entry) : List.of());
        }
        check();
        return scores;
    }

    private List<Choice> scores(Entry entry) {
        var choices = new ArrayList<Choice>();
        for (int t = 1; t <= entry.length(); t++) {
            float[] row = row(boxed(Arrays.copyOf(entry.tokens(), t)), vocabulary, 1);
            var alternatives = Arrays.stream(TokenChooser.mostProbable(row, entry.alternatives()))
                    .mapToObj(id -> new Choice.Alternative(id, (float) Math.log(row[id])))
                    .toList();
            choices.add(new Choice(entry.tokens()[t], (float) Math.log(row[entry.tokens()[t]]), alternatives));
        }
        scoredTokens += choices.size();
        return choices;
    }

    private void check() {
        int[] lengths = slots.stream().mapToInt(List::size).toArray();
        if (!fits(lengths)) throw new AssertionError("%s positions in a cache of %d".formatted(Arrays.toString(lengths), capacity));
    }

    @Override
    public @Nullable Choice[] decode(int[] tokens, Draw[] draws) {
        if (breaks != null) throw breaks;
        if (tokens.length != slots.size() || draws.length != slots.size()) {
            throw new AssertionError("%d tokens for %d slots".formatted(tokens.length, slots.size()));
        }
        rounds++;
        mostRows = Math.max(mostRows, tokens.length);
        var choices = new @Nullable Choice[tokens.length];
        for (int slot = 0; slot < tokens.length; slot++) {
            List<Integer> sequence = slots.get(slot);
            sequence.add(tokens[slot]);
            float[] row = row(sequence, vocabulary, draws[slot].sampling().divisor());
            if (undefined.contains(sequence.getFirst())) Arrays.fill(row, Float.NaN);
            choices[slot] = TokenChooser.choose(draws[slot], row);
        }
        check();
        return choices;
    }

    @Override
    public void leave(int slot) {
        history.add("-" + slot);
        List<Integer> last = slots.removeLast();
        if (slot < slots.size()) slots.set(slot, last);
    }

    @Override
    public void close() {
        closed = true;
    }

    static List<Integer> boxed(int[] tokens) {
        return Arrays.stream(tokens).boxed().toList();
    }
}
