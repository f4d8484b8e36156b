package rqat.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import rqat.Property;
import rqat.run.RandomStream;

class TokenChooserTest {
    private static Sampling sampling(double temperature, double topP, int topK) {
        return new Sampling(temperature, topP, topK, 1, Set.of());
    }

    @Test
    void greedyTakesTheFirstOfTheMostProbable() {
        assertThat(TokenChooser.choose(sampling(0, 1, 0), new float[] {.1f, .4f, .1f, .4f}, .99)).isEqualTo(1);
    }

    @Test
    void samplingInvertsTheCumulativeDistribution() {
        float[] probabilities = {.125f, 0, .5f, .25f, .125f};
        assertThat(draw(probabilities, 0, .1249)).containsExactly(0, 0);
        assertThat(draw(probabilities, .125, .6249)).containsExactly(2, 2);
        assertThat(draw(probabilities, .625, .8749)).containsExactly(3, 3);
        assertThat(draw(probabilities, .875, Math.nextDown(1.0))).containsExactly(4, 4);
    }

    private static int[] draw(float[] probabilities, double... numbers) {
        return java.util.Arrays.stream(numbers)
                .mapToInt(u -> TokenChooser.choose(sampling(1, 1, 0), probabilities, u))
                .toArray();
    }

    @Test
    void topPKeepsTheSmallestSufficientSetAndBreaksTiesByTheLowerId() {
        float[] probabilities = {.1f, .2f, .2f, .3f, .2f};
        // .3 and the first .2 reach .5; a hair more takes the second .2 (id 2), not the third (id 4).
        assertThat(support(sampling(1, .5, 0), probabilities)).containsExactly(1, 3);
        assertThat(support(sampling(1, .51, 0), probabilities)).containsExactly(1, 2, 3);
        assertThat(support(sampling(1, 1e-9, 0), probabilities)).containsExactly(3);
    }

    @Test
    void topPMeasuresWhatTopKLeaves() {
        float[] probabilities = {.4f, .3f, .2f, .1f};
        // Of the two kept by top-k, .4 / .7 = 57 % comes from the first.
        assertThat(support(sampling(1, .57, 2), probabilities)).containsExactly(0);
        assertThat(support(sampling(1, .58, 2), probabilities)).containsExactly(0, 1);
        assertThat(support(sampling(1, 1, 2), probabilities)).containsExactly(0, 1);
    }

    private static List<Integer> support(Sampling sampling, float[] probabilities) {
        return IntStream.range(0, 10_000)
                .map(i -> TokenChooser.choose(sampling, probabilities, i / 10_000.0))
                .distinct()
                .boxed()
                .toList();
    }

    @Test
    void agreesWithSortingEverything() {
        Property.forAll(300, random -> {
            float[] probabilities = probabilities(random);
            var sampling = sampling(
                    1, random.nextInt(4) == 0 ? 1 : 1 - random.nextDouble(), random.nextBoolean() ? 0 : 1 + random.nextInt(80));
            double u = random.nextDouble();
            assertThat(TokenChooser.choose(sampling, probabilities, u)).isEqualTo(bySortingEverything(sampling, probabilities, u));
        });
    }

    /// The definition, with boxed numbers and a full sort.
    private static int bySortingEverything(Sampling sampling, float[] probabilities, double u) {
        var order = new ArrayList<>(IntStream.range(0, probabilities.length).boxed().toList());
        order.sort(Comparator.<Integer>comparingDouble(id -> -probabilities[id]).thenComparing(id -> id));
        List<Integer> kept = sampling.topK() == 0 ? order : order.subList(0, Math.min(sampling.topK(), order.size()));
        double mass = kept.stream().mapToDouble(id -> probabilities[id]).sum(), reached = 0;
        var nucleus = new ArrayList<Integer>();
        for (int id : kept) {
            if (!nucleus.isEmpty() && reached >= sampling.topP() * mass) break;
            nucleus.add(id);
            reached += probabilities[id];
        }
        nucleus.sort(null);
        double total = nucleus.stream().mapToDouble(id -> probabilities[id]).sum(), cumulative = 0;
        for (int id : nucleus) {
            cumulative += probabilities[id];
            if (cumulative > u * total) return id;
        }
        throw new AssertionError("u too large");
    }

    /// A distribution that may be flat or steep, with ties and zeros.
    private static float[] probabilities(RandomStream random) {
        float[] weights = new float[1 + random.nextInt(100)];
        double steepness = 8 * random.nextDouble();
        float sum = 0;
        for (int i = 0; i < weights.length; i++) {
            weights[i] = random.nextInt(10) == 0 && i > 0 ? 0 : (float) Math.exp(steepness * Math.round(4 * random.nextGaussian()) / 4);
            sum += weights[i];
        }
        for (int i = 0; i < weights.length; i++) weights[i] /= sum;
        return weights;
    }

    @Test
    void frequenciesFollowTheKeptDistribution() {
        float[] probabilities = {.05f, .15f, .35f, .25f, .2f};
        var random = new RandomStream(7);
        int[] counts = new int[5];
        int draws = 200_000;
        for (int i = 0; i < draws; i++) counts[TokenChooser.choose(sampling(1, .75, 0), probabilities, random.nextDouble())]++;
        // .35 + .25 + .2 are the first to reach .75; four standard deviations of a share are below .0045.
        assertThat(counts[0] + counts[1]).isZero();
        assertThat(counts[2] / (double) draws).isCloseTo(.35 / .8, within(.0045));
        assertThat(counts[3] / (double) draws).isCloseTo(.25 / .8, within(.0045));
    }

    @Test
    void refusesWhatIsNotADistribution() {
        float[] broken = {Float.NaN, Float.NaN};
        for (Sampling sampling : List.of(sampling(0, 1, 0), sampling(1, 1, 0), sampling(1, .9, 0), sampling(1, .9, 1))) {
            assertThatThrownBy(() -> TokenChooser.choose(sampling, broken, .5)).isInstanceOf(IllegalArgumentException.class);
            assertThat(TokenChooser.choose(new StepModel.Draw(sampling, .5, 0), broken)).isNull();
        }
    }

    @Test
    void theMostProbableAreTheFirstOfAFullSort() {
        Property.forAll(100, random -> {
            float[] probabilities = probabilities(random);
            int count = random.nextInt(20);
            int[] expected = IntStream.range(0, probabilities.length)
                    .boxed()
                    .sorted(Comparator.<Integer>comparingDouble(id -> -probabilities[id]).thenComparing(id -> id))
                    .limit(count)
                    .mapToInt(id -> id)
                    .toArray();
            assertThat(TokenChooser.mostProbable(probabilities, count)).isEqualTo(expected);
            Choice choice = TokenChooser.choose(new StepModel.Draw(sampling(1, .9, 0), random.nextDouble(), count), probabilities);
            assertThat(choice.logProbability()).isEqualTo((float) Math.log(probabilities[choice.token()]));
            assertThat(choice.alternatives().stream().mapToInt(Choice.Alternative::token).toArray()).isEqualTo(expected);
        });
    }
}
