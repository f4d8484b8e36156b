package rqat.rl;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import rqat.data.TokenSequence;
import rqat.model.Decoder;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import rqat.train.ChunkedHead;
import rqat.train.ForwardPass;
import rqat.train.MicroBatch;
import rqat.train.Student;
import rqat.train.Teacher;

/// Forward and backward over sampled completions: the tensor half of a step, between [ChunkedHead] and the [Signal].
///
/// Per micro-batch one forward pass. With rewards its log-probabilities go to [GrpoLoss] on the host, which answers with one coefficient
/// per token; a teacher reads the same tokens and answers with its whole distributions. Either goes back through the head and the blocks.
record RolloutPass(OnPolicySettings settings, Signal signal) {

    /// What one optimiser step found. Entropy and mismatch are over the completions that were run through the model.
    ///
    /// @param entropySum of the full distributions at the sampling temperature, in nats
    /// @param tokens     loss tokens that were run through the model
    /// @param sums       what else the signal counts per token, summed over them, by metric
    record Result(double loss, double entropySum, Mismatch mismatch, long tokens, SequencedMap<String, Double> sums) {
        SequencedMap<String, Double> metrics() {
            var metrics = new LinkedHashMap<String, Double>();
            metrics.put("mismatch/abs_mean", mismatch.absoluteMean());
            metrics.put("mismatch/abs_max", mismatch.absoluteMax());
            metrics.put("mismatch/k3", mismatch.k3());
            metrics.put("mismatch/capped", mismatch.cappedShare());
            if (tokens > 0) metrics.put("entropy", entropySum / tokens);
            sums.forEach((name, sum) -> metrics.put(name, sum / tokens));
            return metrics;
        }
    }

    /// Adds the gradient of the step's loss to the student's.
    ///
    /// @param advantages one per completion; null with a teacher
    /// @param skipFlat   leave out completions whose advantage is 0
    Result accumulate(Student student, List<Rollout> rollouts, double @Nullable [] advantages, boolean skipFlat) {
        boolean[][] mask = rollouts.stream().map(this::lossMask).toArray(boolean[][]::new);
        List<Integer> order = IntStream.range(0, rollouts.size())
                .filter(i -> inLoss(rollouts.get(i)) && !(skipFlat && Objects.requireNonNull(advantages)[i] == 0))
                .boxed()
                // longest first: neighbours are of similar length, and a step that does not fit in memory fails at once
                .sorted(Comparator.comparingInt(i -> -rollouts.get(i).sequenceLength()))
                .toList();
        GrpoLoss.Step whole = GrpoLoss.Step.of(mask);
        int microBatches = Math.ceilDiv(order.size(), settings.microBatch());
        var step = new GrpoLoss.Step(whole.completions(), whole.tokens(), Math.max(1, microBatches));
        double loss = 0, entropySum = 0;
        long tokens = 0;
        var sums = new LinkedHashMap<String, Double>();
        var scored = new ArrayList<Rollout>();
        var current = new ArrayList<double[]>();
        for (int from = 0; from < order.size(); from += settings.microBatch()) {
            List<Integer> part = order.subList(from, Math.min(order.size(), from + settings.microBatch()));
            List<Rollout> members = part.stream().map(rollouts::get).toList();
            double[] own = advantages == null ? null : part.stream().mapToDouble(i -> advantages[i]).toArray();
            Pass pass = pass(student, members, own, step);
            loss += pass.loss;
            entropySum += pass.entropySum;
            tokens += members.stream().mapToInt(Rollout::length).sum();
            pass.sums.forEach((name, sum) -> sums.merge(name, sum, Double::sum));
            scored.addAll(members);
            current.addAll(Arrays.asList(pass.current));
        }
        return new Result(loss, entropySum, mismatch(scored, current), tokens, sums);
    }

    /// Compares what the sampler thought of completions with the training forward pass, one at a time.
    Mismatch compare(Student student, List<Rollout> rollouts) {
        ChunkedHead head = student.head(settings.chunk());
        List<double[]> current = rollouts.stream()
                .map(rollout -> Scope.get(() -> Grad.off(() -> {
                    var batch = new MicroBatch(List.of(sequence(rollout)));
                    Tensor hidden = student.forward(batch.ids(student.place())).rows(batch.lossRows(student.place()));
                    return Tensors.doubles(head.scores(hidden, batch.targets(student.place()), temperature()).logProbabilities());
                })))
                .toList();
        return mismatch(rollouts, current);
    }

    /// @param current log-probabilities per completion and token
    private record Pass(double loss, SequencedMap<String, Double> sums, double[][] current, double entropySum) {}

    /// What a signal makes of a micro-batch.
    ///
    /// @param loss   its share of the loss of the step
    /// @param hidden `[N, hidden]`, the gradient of that with respect to the hidden states at the loss rows
    /// @param sums   see [Result]
    private record Share(double loss, Tensor hidden, SequencedMap<String, Double> sums) {}

    /// Forward and backward of one micro-batch.
    private Pass pass(Student student, List<Rollout> members, double @Nullable [] advantages, GrpoLoss.Step step) {
        var batch = new MicroBatch(members.stream().map(RolloutPass::sequence).toList());
        ChunkedHead head = student.head(settings.chunk());
        return Scope.get(() -> {
            Place place = student.place();
            Tensor ids = batch.ids(place), rows = batch.lossRows(place), targets = batch.targets(place);
            ForwardPass forward = student.forward(ids);
            Tensor hidden = forward.rows(rows);
            ChunkedHead.Scores scores = head.scores(hidden, targets, temperature());
            double[][] current = perCompletion(scores.logProbabilities(), members);
            Share share = switch (signal) {
                case Signal.Rewards rewards -> {
                    double[][] expected =
                            rewards.loss().klWeight() == 0 ? null : perCompletion(reference(rewards.reference(), ids, rows, targets), members);
                    double[][] weights =
                            rewards.importanceCap() == 0 ? null : Mismatch.weights(current, sampled(members), rewards.importanceCap());
                    boolean[][] mask = members.stream().map(this::lossMask).toArray(boolean[][]::new);
                    var result = rewards.loss()
                            .of(new GrpoLoss.Rows(current, current, expected, weights, mask, Objects.requireNonNull(advantages)), step);
                    double[] coefficients = Arrays.stream(result.gradient()).flatMapToDouble(Arrays::stream).toArray();
                    Tensor upstream = Tensors.of(place.as(ScalarType.Double), coefficients, coefficients.length);
                    yield new Share(result.loss(), head.weightedLogProbabilities(hidden, targets, upstream, temperature()).hidden(), sums(result));
                }
                case Signal.Distillation(Teacher teacher) -> {
                    ChunkedHead.Loss loss = teacher.loss(student, settings.chunk(), ids, rows, hidden, 1.0 / step.tokens());
                    yield new Share(loss.sum() / step.tokens(), loss.hidden(), new LinkedHashMap<>());
                }
            };
            forward.backward(rows, share.hidden);
            return new Pass(share.loss, share.sums, current, DoubleStream.of(Tensors.doubles(scores.entropies())).sum());
        });
    }

    private static SequencedMap<String, Double> sums(GrpoLoss.Result result) {
        var sums = new LinkedHashMap<String, Double>();
        sums.put("clip/low", (double) result.clippedLow());
        sums.put("clip/high", (double) result.clippedHigh());
        if (result.klSum() > 0) sums.put("kl", result.klSum());
        return sums;
    }

    /// Log-probabilities of the targets under the reference model of the KL term.
    private Tensor reference(@Nullable Decoder model, Tensor ids, Tensor rows, Tensor targets) {
        Decoder decoder = Objects.requireNonNull(model);
        return Grad.off(() -> {
            Tensor hidden = decoder.hidden(ids);
            Tensor picked = hidden.view(-1, hidden.size(2)).index_select(0, rows);
            return new ChunkedHead(decoder.weights().get(decoder.config().head()), null, settings.chunk())
                    .scores(picked, targets, temperature())
                    .logProbabilities();
        });
    }

    private double temperature() {
        return settings.sampling().temperature();
    }

    /// Whether a completion is trained on: all of its tokens or none.
    private boolean inLoss(Rollout rollout) {
        return rollout.length() > 0
                && rollout.verdict() != null
                && !(rollout.truncated() && settings.truncation() == OnPolicySettings.Truncation.MASK_LOSS);
    }

    private boolean[] lossMask(Rollout rollout) {
        return filled(rollout.length(), inLoss(rollout));
    }

    /// Prompt and completion, the completion in the loss: its stop token too, which was as much a choice as the others.
    private static TokenSequence sequence(Rollout rollout) {
        int[] prompt = rollout.problem().prompt();
        int[] ids = IntStream.concat(IntStream.of(prompt), IntStream.of(rollout.completion().tokens())).toArray();
        boolean[] inLoss = new boolean[ids.length];
        Arrays.fill(inLoss, prompt.length, ids.length, true);
        return new TokenSequence(ids, inLoss);
    }

    private Mismatch mismatch(List<Rollout> rollouts, List<double[]> current) {
        boolean[][] all = rollouts.stream().map(rollout -> filled(rollout.length(), true)).toArray(boolean[][]::new);
        double cap = signal instanceof Signal.Rewards rewards && rewards.importanceCap() > 0 ? rewards.importanceCap() : Double.POSITIVE_INFINITY;
        return Mismatch.of(current.toArray(double[][]::new), sampled(rollouts), all, cap);
    }

    private static double[][] sampled(List<Rollout> rollouts) {
        return rollouts.stream().map(Rollout::logProbabilities).toArray(double[][]::new);
    }

    /// Cuts values of all loss rows into those of each completion.
    private static double[][] perCompletion(Tensor rows, List<Rollout> members) {
        double[] values = Tensors.doubles(rows);
        double[][] result = new double[members.size()][];
        int from = 0;
        for (int i = 0; i < result.length; i++) {
            result[i] = Arrays.copyOfRange(values, from, from + members.get(i).length());
            from += members.get(i).length();
        }
        return result;
    }

    private static boolean[] filled(int length, boolean value) {
        boolean[] result = new boolean[length];
        Arrays.fill(result, value);
        return result;
    }
}
