package rqat.rl;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import rqat.rl.Advantages.Scaling;

class AdvantagesTest {

    @ParameterizedTest
    @CsvSource({
        "1, 2.474174, -0.353453, .875, -.125, 1, -.142857",
        "2, 1.619835, -0.539945, .75, -.25, .857143, -.285714",
        "3, 1.207381, -0.724429, .625, -.375, .714286, -.428571",
        "4, 0.935239, -0.935239, .5, -.5, .571429, -.571429",
        "5, 0.724429, -1.207381, .375, -.625, .428571, -.714286",
        "6, 0.539945, -1.619835, .25, -.75, .285714, -.857143",
        "7, 0.353453, -2.474174, .125, -.875, .142857, -1",
    })
    void eightBinaryRewardsWithSomeRight(
            int right, double groupRight, double groupWrong, double noneRight, double noneWrong, double looRight, double looWrong) {
        double[] rewards = IntStream.range(0, 8).mapToDouble(i -> i < right ? 1 : 0).toArray();

        assertThat(Advantages.of(rewards, 8, Scaling.GROUP_STD)).containsExactly(pattern(right, groupRight, groupWrong), within(1e-6));
        assertThat(Advantages.of(rewards, 8, Scaling.NONE)).containsExactly(pattern(right, noneRight, noneWrong), within(1e-6));
        assertThat(Advantages.of(rewards, 8, Scaling.LEAVE_ONE_OUT)).containsExactly(pattern(right, looRight, looWrong), within(1e-6));
    }

    @ParameterizedTest
    @EnumSource(Scaling.class)
    void equalRewardsGiveExactlyZeroThoughTheirMeanIsRounded(Scaling scaling) {
        double[] rewards = DoubleStream.concat(DoubleStream.generate(() -> 0.1).limit(7), DoubleStream.of(1, 0, 0, 0, 0, 0, 0)).toArray();

        double[] advantages = Advantages.of(rewards, 7, scaling);

        assertThat(Arrays.copyOf(advantages, 7)).containsOnly(0.0);
        assertThat(advantages[7]).isPositive();
    }

    @Test
    void leaveOneOutIsTheDifferenceToTheMeanOfTheOthers() {
        double[] rewards = {0.3, 0.9, Double.NaN, -1, 0.25};

        double[] advantages = Advantages.of(rewards, 5, Scaling.LEAVE_ONE_OUT);

        assertThat(advantages).containsExactly(
                new double[] {0.3 - (0.9 - 1 + 0.25) / 3, 0.9 - (0.3 - 1 + 0.25) / 3, 0, -1 - (0.3 + 0.9 + 0.25) / 3, 0.25 - 0.2 / 3},
                within(1e-12));
    }

    @Test
    void aGroupWithOneRewardLeftTeachesNothing() {
        for (Scaling scaling : Scaling.values()) {
            assertThat(Advantages.of(new double[] {Double.NaN, 1, Double.NaN}, 3, scaling)).containsOnly(0.0);
        }
    }

    @Test
    void theOrderOfGroupsAndOfRowsWithinThemDoesNotMatter() {
        var random = new SplittableRandom(7);
        double[] rewards = random.doubles(24).toArray();
        double[] reversed = IntStream.range(0, 24).mapToDouble(i -> rewards[23 - i]).toArray();

        for (Scaling scaling : Scaling.values()) {
            double[] forwards = Advantages.of(rewards, 8, scaling);
            double[] backwards = Advantages.of(reversed, 8, scaling);
            double[] expected = IntStream.range(0, 24).mapToDouble(i -> forwards[23 - i]).toArray();
            assertThat(backwards).containsExactly(expected, within(1e-12));
        }
    }

    @Test
    void missingKindsAreLeftOutOfTheWeightedSum() {
        double[] sums = Advantages.weightedSum(
                new double[][] {{1, 0.5}, {1, Double.NaN}, {Double.NaN, Double.NaN}}, new double[] {1, 2});

        assertThat(sums).containsExactly(2, 1, Double.NaN);
    }

    @Test
    void rowsMustBeWholeGroups() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Advantages.of(new double[9], 8, Scaling.NONE))
                .withMessage("9 rewards are not whole groups of 8");
    }

    private static double[] pattern(int right, double ofRight, double ofWrong) {
        return IntStream.range(0, 8).mapToDouble(i -> i < right ? ofRight : ofWrong).toArray();
    }
}
