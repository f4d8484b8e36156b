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
import org.jspecify.annotations.Nullable;
import rqat.data.TokenSequence;
import rqat.model.Decoder;
import rqat.rl.GrpoObjective.Settings;
import rqat.rl.GrpoObjective.Truncation;
import rqat.tensor.Grad;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import rqat.train.ChunkedHead;
import rqat.train.ForwardPass;
import rqat.train.MicroBatch;
import rqat.train.Student;

/// Forward and backward over sampled completions: the tensor half of the GRPO step, between [ChunkedHead] and [GrpoLoss].
///
/// Per micro-batch one forward pass; its log-probabilities go to the loss on the host, which answers with one coefficient per token, and
/// these go back through the head and the blocks.
///
/// @param reference the model of the KL term; null when its weight is 0
record PolicyGradient(Settings settings, @Nullable Decoder reference) {

    /// What one optimiser step found. Entropy, mismatch, clipping and KL are over the completions that were run through the model.
    ///
    /// @param entropySum of the full distributions at the sampling temperature, in nats
    /// @param tokens     loss tokens that were run through the model
    record Result(double loss, double entropySum, double klSum, Mismatch mismatch, long tokens, long clippedLow, long clippedHigh) {
        SequencedMap<String, Double> metrics() {
            var metrics = new LinkedHashMap<String, Double>();
            metrics.put("mismatch/abs_mean", mismatch.absoluteMean());
            metrics.put("mismatch/abs_max", mismatch.absoluteMax());
            metrics.put("mismatch/k3", mismatch.k3());
            metrics.put("mismatch/capped", mismatch.cappedShare());
            metrics.put("clip/low", clippedLow / (double) Math.max(1, tokens));
            metrics.put("clip/high", clippedHigh / (double) Math.max(1, tokens));
            if (tokens > 0) metrics.put("entropy", entropySum / tokens);
            if (klSum > 0) metrics.put("kl", klSum / tokens);
            return metrics;
        }
    }

    /// Adds the gradient of the step's loss to the student's.
    ///
    /// @param skipFlat leave out completions whose advantage is 0
    Result accumulate(Student student, List<Rollout> rollouts, double[] advantages, boolean skipFlat) {
        boolean[][] mask = rollouts.stream().map(this::lossMask).toArray(boolean[][]::new);
        List<Integer> order = IntStream.range(0, rollouts.size())
                .filter(i -> inLoss(rollouts.get(i)) && !(skipFlat && advantages[i] == 0))
                .boxed()
                // longest first: neighbours are of similar length, and a step that does not fit in memory fails at once
                .sorted(Comparator.comparingInt(i -> -rollouts.get(i).sequenceLength()))
                .toList();
        GrpoLoss.Step whole = GrpoLoss.Step.of(mask);
        int microBatches = Math.ceilDiv(order.size(), settings.microBatch());
        var step = new GrpoLoss.Step(whole.completions(), whole.tokens(), Math.max(1, microBatches));
        double loss = 0, entropySum = 0, klSum = 0;
        long tokens = 0, low = 0, high = 0;
        var scored = new ArrayList<Rollout>();
        var current = new ArrayList<double[]>();
        for (int from = 0; from < order.size(); from += settings.microBatch()) {
            List<Integer> part = order.subList(from, Math.min(order.size(), from + settings.microBatch()));
            List<Rollout> members = part.stream().map(rollouts::get).toList();
            Pass pass = pass(student, members, part.stream().mapToDouble(i -> advantages[i]).toArray(), step);
            loss += pass.result.loss();
            entropySum += pass.entropySum;
            klSum += pass.result.klSum();
            tokens += pass.result.tokens();
            low += pass.result.clippedLow();
            high += pass.result.clippedHigh();
            scored.addAll(members);
            current.addAll(Arrays.asList(pass.current));
        }
        return new Result(loss, entropySum, klSum, mismatch(scored, current), tokens, low, high);
    }

    /// Compares what the sampler thought of completions with the training forward pass, one at a time.
    Mismatch compare(Student student, List<Rollout> rollouts) {
        ChunkedHead head = student.head(settings.chunk());
        List<double[]> current = rollouts.stream()
                .map(rollout -> Scope.get(() -> Grad.off(() -> {
                    var batch = new MicroBatch(List.of(sequence(rollout)));
                    Tensor hidden = student.forward(batch.ids()).rows(batch.lossRows());
                    return Tensors.doubles(head.scores(hidden, batch.targets(), temperature()).logProbabilities());
                })))
                .toList();
        return mismatch(rollouts, current);
    }

    /// @param current log-probabilities per completion and token
    private record Pass(GrpoLoss.Result result, double[][] current, double entropySum) {}

    /// Forward and backward of one micro-batch.
    private Pass pass(Student student, List<Rollout> members, double[] advantages, GrpoLoss.Step step) {
        var batch = new MicroBatch(members.stream().map(PolicyGradient::sequence).toList());
        ChunkedHead head = student.head(settings.chunk());
        return Scope.get(() -> {
            Tensor ids = batch.ids(), rows = batch.lossRows(), targets = batch.targets();
            ForwardPass forward = student.forward(ids);
            Tensor hidden = forward.rows(rows);
            ChunkedHead.Scores scores = head.scores(hidden, targets, temperature());
            double[][] current = perCompletion(scores.logProbabilities(), members);
            double[][] expected = settings.loss().klWeight() == 0 ? null : perCompletion(reference(ids, rows, targets), members);
            double[][] weights = settings.importanceCap() == 0
                    ? null
                    : Mismatch.weights(current, sampled(members), settings.importanceCap());
            boolean[][] mask = members.stream().map(this::lossMask).toArray(boolean[][]::new);
            var result = settings.loss().of(new GrpoLoss.Rows(current, current, expected, weights, mask, advantages), step);
            double[] coefficients = Arrays.stream(result.gradient()).flatMapToDouble(Arrays::stream).toArray();
            Tensor upstream = Tensors.of(coefficients, coefficients.length);
            forward.backward(rows, head.weightedLogProbabilities(hidden, targets, upstream, temperature()).hidden());
            return new Pass(result, current, DoubleStream.of(Tensors.doubles(scores.entropies())).sum());
        });
    }

    /// Log-probabilities of the targets under the reference model.
    private Tensor reference(Tensor ids, Tensor rows, Tensor targets) {
        Decoder decoder = Objects.requireNonNull(reference);
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
                && !(rollout.truncated() && settings.truncation() == Truncation.MASK_LOSS);
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
        double cap = settings.importanceCap() == 0 ? Double.POSITIVE_INFINITY : settings.importanceCap();
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
