package rqat.rl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import rqat.Failure;
import rqat.rl.ColdStartGate.Outcome;

class ColdStartGateTest {

    @Test
    void countsRightSamplesAndMixedGroups() {
        double[] rewards = {1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0};

        assertThat(Outcome.of(rewards, 4)).isEqualTo(new Outcome(4, 4, 5 / 16.0, 0.25));
        assertThat(Outcome.of(new double[] {1, Double.NaN, 0, 1}, 2)).isEqualTo(new Outcome(2, 2, 2 / 3.0, 0.5));
    }

    @Test
    void aCollapsedModelIsRefusedUnlessForced() {
        var collapsed = new Outcome(64, 8, 0.05, 0.3);

        assertThatThrownBy(() -> ColdStartGate.DEFAULT.check(collapsed, false))
                .isInstanceOfSatisfying(Failure.class, failure -> assertThat(failure.exitCode()).isEqualTo(4))
                .hasMessageContaining("5.0 % of the samples are right (minimum 20.0 %)")
                .hasMessageContaining("too weak");
        assertThatCode(() -> ColdStartGate.DEFAULT.check(collapsed, true)).doesNotThrowAnyException();
    }

    @Test
    void aModelWithLittleLeftToLearnPassesAndOneStuckInBetweenDoesNot() {
        assertThatCode(() -> ColdStartGate.DEFAULT.check(new Outcome(64, 8, 0.98, 0.05), false)).doesNotThrowAnyException();
        assertThatThrownBy(() -> ColdStartGate.DEFAULT.check(new Outcome(64, 8, 0.85, 0.05), false)).isInstanceOf(rqat.Failure.class);
        assertThatThrownBy(() -> ColdStartGate.DEFAULT.check(new Outcome(64, 8, 0.4, 0), false))
                .hasMessageContaining("difficulty in between");
        assertThatCode(() -> ColdStartGate.DEFAULT.check(new Outcome(64, 8, 0.2, 0.1), false)).doesNotThrowAnyException();
    }
}
