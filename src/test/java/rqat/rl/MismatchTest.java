package rqat.rl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import rqat.Failure;

class MismatchTest {
    private static final double[][] TRAINING = {{-1, -0.2}, {-3, -99}};
    private static final double[][] ROLLOUT = {{-1.1, -0.1}, {-4, 5}};
    private static final boolean[][] MASK = {{true, true}, {true, false}};

    @Test
    void theWorkedExample() {
        Mismatch mismatch = Mismatch.of(TRAINING, ROLLOUT, MASK, 2);

        assertThat(mismatch.tokens()).isEqualTo(3);
        assertThat(mismatch.absoluteMean()).isCloseTo(0.4, within(1e-12));
        assertThat(mismatch.absoluteMax()).isCloseTo(1, within(1e-12));
        assertThat(mismatch.k1()).isCloseTo(-1.0 / 3, within(1e-12));
        assertThat(mismatch.k3()).isCloseTo(0.2427633882, within(1e-10));
        assertThat(mismatch.probabilityMean()).isCloseTo(0.0508621506, within(1e-10));
        assertThat(mismatch.probabilityMax()).isCloseTo(Math.exp(-0.1) - Math.exp(-0.2), within(1e-12));
        assertThat(mismatch.effectiveSampleShare()).isCloseTo(0.7903375513, within(1e-10));
        assertThat(mismatch.multiplicativeError()).isCloseTo(1.6428745549, within(1e-10));
        assertThat(mismatch.cappedShare()).isCloseTo(1.0 / 3, within(1e-12));
    }

    @Test
    void weightsAreTheRatiosUpToTheCap() {
        double[][] weights = Mismatch.weights(TRAINING, ROLLOUT, 2);

        assertThat(weights[0]).containsExactly(new double[] {1.1051709, 0.9048374}, within(1e-7));
        assertThat(weights[1][0]).isEqualTo(2);
    }

    @Test
    void nothingToCompareIsAPerfectSampler() {
        assertThat(Mismatch.of(new double[0][], new double[0][], new boolean[0][], 2))
                .isEqualTo(Mismatch.of(new double[][] {{-1}}, new double[][] {{-9}}, new boolean[][] {{false}}, 2))
                .satisfies(mismatch -> assertThat(mismatch.absoluteMean()).isZero());
    }

    @Test
    void thePreflightStopsWithItsFigures() {
        Mismatch bad = Mismatch.of(TRAINING, ROLLOUT, MASK, 2);

        assertThatThrownBy(() -> new MismatchGate(MismatchGate.Limits.DEFAULT, bad))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(4))
                .hasMessageContaining("preflight")
                .hasMessageContaining("0.4000 nats")
                .hasMessageContaining("limit 0.02000")
                .hasMessageContaining("over 3 tokens");
    }

    @Test
    void figuresThatAreNotNumbersStop() {
        double[][] lost = {{Double.NaN, -0.2}, {-3, 0}};

        assertThatThrownBy(() -> new MismatchGate(MismatchGate.Limits.DEFAULT, Mismatch.of(lost, ROLLOUT, MASK, 2)))
                .isInstanceOf(Failure.class);
        var gate = new MismatchGate(MismatchGate.Limits.DEFAULT, shifted(0));
        assertThatThrownBy(() -> gate.check(1, Mismatch.of(lost, ROLLOUT, MASK, 2))).isInstanceOf(Failure.class);
    }

    @Test
    void threeBadStepsInARowStopTheRunAndTwoDoNot() {
        var gate = new MismatchGate(MismatchGate.Limits.DEFAULT, shifted(0.002));
        Mismatch bad = shifted(0.0065), good = shifted(0.0055);

        assertThatCode(() -> {
            gate.check(1, bad);
            gate.check(2, bad);
            gate.check(3, good);
            gate.check(4, bad);
            gate.check(5, bad);
        }).doesNotThrowAnyException();
        var resumed = new MismatchGate(MismatchGate.Limits.DEFAULT, gate.state());
        assertThatThrownBy(() -> resumed.check(6, bad))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.kind()).isEqualTo(Failure.Kind.GATE))
                .hasMessageContaining("step 6")
                .hasMessageContaining("0.006500");
    }

    @Test
    void roundingNoiseNeverStopsARun() {
        var gate = new MismatchGate(MismatchGate.Limits.DEFAULT, shifted(1e-7));

        assertThatCode(() -> {
            for (int step = 0; step < 10; step++) gate.check(step, shifted(1e-5));
        }).doesNotThrowAnyException();
    }

    @Test
    void aLargeK3StopsAtOnce() {
        var gate = new MismatchGate(MismatchGate.Limits.DEFAULT, shifted(0.01));

        assertThatThrownBy(() -> gate.check(1, shifted(0.2))).isInstanceOf(Failure.class).hasMessageContaining("K3");
    }

    private static Mismatch shifted(double by) {
        return Mismatch.of(new double[][] {{-1, -2}}, new double[][] {{-1 - by, -2 + by}}, new boolean[][] {{true, true}}, 2);
    }
}
