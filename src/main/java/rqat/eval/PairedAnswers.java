package rqat.eval;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/// What a model changed about the answers of another, usually of the full-precision model: the same problem, the same seed, one answer of
/// each. Equal accuracies can hide many answers lost and as many won, and equal accuracy at twice the length is no equal model.
///
/// Whether the flips have a direction is McNemar's test in its exact form: if losing and winning were equally likely, the flips would divide
/// like throws of a fair coin. It takes answers as independent; several samples of one problem are not quite, so where problems are
/// sampled several times it is a little too sure (for averages over tasks with the noise of seeds see [Comparison]).
///
/// @param task        the task, or [#ALL]
/// @param pairs       answers that both models gave
/// @param alone       answers of either model that the other has no partner for, left out
/// @param lost        right in the reference, wrong now
/// @param won         wrong in the reference, right now
/// @param inflation   tokens of all paired answers over the tokens of the reference's; null where nothing was written (a choice)
/// @param probability two-sided, of a division of the flips at least as uneven
public record PairedAnswers(String task, int pairs, int alone, int lost, int won, @Nullable Double inflation, double probability) {
    /// The name of the sum over tasks.
    public static final String ALL = "all";

    private record Key(@Nullable Long seed, String id) {}

    /// For each task that both have, in the order of the reference, and, if there are several, for all together; nothing where no answers pair.
    /// Two answers pair when task, seed, example and reference answer are the same; texts that were read have none.
    ///
    /// @param reference samples of the model that is compared with
    /// @param samples   of the model in question
    public static List<PairedAnswers> of(List<Sample> reference, List<Sample> samples) {
        SequencedMap<String, Map<Key, Sample>> expected = byTask(reference);
        SequencedMap<String, Map<Key, Sample>> given = byTask(samples);
        var found = new ArrayList<PairedAnswers>();
        var sum = new Count();
        expected.forEach((task, references) -> {
            Map<Key, Sample> answers = given.get(task);
            if (answers == null) return;
            var count = new Count();
            references.forEach((key, before) -> {
                Sample after = answers.get(key);
                if (after != null && after.gold().equals(before.gold())) count.add(before, after);
            });
            count.alone = references.size() + answers.size() - 2 * count.pairs;
            if (count.pairs == 0) return;
            sum.add(count);
            found.add(count.of(task));
        });
        if (found.size() > 1) found.add(sum.of(ALL));
        return List.copyOf(found);
    }

    private static SequencedMap<String, Map<Key, Sample>> byTask(List<Sample> samples) {
        var byTask = new LinkedHashMap<String, Map<Key, Sample>>();
        for (Sample sample : samples) {
            if (!sample.isAnswer()) continue;
            byTask.computeIfAbsent(sample.task(), _ -> new HashMap<>()).put(new Key(sample.seed(), sample.id()), sample);
        }
        return byTask;
    }

    private static final class Count {
        int pairs;
        int alone;
        int lost;
        int won;
        long tokensBefore;
        long tokensAfter;

        void add(Sample before, Sample after) {
            pairs++;
            if (before.correct() && !after.correct()) lost++;
            if (!before.correct() && after.correct()) won++;
            if (before.stop() == null || after.stop() == null) return; // chosen, not written
            tokensBefore += before.tokens();
            tokensAfter += after.tokens();
        }

        void add(Count other) {
            pairs += other.pairs;
            alone += other.alone;
            lost += other.lost;
            won += other.won;
            tokensBefore += other.tokensBefore;
            tokensAfter += other.tokensAfter;
        }

        PairedAnswers of(String task) {
            Double inflation = tokensBefore == 0 ? null : (double) tokensAfter / tokensBefore;
            return new PairedAnswers(task, pairs, alone, lost, won, inflation, Distributions.fairCoinTwoSided(lost, won));
        }
    }

    /// As fields for JSON.
    public SequencedMap<String, @Nullable Object> fields() {
        var fields = new LinkedHashMap<String, @Nullable Object>();
        fields.put("pairs", pairs);
        fields.put("alone", alone);
        fields.put("lost", lost);
        fields.put("won", won);
        fields.put("token_inflation", inflation);
        fields.put("mcnemar_p", probability);
        return fields;
    }
}
