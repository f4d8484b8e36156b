package rqat.eval;

import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import rqat.generate.StopReason;
import rqat.verify.Reason;

/// How a model did on one task. Shares are of all samples, over all seeds.
///
/// @param task          name of the task
/// @param examples      number of examples
/// @param accuracies    share of right answers per seed; a single one for a choice
/// @param accuracy      their mean
/// @param deviation     their sample standard deviation (n - 1): how much a repetition with other seeds moves the figure; null below two
/// @param standardError of the accuracy as an estimate over problems like these: the sample standard deviation over examples of the mean
///                      over seeds, divided by the root of the number of examples; null below two examples
/// @param unextracted   share without a readable final answer although the model ended by itself
/// @param truncated     share that ended at the length limit, whatever their score
/// @param meanTokens    mean length of a completion
/// @param reasons       how often each reason occurred, all reasons listed
public record TaskResult(
        String task,
        int examples,
        List<Double> accuracies,
        double accuracy,
        @Nullable Double deviation,
        @Nullable Double standardError,
        double unextracted,
        double truncated,
        double meanTokens,
        Map<Reason, Long> reasons) {

    /// From the samples of each seed, in the order of the examples.
    static TaskResult of(String task, List<List<Sample>> units) {
        int examples = units.getFirst().size();
        double[] perSeed = units.stream().mapToDouble(TaskResult::accuracy).toArray();
        double[] perExample = IntStream.range(0, examples)
                .mapToDouble(i -> accuracy(units.stream().map(unit -> unit.get(i)).toList()))
                .toArray();
        List<Sample> all = units.stream().flatMap(List::stream).toList();
        var reasons = new EnumMap<Reason, Long>(Reason.class);
        for (Reason reason : Reason.values()) {
            reasons.put(reason, all.stream().filter(sample -> sample.reason() == reason).count());
        }
        Double spread = deviation(perExample);
        return new TaskResult(
                task,
                examples,
                java.util.Arrays.stream(perSeed).boxed().toList(),
                mean(perSeed),
                deviation(perSeed),
                spread == null ? null : spread / Math.sqrt(examples),
                (double) (reasons.get(Reason.NO_ANSWER) + reasons.get(Reason.UNPARSABLE)) / all.size(),
                all.stream().mapToDouble(sample -> sample.stop() == StopReason.LENGTH ? 1 : 0).average().orElseThrow(),
                all.stream().mapToInt(Sample::tokens).average().orElseThrow(),
                java.util.Collections.unmodifiableMap(reasons));
    }

    /// As fields for JSON, with the names that results and reports use.
    public SequencedMap<String, @Nullable Object> fields() {
        var counts = new LinkedHashMap<String, Long>();
        reasons.forEach((reason, count) -> counts.put(reason.name().toLowerCase(Locale.ROOT), count));
        var fields = new LinkedHashMap<String, @Nullable Object>();
        fields.put("task", task);
        fields.put("examples", examples);
        fields.put("accuracy", accuracy);
        fields.put("accuracies", accuracies);
        fields.put("deviation", deviation);
        fields.put("standard_error", standardError);
        fields.put("unextracted", unextracted);
        fields.put("truncated", truncated);
        fields.put("mean_tokens", meanTokens);
        fields.put("reasons", counts);
        return fields;
    }

    private static double accuracy(List<Sample> samples) {
        return samples.stream().mapToDouble(sample -> sample.correct() ? 1 : 0).average().orElseThrow();
    }

    private static double mean(double[] values) {
        return java.util.Arrays.stream(values).average().orElseThrow();
    }

    private static @Nullable Double deviation(double[] values) {
        if (values.length < 2) return null;
        double mean = mean(values);
        double squares = java.util.Arrays.stream(values).map(value -> (value - mean) * (value - mean)).sum();
        return Math.sqrt(squares / (values.length - 1));
    }
}
