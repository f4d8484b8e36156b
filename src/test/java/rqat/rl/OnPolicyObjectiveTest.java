package rqat.rl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.assertj.core.api.InstanceOfAssertFactories;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import rqat.Failure;
import rqat.format.GridSpec;
import rqat.format.MaskRule;
import rqat.format.ScaleMode;
import rqat.format.ScaleType;
import rqat.generate.Completion;
import rqat.generate.Generator;
import rqat.generate.LocalGenerator;
import rqat.generate.torch.TorchSteps;
import rqat.generate.torch.TorchScorer;
import rqat.generate.Request;
import rqat.generate.Sampling;
import rqat.generate.StopReason;
import rqat.model.Decoder;
import rqat.model.Linear;
import rqat.model.ModelConfig;
import rqat.model.Rope;
import rqat.model.Weights;
import rqat.quant.ClipSearch;
import rqat.quant.Grid;
import rqat.rl.GrpoLoss.KlGradient;
import rqat.rl.GrpoLoss.Preset;
import rqat.rl.OnPolicySettings.Truncation;
import rqat.rl.OnPolicyObjective.Watcher;
import rqat.run.Metrics;
import rqat.run.Progress;
import rqat.tensor.Cpu;
import rqat.tensor.Grad;
import rqat.tensor.HostCopies;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;
import rqat.texts.Problem;
import rqat.train.Adam;
import rqat.train.Divergence;
import rqat.train.Initialiser;
import rqat.train.ResumableRun;
import rqat.train.Schedule;
import rqat.train.StepReport;
import rqat.train.Student;
import rqat.train.Teacher;
import rqat.train.Trainer;
import rqat.verify.Reason;
import rqat.verify.Verdict;
import rqat.verify.Verifier;

class OnPolicyObjectiveTest {
    private static final int STOP = 0;
    private static final Signal BANDIT = new Signal.Rewards(Advantages.Scaling.GROUP_STD, GrpoLoss.of(Preset.DAPO, 1), 2, null);
    private static final Function<Decoder, Generator> LOCAL = decoder -> new LocalGenerator(() -> new TorchSteps(decoder, 4096), 16);

    /// Tokens as text: `3 1 4`.
    private static final Function<int[], String> TEXT = tokens -> Arrays.stream(tokens).mapToObj(Integer::toString).collect(Collectors.joining(" "));

    /// Right when the first token is even.
    private static final Verifier EVEN = verifier(text -> Integer.parseInt(text.split(" ")[0]) % 2 == 0);

    private final List<AutoCloseable> open = new ArrayList<>();

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable closeable : open.reversed()) closeable.close();
    }

    // The bandit: one token, two choices.

    @Test
    void aRewardedTokenBecomesMoreProbableAndAPunishedOneLess() {
        List<Double> up = bandit(verifier(text -> text.equals("1")), 12);
        List<Double> down = bandit(verifier(text -> !text.equals("1")), 12);

        assertThat(up).isSorted();
        assertThat(up.getLast()).isGreaterThan(up.getFirst() + 0.05);
        assertThat(down).isSortedAccordingTo((a, b) -> Double.compare(b, a));
        assertThat(down.getLast()).isLessThan(down.getFirst() - 0.05);
    }

    @Test
    void equalRewardsLeaveEveryParameterAsItIsEvenWithMomentum() {
        ModelConfig config = config(2);
        SequencedMap<String, Tensor> latents = latents(config);
        Student student = student(config, latents);
        var rewards = new ArrayList<Double>();
        // The first three steps reward token 1, the others everything.
        int[] judged = {0};
        Verifier changing = _ -> attempt -> verdict(judged[0]++ >= 4 + 3 * 8 || attempt.text().equals("1"));
        var objective = objective(banditSettings(), BANDIT, banditProblems(), LOCAL, changing, Watcher.NONE);
        Adam adam = adam(student, 0.003);
        float[][] after = new float[6][];
        float[] before = flat(latents);

        new Trainer(student, objective, adam, new Schedule(0, 6, 1), Double.POSITIVE_INFINITY).run(0, (_, line) -> {
            rewards.add(line.get("reward/mean").doubleValue());
            after[rewards.size() - 1] = flat(latents);
        });

        assertThat(rewards.subList(3, 6)).containsOnly(1.0);
        assertThat(Arrays.equals(before, after[0])).isFalse();
        assertThat(Arrays.equals(after[0], after[2])).isFalse();
        assertThat(Arrays.equals(after[2], after[3])).isTrue();
        assertThat(Arrays.equals(after[2], after[5])).isTrue();
    }

    @Test
    void aThreeBitStudentLearnsToAnswerFromRewardsAlone() {
        ModelConfig config = config(12);
        SequencedMap<String, Tensor> latents = latents(config);
        Student student = quantised(config, latents);
        // After token n comes n + 1, and then the end.
        List<Problem> problems = IntStream.range(2, 9)
                .mapToObj(n -> new Problem("after " + n, new int[] {n}, (n + 1) + " " + STOP))
                .toList();
        Verifier exact = gold -> attempt -> verdict(attempt.text().equals(gold));
        var sampling = new Sampling(1, 1, 0, 4, Set.of(STOP));
        var settings = new OnPolicySettings(3, 7, 16, sampling, Truncation.KEEP, 112, 512, MismatchGate.Limits.DEFAULT);
        var rewarding = new Signal.Rewards(Advantages.Scaling.GROUP_STD, GrpoLoss.of(Preset.DAPO, 4), 2, null);
        var rewards = new ArrayList<Double>();

        new Trainer(student, objective(settings, rewarding, problems, LOCAL, exact, Watcher.NONE), adam(student, 1e-2), new Schedule(5, 30, 1), 1)
                .run(0, (_, line) -> rewards.add(line.get("reward/mean").doubleValue()));

        assertThat(rewards.subList(0, 5)).allMatch(reward -> reward < 0.1);
        assertThat(rewards.subList(25, 30)).allMatch(reward -> reward > 0.35);
    }

    private List<Double> bandit(Verifier verifier, int steps) {
        ModelConfig config = config(2);
        Student student = student(config, latents(config));
        var probabilities = new ArrayList<Double>();
        var objective = objective(banditSettings(), BANDIT, banditProblems(), LOCAL, verifier, new Watcher() {
            @Override
            public void rollouts(long step, List<Rollout> rollouts, double @Nullable [] advantages) {
                float[] score = new TorchScorer(student.decoder(), 64).score(List.of(new int[] {0, 1})).getFirst();
                probabilities.add(Math.exp(score[0]));
            }
        });
        new Trainer(student, objective, adam(student, 0.01), new Schedule(0, steps, 1), Double.POSITIVE_INFINITY).run(0, (_, _) -> {});
        return probabilities;
    }

    private static OnPolicySettings banditSettings() {
        var sampling = new Sampling(1, 1, 0, 1, Set.of());
        return new OnPolicySettings(5, 1, 8, sampling, Truncation.KEEP, 8, 64, MismatchGate.Limits.DEFAULT);
    }

    private static List<Problem> banditProblems() {
        return IntStream.range(0, 4).mapToObj(i -> new Problem("arm " + i, new int[] {0}, "")).toList();
    }

    // The gradient.

    @ParameterizedTest
    @EnumSource(value = Preset.class, names = {"GRPO", "DAPO", "DR_GRPO", "SEQUENCE_SUM", "GSPO"})
    void theGradientIsThatOfTheWholeLossByAutograd(Preset preset) {
        Fixture fixture = new Fixture(settings(Truncation.KEEP, 100, 64), rewards(preset));
        float[] expected = fixture.autograd();

        for (int microBatch : new int[] {1, 2, 5, 100}) {
            for (int chunk : new int[] {1, 7, 1000}) {
                Fixture other = fixture.with(settings(Truncation.KEEP, microBatch, chunk));
                assertClose(other.gradient(true), expected, 1e-5);
            }
        }
    }

    @Test
    void theKlTermPullsTowardsTheReference() {
        ModelConfig config = config(12);
        var reference = new Decoder(config, new Weights(latents(config, 99)));
        var fixture = new Fixture(settings(Truncation.KEEP, 3, 64), rewards(Preset.DAPO, 0.5, 2, reference));

        assertClose(fixture.gradient(false), fixture.autograd(), 1e-5);
        assertThatThrownBy(() -> rewards(Preset.DAPO, 0.5, 2, null))
                .isInstanceOf(Failure.class)
                .hasMessageContaining("reference");
    }

    @Test
    void leavingOutGroupsWithoutVarianceChangesNoGradient() {
        // Half of the problems are always right.
        Verifier verifier = gold -> attempt -> verdict(gold.equals("easy") || Integer.parseInt(attempt.text().split(" ")[0]) % 2 == 0);
        Fixture fixture = new Fixture(settings(Truncation.KEEP, 4, 64), rewards(Preset.DAPO), verifier);
        long flat = Arrays.stream(fixture.advantages).filter(advantage -> advantage == 0).count();

        assertThat(flat).isBetween(6L, (long) fixture.advantages.length - 6);
        float[] skipped = fixture.gradient(true);
        RolloutPass.Result trained = fixture.last;
        assertClose(skipped, fixture.gradient(false), 1e-6);
        // Both are sums of advantages times ratios of 1 that nearly cancel; log-probabilities are float32, and micro-batches of other sequences
        // round them otherwise where the processor sums rows of other shapes in another order: by some 1e-7 each, less in the mean.
        assertThat(trained.loss()).isCloseTo(fixture.last.loss(), within(1e-7));
        assertThat(trained.tokens()).isLessThan(fixture.last.tokens());
    }

    @Test
    void onPolicyNothingIsClippedAndSamplerAndTrainerAgree() {
        Fixture fixture = new Fixture(settings(Truncation.KEEP, 4, 64), rewards(Preset.DAPO));
        StepReport report = fixture.objective.accumulate(fixture.student, 1);

        assertThat(report.metrics().get("clip/low")).isZero();
        assertThat(report.metrics().get("clip/high")).isZero();
        assertThat(report.metrics().get("mismatch/abs_max")).isLessThan(1e-5);
        assertThat(report.metrics().get("mismatch/abs_mean")).isGreaterThanOrEqualTo(0);
        assertThat(report.metrics().get("entropy")).isBetween(0.0, Math.log(12));
        assertThat(report.metrics().get("entropy/rollout")).isBetween(0.0, 2 * Math.log(12));
    }

    @Test
    void theEntropyIsThatOfTheFullDistribution() {
        Fixture fixture = new Fixture(settings(Truncation.KEEP, 4, 3), rewards(Preset.DAPO));
        fixture.gradient(false);
        double sum = 0;
        long tokens = 0;
        for (Rollout rollout : fixture.rollouts) {
            int[] ids = ids(rollout);
            int first = rollout.problem().prompt().length - 1;
            sum += Scope.get(() -> Grad.off(() -> {
                Tensor logits = fixture.student.decoder().logits(fixture.student.decoder().hidden(Cpu.of(ids, 1, ids.length)));
                Tensor log = logits.select(0, 0).narrow(0, first, rollout.length()).div(new Scalar(0.8)).log_softmax(-1);
                return -Tensors.item(log.exp().mul(log).sum());
            }));
            tokens += rollout.length();
        }

        assertThat(fixture.last.tokens()).isEqualTo(tokens);
        assertThat(fixture.last.entropySum()).isCloseTo(sum, within(1e-3));
    }

    // Sampling.

    @Test
    void groupsAreSamplesOfOneProblemAndAdvantagesAreFormedWithinThem() {
        Fixture fixture = new Fixture(settings(Truncation.KEEP, 4, 64), rewards(Preset.DAPO));
        int size = fixture.settings.groupSize();
        var seeds = new ArrayList<Long>();
        Function<Decoder, Generator> spying = decoder -> (requests, listener) -> {
            requests.forEach(request -> seeds.add(request.seed()));
            return LOCAL.apply(decoder).generate(requests, listener);
        };
        fixture.sampleWith(spying, 2);

        assertThat(fixture.rollouts).hasSize(fixture.settings.prompts() * size);
        for (int group = 0; group < fixture.settings.prompts(); group++) {
            List<Rollout> members = fixture.rollouts.subList(group * size, (group + 1) * size);
            int expected = group;
            assertThat(members).allSatisfy(member -> {
                assertThat(member.group()).isEqualTo(expected);
                assertThat(member.problem()).isEqualTo(members.getFirst().problem());
            });
            double[] rewards = members.stream().mapToDouble(Rollout::reward).toArray();
            assertThat(Arrays.copyOfRange(fixture.advantages, group * size, (group + 1) * size))
                    .isEqualTo(Advantages.of(rewards, size, Advantages.Scaling.GROUP_STD));
        }
        List<Long> step = seeds.subList(seeds.size() - fixture.rollouts.size(), seeds.size());
        assertThat(step).doesNotHaveDuplicates();
        assertThat(fixture.rollouts.stream().map(rollout -> TEXT.apply(rollout.completion().tokens())).distinct().count()).isGreaterThan(6);
    }

    @Test
    void anEpochAsksEveryProblemOnceAndAProblemAskedTwiceInAStepIsSampledAnew() {
        Fixture fixture = new Fixture(settings(Truncation.KEEP, 4, 64), rewards(Preset.DAPO));
        OnPolicyObjective objective = fixture.objective;
        // 10 problems, 4 a step
        List<String> first = IntStream.range(0, 5).mapToObj(objective::problems).flatMap(List::stream).map(Problem::id).toList();
        assertThat(first.subList(0, 10)).doesNotHaveDuplicates();
        assertThat(first.subList(10, 20)).doesNotHaveDuplicates().isNotEqualTo(first.subList(0, 10));

        var few = new OnPolicyObjective(fixture.settings, fixture.rewards, fixture.problems.subList(0, 2), LOCAL, TEXT, EVEN, new Watcher() {
            @Override
            public void rollouts(long step, List<Rollout> rollouts, double @Nullable [] advantages) {
                assertThat(rollouts.stream().map(rollout -> rollout.problem().id()).distinct().count()).isEqualTo(2);
                assertThat(texts(rollouts.subList(0, 12))).isNotEqualTo(texts(rollouts.subList(12, 24)));
            }
        });
        few.accumulate(fixture.student, 0);
    }

    @Test
    void aStepSamplesTheSameWhicheverStepsCameBefore() {
        Fixture fixture = new Fixture(settings(Truncation.KEEP, 4, 64), rewards(Preset.DAPO));
        fixture.sampleWith(LOCAL, 3);
        List<String> alone = texts(fixture.rollouts);
        fixture.sampleWith(LOCAL, 2);
        assertThat(texts(fixture.rollouts)).isNotEqualTo(alone);

        fixture.sampleWith(decoder -> new LocalGenerator(() -> new TorchSteps(decoder, 4096), 3), 3);

        assertThat(texts(fixture.rollouts)).isEqualTo(alone);
    }

    // Ends of completions.

    @Test
    void truncatedCompletionsMayBeKeptOutOfTheLossButNotOutOfTheBaseline() {
        Fixture keep = new Fixture(settings(Truncation.KEEP, 4, 64), rewards(Preset.DAPO));
        Fixture masked = keep.with(settings(Truncation.MASK_LOSS, 4, 64));
        long truncated = keep.rollouts.stream().filter(Rollout::truncated).count();
        assertThat(truncated).isBetween(1L, keep.rollouts.size() - 1L);

        masked.gradient(false);
        keep.gradient(false);

        long finished = keep.rollouts.stream().filter(rollout -> !rollout.truncated()).mapToLong(Rollout::length).sum();
        assertThat(masked.last.tokens()).isEqualTo(finished);
        assertThat(keep.last.tokens()).isEqualTo(keep.rollouts.stream().mapToLong(Rollout::length).sum());
        assertThat(masked.advantages).isEqualTo(keep.advantages);
        assertClose(masked.gradient(false), masked.autograd(), 1e-5);
    }

    @Test
    void theStopReasonDecidesAndTheStopTokenIsInTheLoss() {
        // Ends with a stop id; cut although its last token is the stop id; given up.
        Function<Decoder, Generator> ends = _ -> (requests, _) -> IntStream.range(0, requests.size())
                .mapToObj(i -> switch (i % 3) {
                    case 0 -> new Completion(new int[] {2, STOP}, new float[2], StopReason.STOP_TOKEN);
                    case 1 -> new Completion(new int[] {3, 4, STOP}, new float[3], StopReason.LENGTH);
                    default -> new Completion(new int[] {5}, new float[1], StopReason.ABORTED);
                })
                .toList();
        Fixture fixture = new Fixture(settings(Truncation.MASK_LOSS, 4, 64), rewards(Preset.DAPO, 0, 0, null));
        fixture.sampleWith(ends, 0);

        fixture.gradient(false);

        assertThat(fixture.rollouts.get(0).reward()).isEqualTo(1);
        assertThat(fixture.rollouts.get(1).truncated()).isTrue();
        assertThat(fixture.rollouts.get(2).reward()).isNaN();
        assertThat(fixture.advantages[2]).isZero();
        assertThat(fixture.last.tokens()).isEqualTo(2L * fixture.rollouts.size() / 3);
    }

    // Gates and settings.

    @Test
    void aSamplerOfAnotherModelIsStoppedBeforeTheFirstStep() {
        ModelConfig config = config(12);
        var other = new Decoder(config, new Weights(latents(config, 4)));
        Fixture fixture = new Fixture(settings(Truncation.KEEP, 4, 64), rewards(Preset.DAPO));
        var objective = objective(
                fixture.settings, fixture.rewards, fixture.problems, _ -> new LocalGenerator(() -> new TorchSteps(other, 4096), 16), EVEN, Watcher.NONE);

        assertThatThrownBy(() -> objective.accumulate(fixture.student, 0))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.GATE))
                .hasMessageContaining("preflight");
    }

    @Test
    void aQuantisedStudentIsSampledAsItIsTrained() {
        ModelConfig config = config(12);
        SequencedMap<String, Tensor> latents = latents(config);
        Student student = quantised(config, latents);
        OnPolicySettings settings = settings(Truncation.KEEP, 4, 64);
        List<Problem> problems = List.of(new Problem("a", new int[] {1, 2}, ""), new Problem("b", new int[] {3}, ""));

        Mismatch same = objective(settings, rewards(Preset.DAPO), problems, LOCAL, EVEN, Watcher.NONE).preflight(student);
        var latent = new Decoder(config, new Weights(latents));
        Mismatch other = objective(settings, rewards(Preset.DAPO), problems, _ -> new LocalGenerator(() -> new TorchSteps(latent, 4096), 16), EVEN, Watcher.NONE).preflight(student);

        assertThat(same.absoluteMax()).isLessThan(1e-5);
        assertThat(other.absoluteMean()).isGreaterThan(0.02);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void killedWithinARolloutAndResumedEndsWithTheSameBytes(boolean distils, @TempDir Path directory) {
        Signal signal = distils ? following(latents(config(12), 99), new Divergence.ReverseKl()) : rewards(Preset.DAPO);
        List<Object> whole = resumable(directory.resolve("whole"), signal, Integer.MAX_VALUE);
        for (int verdicts : new int[] {100, 30, 150}) {
            assertThatThrownBy(() -> resumable(directory.resolve("killed"), signal, verdicts)).hasMessage("killed");
        }

        assertThat(resumable(directory.resolve("killed"), signal, Integer.MAX_VALUE)).isEqualTo(whole);
        assertThat(whole.getLast()).asInstanceOf(InstanceOfAssertFactories.LIST).hasSize(12);
    }

    /// Twelve steps of a quantised student, given up after so many verdicts; what they left behind.
    private List<Object> resumable(Path directory, Signal signal, int verdicts) {
        ModelConfig config = config(12);
        SequencedMap<String, Tensor> latents = latents(config);
        Student student = quantised(config, latents);
        int[] left = {verdicts};
        Verifier failing = gold -> attempt -> {
            if (left[0]-- == 0) throw new IllegalStateException("killed");
            return EVEN.judge(gold).verdict(attempt);
        };
        List<Problem> problems = IntStream.range(0, 10).mapToObj(i -> new Problem("p" + i, new int[] {1, 2 + i}, "")).toList();
        var objective = objective(settings(Truncation.KEEP, 4, 64), signal, problems, LOCAL, failing, Watcher.NONE);
        try {
            Files.createDirectories(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        new ResumableRun(directory, directory.resolve("checkpoints"), 2, "grpo", Progress.silent())
                .run(new Trainer(student, objective, adam(student, 1e-3), new Schedule(1, 12, 0), 1));
        return List.of(
                HostCopies.of(student.state()),
                objective.state(),
                Metrics.read(directory.resolve("metrics.jsonl")).stream().map(Metrics.Row::values).toList());
    }

    @Test
    void memoryIsFlat() {
        Fixture fixture = new Fixture(settings(Truncation.KEEP, 4, 5), rewards(Preset.DAPO));
        var counts = new ArrayList<Long>();
        new Trainer(fixture.student, fixture.objective, adam(fixture.student, 1e-3), new Schedule(0, 5, 0), 1)
                .run(0, (_, _) -> counts.add(Pointer.totalCount()));

        assertThat(counts).hasSize(5);
        assertThat(counts.subList(1, 5)).containsOnly(counts.get(1));
    }

    @Test
    void biasedSamplingIsRefused() {
        OnPolicySettings good = banditSettings();
        for (Sampling bad : List.of(
                new Sampling(0, 1, 0, 1, Set.of()), new Sampling(1, 0.95, 0, 1, Set.of()), new Sampling(1, 1, 20, 1, Set.of()))) {
            assertThatThrownBy(() -> new OnPolicySettings(1, 1, 8, bad, Truncation.KEEP, 8, 64, good.mismatchLimits()))
                    .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(2));
        }
        var single = new OnPolicySettings(1, 1, 1, good.sampling(), Truncation.KEEP, 8, 64, good.mismatchLimits());
        assertThatThrownBy(() -> objective(single, BANDIT, banditProblems(), LOCAL, EVEN, Watcher.NONE)).hasMessageContaining("group size is 1");
    }

    // A teacher instead of rewards.

    static Stream<Divergence> divergences() {
        return Stream.of(new Divergence.ReverseKl(), new Divergence.ForwardKl(), new Divergence.JensenShannon(0.5));
    }

    @ParameterizedTest
    @MethodSource("divergences")
    void theGradientIsThatOfTheDivergenceAtEverySampledTokenByAutograd(Divergence divergence) {
        Signal.Distillation signal = following(latents(config(12), 99), divergence);
        for (Truncation truncation : Truncation.values()) {
            Fixture fixture = new Fixture(settings(truncation, 100, 64), rewards(Preset.DAPO));
            double[] loss = new double[1];
            float[] expected = fixture.autograd(signal.teacher(), loss);
            for (int microBatch : new int[] {1, 5, 100}) {
                for (int chunk : new int[] {1, 7, 1000}) {
                    Fixture other = fixture.with(settings(truncation, microBatch, chunk));
                    assertClose(other.gradient(signal), expected, 1e-5);
                    assertThat(other.last.loss()).isCloseTo(loss[0], within(1e-5 * loss[0]));
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("divergences")
    void aStudentThatIsItsTeacherHasNothingToLearn(Divergence divergence) {
        SequencedMap<String, Tensor> latents = latents(config(12));
        Student student = student(config(12), latents);
        List<Problem> problems = List.of(new Problem("a", new int[] {1, 2}, ""), new Problem("b", new int[] {3}, ""));
        // Frozen copies, so that a step that moved the student would part the two.
        Signal signal = following(latents(config(12)), divergence);
        StepReport report = objective(settings(Truncation.KEEP, 4, 64), signal, problems, LOCAL, EVEN, Watcher.NONE).accumulate(student, 0);

        boolean exact = !(divergence instanceof Divergence.JensenShannon);
        assertThat(Math.abs(report.loss())).isLessThanOrEqualTo(exact ? 0 : 1e-7);
        assertThat(Scope.get(() -> Tensors.item(student.gradient().abs().max()))).isLessThanOrEqualTo(exact ? 0 : 1e-6);
    }

    @Test
    void aThreeBitStudentFollowsItsTeacherThoughNothingIsEverRewarded() {
        ModelConfig config = config(12);
        Student student = quantised(config, latents(config));
        Signal signal = following(latents(config, 99), new Divergence.ReverseKl());
        List<Problem> problems = IntStream.range(2, 9).mapToObj(n -> new Problem("after " + n, new int[] {n}, "")).toList();
        Verifier never = verifier(_ -> false);
        var settings = new OnPolicySettings(3, 7, 4, new Sampling(1, 1, 0, 6, Set.of(STOP)), Truncation.KEEP, 28, 512, MismatchGate.Limits.DEFAULT);
        var lines = new ArrayList<SequencedMap<String, Number>>();

        new Trainer(student, objective(settings, signal, problems, LOCAL, never, Watcher.NONE), adam(student, 1e-2), new Schedule(5, 40, 1), 1)
                .run(0, (_, line) -> lines.add(line));

        List<Double> losses = lines.stream().map(line -> line.get("loss").doubleValue()).toList();
        assertThat(losses.subList(35, 40)).allMatch(loss -> loss < 0.3 * losses.getFirst());
        assertThat(lines).allSatisfy(line -> {
            assertThat(line.get("reward/mean").doubleValue()).isZero();
            assertThat(line.get("groups/zero_variance").doubleValue()).isOne();
            assertThat(line).containsKeys("length/mean", "entropy", "entropy/rollout", "mismatch/k3").doesNotContainKeys("clip/low", "kl");
        });
    }

    @Test
    void rewardsAreMeasuredAndChangeNothing() {
        Signal signal = following(latents(config(12), 99), new Divergence.ReverseKl());
        List<Problem> problems = List.of(new Problem("a", new int[] {1, 2}, ""), new Problem("b", new int[] {3}, ""));
        var gradients = new ArrayList<float[]>();
        var rewards = new ArrayList<Double>();
        for (Verifier verifier : List.of(EVEN, verifier(_ -> true))) {
            Student student = student(config(12), latents(config(12)));
            StepReport report = objective(settings(Truncation.KEEP, 4, 64), signal, problems, LOCAL, verifier, new Watcher() {
                @Override
                public void rollouts(long step, List<Rollout> rollouts, double @Nullable [] advantages) {
                    assertThat(advantages).isNull();
                    assertThat(rollouts.getFirst().toJson(step, null)).contains("\"advantage\":null");
                }
            }).accumulate(student, 3);
            gradients.add(Tensors.floats(student.gradient()));
            rewards.add(report.metrics().get("reward/mean"));
        }

        assertThat(rewards.get(0)).isBetween(0.1, 0.9);
        assertThat(rewards.get(1)).isOne();
        assertThat(gradients.get(0)).isEqualTo(gradients.get(1));
    }

    private Signal.Distillation following(SequencedMap<String, Tensor> latents, Divergence divergence) {
        return new Signal.Distillation(new Teacher(new Decoder(config(12), new Weights(latents)), divergence, 0.8));
    }

    /// A student, a step's rollouts and their advantages.
    private final class Fixture {
        final OnPolicySettings settings;
        final Signal.Rewards rewards;
        final Student student;
        final List<Problem> problems;
        final OnPolicyObjective objective;
        final Verifier verifier;
        List<Rollout> rollouts = List.of();
        double[] advantages = {};
        RolloutPass.@Nullable Result last;

        Fixture(OnPolicySettings settings, Signal.Rewards rewards) {
            this(settings, rewards, EVEN);
        }

        Fixture(OnPolicySettings settings, Signal.Rewards rewards, Verifier verifier) {
            this(settings, rewards, verifier, student(config(12), latents(config(12))));
            sampleWith(LOCAL, 0);
        }

        private Fixture(OnPolicySettings settings, Signal.Rewards rewards, Verifier verifier, Student student) {
            this.settings = settings;
            this.rewards = rewards;
            this.verifier = verifier;
            this.student = student;
            this.problems = IntStream.range(0, 10)
                    .mapToObj(i -> new Problem("p" + i, IntStream.rangeClosed(1, 2 + i % 3).toArray(), i % 2 == 0 ? "easy" : ""))
                    .toList();
            this.objective = objective(settings, rewards, problems, LOCAL, verifier, Watcher.NONE);
        }

        /// The same rollouts under other settings.
        Fixture with(OnPolicySettings other) {
            var result = new Fixture(other, rewards, verifier, student);
            result.rollouts = rollouts;
            result.advantages = advantages;
            return result;
        }

        void sampleWith(Function<Decoder, Generator> generator, long step) {
            student.project();
            int[] calls = {0};
            // the first call is the preflight
            Function<Decoder, Generator> second = decoder -> calls[0]++ == 0 ? LOCAL.apply(decoder) : generator.apply(decoder);
            var relaxed = new OnPolicySettings(
                    settings.seed(), settings.prompts(), settings.groupSize(), settings.sampling(), settings.truncation(), settings.microBatch(), settings.chunk(),
                    new MismatchGate.Limits(1e9, 1e9, 1e9, 1e9, 9, 1e9));
            new OnPolicyObjective(relaxed, rewards, problems, second, TEXT, verifier, new Watcher() {
                @Override
                public void rollouts(long at, List<Rollout> sampled, double @Nullable [] computed) {
                    rollouts = sampled;
                    advantages = computed;
                }
            }).accumulate(student, step);
        }

        float[] gradient(boolean skipFlat) {
            student.zeroGradients();
            last = new RolloutPass(settings, rewards).accumulate(student, rollouts, advantages, skipFlat);
            return Tensors.floats(student.gradient());
        }

        float[] gradient(Signal.Distillation signal) {
            student.zeroGradients();
            last = new RolloutPass(settings, signal).accumulate(student, rollouts, null, false);
            return Tensors.floats(student.gradient());
        }

        /// The gradient of the mean divergence over all tokens of the loss, as textbooks write it, by autograd over all logits.
        float[] autograd(Teacher teacher, double[] value) {
            student.zeroGradients();
            List<Rollout> counted = counted();
            double tokens = counted.stream().mapToInt(Rollout::length).sum();
            for (Rollout rollout : counted) {
                value[0] += Scope.get(() -> {
                    Tensor s = distribution(student.decoder(), rollout);
                    Tensor t = Grad.off(() -> distribution(teacher.decoder(), rollout));
                    Tensor m = s.exp().add(t.exp()).mul(new Scalar(0.5)).log();
                    Tensor terms = switch (teacher.divergence()) {
                        case Divergence.ReverseKl _ -> s.exp().mul(s.sub(t));
                        case Divergence.ForwardKl _ -> t.exp().mul(t.sub(s));
                        case Divergence.JensenShannon _ ->
                            s.exp().mul(s.sub(m)).add(t.exp().mul(t.sub(m))).mul(new Scalar(0.5));
                    };
                    Tensor loss = terms.sum().mul(new Scalar(teacher.temperature() * teacher.temperature() / tokens));
                    loss.backward();
                    return Tensors.item(loss);
                });
            }
            return Tensors.floats(student.gradient());
        }

        private List<Rollout> counted() {
            return rollouts.stream()
                    .filter(rollout -> settings.truncation() == Truncation.KEEP || !rollout.truncated())
                    .toList();
        }

        /// The gradient of the loss as the papers write it, by autograd over all logits.
        float[] autograd() {
            Decoder reference = rewards.reference();
            student.zeroGradients();
            List<Rollout> counted = counted();
            double tokens = counted.stream().mapToInt(Rollout::length).sum();
            double completions = rollouts.size();
            GrpoLoss loss = rewards.loss();
            for (Rollout rollout : counted) {
                double advantage = advantages[rollouts.indexOf(rollout)];
                double denominator = switch (loss.preset()) {
                    case GRPO, GSPO -> completions * rollout.length();
                    case DAPO -> tokens;
                    case DR_GRPO -> completions * loss.maximumLength();
                    case SEQUENCE_SUM -> completions;
                    case BNPO -> throw new AssertionError();
                };
                Scope.run(() -> {
                    Tensor current = logProbabilities(student.decoder(), rollout);
                    Tensor shift = current.sub(current.detach());
                    if (loss.preset() == Preset.GSPO) shift = shift.mean().expand(rollout.length());
                    Tensor weight = Tensors.clamp(
                            current.detach().sub(Cpu.of(rollout.completion().logProbabilities(), rollout.length())).exp(), 0, 2);
                    Tensor terms = shift.exp().mul(weight).mul(new Scalar(-advantage));
                    if (reference != null) {
                        Tensor d = Grad.off(() -> logProbabilities(reference, rollout)).sub(current);
                        // value k3, gradient that of d^2 / 2
                        terms = terms.add(d.mul(d).mul(new Scalar(loss.klWeight() / 2)));
                    }
                    terms.sum().div(new Scalar(denominator)).backward();
                });
            }
            return Tensors.floats(student.gradient());
        }

        private Tensor logProbabilities(Decoder decoder, Rollout rollout) {
            return distribution(decoder, rollout).gather(1, Cpu.of(rollout.completion().tokens(), rollout.length(), 1)).squeeze(1);
        }

        /// `[tokens, vocabulary]`, log-probabilities at the sampling temperature.
        private Tensor distribution(Decoder decoder, Rollout rollout) {
            int[] ids = ids(rollout);
            int first = rollout.problem().prompt().length;
            Tensor logits = decoder.logits(decoder.hidden(Cpu.of(ids, 1, ids.length))).select(0, 0);
            return logits.narrow(0, first - 1, rollout.length())
                    .div(new Scalar(settings.sampling().temperature()))
                    .log_softmax(-1);
        }
    }

    private static int[] ids(Rollout rollout) {
        return IntStream.concat(IntStream.of(rollout.problem().prompt()), IntStream.of(rollout.completion().tokens())).toArray();
    }

    private static OnPolicySettings settings(Truncation truncation, int microBatch, int chunk) {
        return new OnPolicySettings(11, 4, 6, new Sampling(0.8, 1, 0, 6, Set.of(STOP, 1)), truncation, microBatch, chunk, MismatchGate.Limits.DEFAULT);
    }

    private static Signal.Rewards rewards(Preset preset) {
        return rewards(preset, 0, 2, null);
    }

    private static Signal.Rewards rewards(Preset preset, double klWeight, double cap, @Nullable Decoder reference) {
        GrpoLoss plain = GrpoLoss.of(preset, 6);
        var loss = new GrpoLoss(
                preset, plain.clipLow(), plain.clipHigh(), plain.ratioCap(), plain.dualClip(), klWeight, KlGradient.CORRECTED, 6);
        return new Signal.Rewards(Advantages.Scaling.GROUP_STD, loss, cap, reference);
    }

    private static OnPolicyObjective objective(
            OnPolicySettings settings, Signal signal, List<Problem> problems, Function<Decoder, Generator> generator, Verifier verifier, Watcher watcher) {
        return new OnPolicyObjective(settings, signal, problems, generator, TEXT, verifier, watcher);
    }

    private static Verifier verifier(java.util.function.Predicate<String> right) {
        return _ -> attempt -> verdict(right.test(attempt.text()));
    }

    private static Verdict verdict(boolean right) {
        return new Verdict(right ? Reason.MATCH : Reason.MISMATCH, "");
    }

    private static List<String> texts(List<Rollout> rollouts) {
        return rollouts.stream().map(Rollout::text).toList();
    }

    private static ModelConfig config(int vocabulary) {
        return new ModelConfig(
                ModelConfig.Family.QWEN3, vocabulary, 16, 24, 2, 2, 1, 8, 64, 1e-6,
                new Rope(10_000, new Rope.None()), true, false, false, false, true);
    }

    private SequencedMap<String, Tensor> latents(ModelConfig config) {
        return latents(config, 1);
    }

    /// Larger than a real initialisation, so that distributions are far from uniform and a step is small beside a weight.
    private SequencedMap<String, Tensor> latents(ModelConfig config, long seed) {
        SequencedMap<String, Tensor> latents = Initialiser.random(config, seed);
        latents.values().forEach(open::add);
        Scope.run(() -> latents.forEach((_, latent) -> {
            if (latent.dim() == 2) latent.mul_(new Scalar(15.0));
        }));
        return latents;
    }

    private Student student(ModelConfig config, SequencedMap<String, Tensor> latents) {
        var student = new Student(config, latents, new Student.Options(ScalarType.Float, false, Set.of()));
        student.project();
        open.add(student);
        return student;
    }

    /// Every linear map on a 3-bit grid.
    private Student quantised(ModelConfig config, SequencedMap<String, Tensor> latents) {
        var grids = new LinkedHashMap<String, Grid>();
        for (int layer = 0; layer < config.layers(); layer++) {
            for (Linear linear : Linear.values()) {
                String name = linear.weight(layer);
                Grid grid = Grid.fit(new GridSpec(3, 8, true, ScaleType.BFLOAT16), latents.get(name), ClipSearch.NONE);
                open.add(grid);
                grids.put(name, grid);
            }
        }
        var quantisation = Student.Quantisation.weightsOnly(grids, ScaleMode.STATIC, MaskRule.HALF_STEP);
        var student = new Student(config, latents, quantisation, new Student.Options(ScalarType.Float, false, Set.of()));
        open.add(student);
        return student;
    }

    private Adam adam(Student student, double learningRate) {
        var adam = new Adam(Adam.Settings.DEFAULT, List.of(new Adam.Group(learningRate, student.parameters())));
        open.add(adam);
        return adam;
    }

    private static float[] flat(SequencedMap<String, Tensor> latents) {
        return Scope.get(() -> Tensors.floats(Tensors.cat(
                latents.values().stream().map(latent -> latent.detach().view(-1)).toList(), 0)));
    }

    private static void assertClose(float[] actual, float[] expected, double relative) {
        double error = 0, size = 0;
        for (int i = 0; i < expected.length; i++) {
            error += Math.pow(actual[i] - expected[i], 2);
            size += Math.pow(expected[i], 2);
        }
        assertThat(size).isPositive();
        assertThat(Math.sqrt(error / size)).isLessThan(relative);
    }
}
