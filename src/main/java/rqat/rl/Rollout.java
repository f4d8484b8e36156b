package rqat.rl;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.function.ToLongBiFunction;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import rqat.generate.Completion;
import rqat.generate.Generator;
import rqat.generate.Listener;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.generate.StopReason;
import rqat.text.ReasoningSplitter;
import rqat.texts.Problem;
import rqat.verify.Attempt;
import rqat.verify.Verdict;
import rqat.verify.Verifier;
import tools.jackson.databind.json.JsonMapper;

/// A sampled completion with its judgement.
///
/// @param problem    what was asked
/// @param group      its place among the problems of the step; all samples of one problem share it
/// @param completion what was sampled
/// @param text       the completion's text
/// @param verdict    null when the engine gave up on the completion, which then counts neither as right nor as wrong
public record Rollout(Problem problem, int group, Completion completion, String text, @Nullable Verdict verdict) {

    /// Samples every problem `groupSize` times, the samples of one problem being neighbours, and judges them.
    ///
    /// @param seed the seed of a sample's random stream, from its group and its place within it
    /// @param text the text of completion tokens
    public static List<Rollout> sample(
            Generator generator,
            List<Problem> problems,
            int groupSize,
            Sampling sampling,
            ToLongBiFunction<Integer, Integer> seed,
            Function<int[], String> text,
            Verifier verifier,
            Listener listener) {
        var requests = new ArrayList<Request>(problems.size() * groupSize);
        for (int group = 0; group < problems.size(); group++) {
            for (int i = 0; i < groupSize; i++) {
                requests.add(new Request(problems.get(group).prompt(), sampling, seed.applyAsLong(group, i)));
            }
        }
        List<Completion> completions = generator.generate(requests, listener);
        List<Verifier.Judge> judges = problems.stream().map(problem -> verifier.judge(problem.gold())).toList();
        List<Boolean> thinking = problems.stream().map(problem -> ReasoningSplitter.opens(text.apply(problem.prompt()))).toList();
        var rollouts = new ArrayList<Rollout>(requests.size());
        for (int i = 0; i < completions.size(); i++) {
            int group = i / groupSize;
            Problem problem = problems.get(group);
            Completion completion = completions.get(i);
            String written = text.apply(completion.tokens());
            Verdict verdict = completion.stop() == StopReason.ABORTED
                    ? null
                    : judges.get(group).verdict(new Attempt(written, completion.stop() == StopReason.LENGTH, thinking.get(group)));
            rollouts.add(new Rollout(problem, group, completion, written, verdict));
        }
        return rollouts;
    }

    /// 1 when right, 0 when wrong, `NaN` when there is no verdict.
    public double reward() {
        return verdict == null ? Double.NaN : verdict.score();
    }

    /// Whether the length limit cut it.
    public boolean truncated() {
        return completion.stop() == StopReason.LENGTH;
    }

    /// Number of tokens, the stop token included.
    public int length() {
        return completion.tokens().length;
    }

    /// Number of tokens with the prompt.
    int sequenceLength() {
        return problem.prompt().length + length();
    }

    /// What the sampler thought of each token.
    double[] logProbabilities() {
        float[] values = completion.logProbabilities();
        return IntStream.range(0, values.length).mapToDouble(t -> values[t]).toArray();
    }

    /// A line for the log of completions.
    ///
    /// @param advantage null where a teacher decided
    public String toJson(long step, @Nullable Double advantage) {
        var fields = new LinkedHashMap<String, @Nullable Object>();
        fields.put("step", step);
        fields.put("id", problem.id());
        fields.put("group", group);
        fields.put("completion", text);
        fields.put("gold", problem.gold());
        fields.put("reason", verdict == null ? null : verdict.reason().name().toLowerCase(Locale.ROOT));
        fields.put("extracted", verdict == null ? null : verdict.extracted());
        fields.put("stop", completion.stop().name().toLowerCase(Locale.ROOT));
        fields.put("tokens", length());
        fields.put("reward", verdict == null ? null : reward());
        fields.put("advantage", advantage);
        fields.put("log_probability", DoubleStream.of(logProbabilities()).sum());
        return JsonMapper.shared().writeValueAsString(fields);
    }
}
