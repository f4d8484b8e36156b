package rqat.rl;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.DoubleStream;
import org.jspecify.annotations.Nullable;
import rqat.Failure;
import rqat.generate.Completion;
import rqat.generate.Generator;
import rqat.generate.Listener;
import rqat.generate.Sampling;
import rqat.model.Decoder;
import rqat.run.RandomStream;
import rqat.run.Seeds;
import rqat.texts.Problem;
import rqat.train.Objective;
import rqat.train.StepReport;
import rqat.train.Student;
import rqat.verify.Verifier;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// Training of a (fake-quantised) student on its own completions: sample groups of them, judge them, learn what the [Signal] says, one
/// optimiser step per rollout. With rewards this is GRPO; with a teacher it is on-policy distillation, where the judgements are only logged.
///
/// Rollouts read the very weights of the training forward pass: there is no second copy to keep in step. What is sampled depends on the
/// weights, the seed and the step alone, so a resumed run samples what an uninterrupted one would have.
///
/// One forward pass per completion: with one step per rollout the old log-probabilities are the new ones, so the coefficient of each token
/// ([GrpoLoss]) is known as soon as the forward pass has given its log-probability, and the backward pass follows at once.
///
/// Under GRPO a group whose rewards are all equal has no gradient (without a KL term): its completions are not run through the model again,
/// but their tokens count in the denominator, so the gradient is the same. The exact entropy and the mismatch are therefore measured over
/// the groups that were trained on; `entropy/rollout`, minus the mean log-probability of the sampled tokens, estimates the entropy over all
/// of them. A step whose groups are all flat leaves a gradient of exactly 0, for which [rqat.train.Trainer] moves nothing.
public final class OnPolicyObjective implements Objective {
    private static final int PREFLIGHT_PROMPTS = 8;
    private static final int PREFLIGHT_TOKENS = 256;

    private final OnPolicySettings settings;
    private final List<Problem> problems;
    private final Function<Decoder, Generator> generator;
    private final Function<int[], String> text;
    private final Verifier verifier;
    private final Signal signal;
    private final RolloutPass pass;
    private final Watcher watcher;
    private @Nullable MismatchGate gate;

    /// Hears of what a step does, on the training thread.
    public interface Watcher {
        /// Hears nothing.
        Watcher NONE = new Watcher() {};

        /// The comparison of sampler and training forward pass before the first step.
        default void preflight(Mismatch mismatch) {}

        /// `finished` of `total` completions of a step are sampled.
        default void sampled(long step, int finished, int total) {}

        /// All completions of a step, before training on them.
        ///
        /// @param advantages one per completion; null where a teacher decides
        default void rollouts(long step, List<Rollout> rollouts, double @Nullable [] advantages) {}
    }

    /// An objective on `problems`.
    ///
    /// @param generator samples from the decoder of the student
    /// @param text      the text of completion tokens, for the verifier
    /// @param verifier  its score is the reward
    public OnPolicyObjective(
            OnPolicySettings settings,
            Signal signal,
            List<Problem> problems,
            Function<Decoder, Generator> generator,
            Function<int[], String> text,
            Verifier verifier,
            Watcher watcher) {
        if (problems.isEmpty()) throw Failure.usage("grpo: there are no training problems");
        OnPolicySettings.require(
                settings.groupSize() >= 2 || signal instanceof Signal.Distillation, "group size", settings.groupSize(), "2 or more: the baseline is the group");
        this.settings = settings;
        this.signal = signal;
        this.problems = List.copyOf(problems);
        this.generator = generator;
        this.text = text;
        this.verifier = verifier;
        this.pass = new RolloutPass(settings, signal);
        this.watcher = watcher;
    }

    @Override
    public StepReport accumulate(Student student, long step) {
        if (gate == null) {
            Mismatch preflight = preflight(student);
            watcher.preflight(preflight);
            gate = new MismatchGate(settings.mismatchLimits(), preflight);
        }
        long start = System.nanoTime();
        List<Rollout> rollouts = rollouts(student, step);
        double rolloutSeconds = (System.nanoTime() - start) * 1e-9;
        double[] rewards = rollouts.stream().mapToDouble(Rollout::reward).toArray();
        double[] advantages = signal instanceof Signal.Rewards given ? Advantages.of(rewards, settings.groupSize(), given.scaling()) : null;
        watcher.rollouts(step, rollouts, advantages);

        start = System.nanoTime();
        RolloutPass.Result result = pass.accumulate(student, rollouts, advantages, signal instanceof Signal.Rewards given && given.skipsFlatGroups());
        gate.check(step, result.mismatch());

        var metrics = rolloutMetrics(rollouts, rewards);
        metrics.putAll(result.metrics());
        metrics.put("time/rollout", rolloutSeconds);
        metrics.put("time/train", (System.nanoTime() - start) * 1e-9);
        long tokens = rollouts.stream().mapToLong(Rollout::sequenceLength).sum();
        return new StepReport(result.loss(), tokens, metrics);
    }

    @Override
    public JsonNode state() {
        ObjectNode state = JsonNodeFactory.instance.objectNode();
        if (gate != null) state.put("preflight", gate.state().preflight()).put("bad_steps", gate.state().badSteps());
        return state;
    }

    @Override
    public void restore(JsonNode state) {
        if (state.has("preflight")) {
            var remembered = new MismatchGate.State(state.path("preflight").asDouble(), state.path("bad_steps").asInt());
            gate = new MismatchGate(settings.mismatchLimits(), remembered);
        }
    }

    /// The problems of a step: a new random order every epoch, a pure function of seed and step.
    List<Problem> problems(long step) {
        var result = new ArrayList<Problem>(settings.prompts());
        long first = Math.multiplyExact(step, settings.prompts());
        long epoch = -1;
        int[] order = {};
        for (long i = first; i < first + settings.prompts(); i++) {
            if (epoch != i / problems.size()) {
                epoch = i / problems.size();
                order = new RandomStream(Seeds.mix(settings.seed(), Seeds.ofString("epoch"), epoch)).permutation(problems.size());
            }
            result.add(problems.get(order[(int) (i % problems.size())]));
        }
        return result;
    }

    private List<Rollout> rollouts(Student student, long step) {
        List<Problem> asked = problems(step);
        int[] finished = {0};
        var listener = new Listener() {
            @Override
            public void completed(int request, Completion completion) {
                watcher.sampled(step, ++finished[0], asked.size() * settings.groupSize());
            }
        };
        int[] occurrence = occurrences(asked);
        return Rollout.sample(
                generator.apply(student.decoder()),
                asked,
                settings.groupSize(),
                settings.sampling(),
                (group, i) -> Seeds.mix(
                        settings.seed(),
                        Seeds.ofString("rollout"),
                        step,
                        Seeds.ofString(asked.get(group).id()),
                        (long) occurrence[group] * settings.groupSize() + i),
                text,
                verifier,
                listener);
    }

    /// How often each problem came before within the step: across the end of an epoch one may come twice, and must not sample the same.
    private static int[] occurrences(List<Problem> asked) {
        Map<String, Integer> seen = new HashMap<>();
        return asked.stream().mapToInt(problem -> seen.merge(problem.id(), 1, Integer::sum) - 1).toArray();
    }

    /// Compares a few completions as sampled with the training forward pass.
    Mismatch preflight(Student student) {
        Sampling sampling = settings.sampling();
        List<Rollout> rollouts = Rollout.sample(
                generator.apply(student.decoder()),
                problems.subList(0, Math.min(PREFLIGHT_PROMPTS, problems.size())),
                1,
                new Sampling(
                        sampling.temperature(), 1, 0, Math.min(PREFLIGHT_TOKENS, sampling.maxNewTokens()), sampling.stopIds()),
                (group, _) -> Seeds.mix(settings.seed(), Seeds.ofString("preflight"), group),
                text,
                verifier,
                Listener.NONE);
        return pass.compare(student, rollouts);
    }

    private LinkedHashMap<String, Double> rolloutMetrics(List<Rollout> rollouts, double[] rewards) {
        var metrics = new LinkedHashMap<String, Double>();
        put(metrics, "reward/mean", Advantages.mean(rewards));
        metrics.put("reward/std", Advantages.deviation(rewards));
        int groups = rollouts.size() / settings.groupSize();
        int flat = 0, allRight = 0, allWrong = 0;
        for (int start = 0; start < rewards.length; start += settings.groupSize()) {
            double[] group = Arrays.copyOfRange(rewards, start, start + settings.groupSize());
            if (Advantages.isFlat(group)) flat++;
            if (Arrays.stream(group).allMatch(reward -> reward == 1)) allRight++;
            if (Arrays.stream(group).allMatch(reward -> reward == 0)) allWrong++;
        }
        metrics.put("groups/zero_variance", (double) flat / groups);
        metrics.put("groups/all_right", (double) allRight / groups);
        metrics.put("groups/all_wrong", (double) allWrong / groups);
        metrics.put("length/mean", lengths(rollouts, _ -> true).average().orElseThrow());
        metrics.put("length/max", lengths(rollouts, _ -> true).max().orElseThrow());
        put(metrics, "length/correct_mean", lengths(rollouts, rollout -> rollout.reward() == 1).average().orElse(Double.NaN));
        put(metrics, "length/wrong_mean", lengths(rollouts, rollout -> rollout.reward() == 0).average().orElse(Double.NaN));
        metrics.put("truncation_rate", rollouts.stream().mapToDouble(rollout -> rollout.truncated() ? 1 : 0).average().orElseThrow());
        DoubleStream sampled = rollouts.stream().map(Rollout::logProbabilities).flatMapToDouble(Arrays::stream);
        put(metrics, "entropy/rollout", -sampled.average().orElse(Double.NaN));
        return metrics;
    }

    private static DoubleStream lengths(List<Rollout> rollouts, Predicate<Rollout> which) {
        return rollouts.stream().filter(which).mapToDouble(Rollout::length);
    }

    /// A figure of nothing is left out: JSON has no `NaN`.
    private static void put(Map<String, Double> metrics, String name, double value) {
        if (!Double.isNaN(value)) metrics.put(name, value);
    }
}
