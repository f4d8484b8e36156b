package rqat.eval;

import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
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
/// @param aborted       share that the server broke off, or filtered, and went on doing so when asked again
/// @param reached       share whose text holds the right answer although another or none was given ([Sample#reachedNotGiven])
/// @param meanTokens    mean length of a completion
/// @param reasons       how often each reason occurred, all reasons listed
/// @param right         whether the answer was right, for each seed and in it for each example in their order
/// @param perplexity    of a text that was read; null for all other tasks, and then the accuracy is NaN and the other figures mean nothing
public record TaskResult(
        String task,
        int examples,
        List<Double> accuracies,
        double accuracy,
        @Nullable Double deviation,
        @Nullable Double standardError,
        double unextracted,
        double truncated,
        double aborted,
        double reached,
        double meanTokens,
        Map<Reason, Long> reasons,
        List<List<Boolean>> right,
        @Nullable Double perplexity) {

    /// The 97.5 % point of the standard normal distribution.
    private static final double Z = 1.959963984540054;

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
                all.stream().mapToDouble(sample -> sample.stop() == StopReason.ABORTED ? 1 : 0).average().orElseThrow(),
                all.stream().mapToDouble(sample -> sample.reachedNotGiven() ? 1 : 0).average().orElseThrow(),
                all.stream().mapToInt(Sample::tokens).average().orElseThrow(),
                java.util.Collections.unmodifiableMap(reasons),
                units.stream().map(unit -> unit.stream().map(Sample::correct).toList()).toList(),
                null);
    }

    /// From the windows of a text: exp of the mean negative log-likelihood of its tokens.
    static TaskResult reading(String task, List<Sample> windows) {
        double sum = windows.stream().mapToDouble(window -> Double.parseDouble(window.extracted())).sum();
        long tokens = windows.stream().mapToLong(Sample::tokens).sum();
        double perplexity = tokens == 0 ? Double.NaN : Math.exp(-sum / tokens);
        return new TaskResult(task, windows.size(), List.of(), Double.NaN, null, null, 0, 0, 0, 0, (double) tokens / windows.size(), Map.of(), List.of(), perplexity);
    }

    /// 95 % confidence interval of the accuracy over problems like these: Wilson's score interval, with as many effective problems as give the
    /// standard error (several seeds make it narrower), so that it stays within 0 and 1 and means something at the ends too.
    ///
    /// @return lower and upper bound
    public double[] confidence() {
        double variance = accuracy * (1 - accuracy);
        double n = standardError == null || standardError == 0 || variance == 0 ? examples : variance / (standardError * standardError);
        double centre = (accuracy + Z * Z / (2 * n)) / (1 + Z * Z / n);
        double half = Z * Math.sqrt(variance / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n);
        return new double[] {Math.max(0, centre - half), Math.min(1, centre + half)};
    }

    /// pass@k, the chance that one of `k` samples is right: the mean over problems of `1 - C(n - c, k) / C(n, k)` for `c` right of `n` samples
    /// (Chen et al. 2021). The samples of a problem are those of its seeds, so pass@1 is the accuracy, which others call avg@n.
    ///
    /// @param k 1 to the number of seeds
    public double passAt(int k) {
        int n = right.size();
        if (k < 1 || k > n) throw new IllegalArgumentException("pass@%d of %d samples".formatted(k, n));
        double sum = 0;
        for (int i = 0; i < examples; i++) {
            int example = i;
            int wrong = (int) right.stream().filter(seed -> !seed.get(example)).count();
            double allWrong = 1;
            for (int j = 0; j < k; j++) allWrong *= (double) Math.max(0, wrong - j) / (n - j);
            sum += 1 - allWrong;
        }
        return sum / examples;
    }

    /// The same task again and again, each time with other seeds or another repetition of what made the model: all seeds together.
    ///
    /// @param repetitions at least one, of the same examples and equally many seeds each
    public static TaskResult pooled(List<TaskResult> repetitions) {
        TaskResult first = repetitions.getFirst();
        if (repetitions.size() == 1) return first;
        if (first.perplexity != null) {
            double logarithm = mean(repetitions.stream().mapToDouble(one -> Math.log(Objects.requireNonNull(one.perplexity))).toArray());
            return new TaskResult(
                    first.task, first.examples, List.of(), Double.NaN, null, null, 0, 0, 0, 0, first.meanTokens, Map.of(), List.of(), Math.exp(logarithm));
        }
        List<List<Boolean>> right = repetitions.stream().flatMap(one -> one.right.stream()).toList();
        double[] perSeed = repetitions.stream().flatMap(one -> one.accuracies.stream()).mapToDouble(Double::doubleValue).toArray();
        double[] perExample = IntStream.range(0, first.examples)
                .mapToDouble(i -> right.stream().mapToDouble(seed -> seed.get(i) ? 1 : 0).average().orElseThrow())
                .toArray();
        var reasons = new EnumMap<Reason, Long>(Reason.class);
        for (Reason reason : Reason.values()) reasons.put(reason, repetitions.stream().mapToLong(one -> one.reasons.get(reason)).sum());
        Double spread = deviation(perExample);
        return new TaskResult(
                first.task,
                first.examples,
                java.util.Arrays.stream(perSeed).boxed().toList(),
                mean(perSeed),
                deviation(perSeed),
                spread == null ? null : spread / Math.sqrt(first.examples),
                mean(repetitions.stream().mapToDouble(TaskResult::unextracted).toArray()),
                mean(repetitions.stream().mapToDouble(TaskResult::truncated).toArray()),
                mean(repetitions.stream().mapToDouble(TaskResult::aborted).toArray()),
                mean(repetitions.stream().mapToDouble(TaskResult::reached).toArray()),
                mean(repetitions.stream().mapToDouble(TaskResult::meanTokens).toArray()),
                java.util.Collections.unmodifiableMap(reasons),
                right,
                null);
    }

    /// As fields for JSON, with the names that results and reports use.
    public SequencedMap<String, @Nullable Object> fields() {
        var counts = new LinkedHashMap<String, Long>();
        reasons.forEach((reason, count) -> counts.put(reason.name().toLowerCase(Locale.ROOT), count));
        var fields = new LinkedHashMap<String, @Nullable Object>();
        fields.put("task", task);
        if (perplexity != null) {
            fields.put("perplexity", perplexity);
            fields.put("windows", examples);
            fields.put("mean_tokens", meanTokens);
            return fields;
        }
        var passAt = new LinkedHashMap<String, Double>();
        for (int k = 1; k <= right.size(); k *= 2) passAt.put(String.valueOf(k), passAt(k));
        fields.put("examples", examples);
        fields.put("accuracy", accuracy);
        fields.put("accuracies", accuracies);
        fields.put("deviation", deviation);
        fields.put("standard_error", standardError);
        fields.put("confidence_95", confidence());
        fields.put("pass_at", passAt);
        fields.put("unextracted", unextracted);
        fields.put("truncated", truncated);
        fields.put("aborted", aborted);
        fields.put("reached_not_given", reached);
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
