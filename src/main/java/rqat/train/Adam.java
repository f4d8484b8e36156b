package rqat.train;

import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import rqat.tensor.Grad;
import rqat.tensor.Place;
import rqat.tensor.Scope;
import rqat.tensor.Tensors;

/// Adam with decoupled weight decay (Kingma and Ba 2015; Loshchilov and Hutter 2019) over fp32 values and moments: an update of 1e-6 does
/// not survive rounding to bfloat16, so nothing here is narrower than fp32.
///
///     m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2
///     w = w - lr decay w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + epsilon)
///
/// Both bias corrections are folded into two scalars. Closes its moments; the parameters belong to the caller.
public final class Adam implements AutoCloseable {

    /// The constants; those of the paper's Table 6 are [#DEFAULT].
    ///
    /// @param weightDecay decoupled, as a fraction of the learning rate; applied to matrices only, never to norms, biases or scales
    public record Settings(double beta1, double beta2, double epsilon, double weightDecay) {
        /// 0.9, 0.95, 1e-8, no decay.
        public static final Settings DEFAULT = new Settings(0.9, 0.95, 1e-8, 0);

        /// Checks the ranges.
        public Settings {
            if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1)) {
                throw new IllegalArgumentException("betas are %s and %s; expected 0 to below 1".formatted(beta1, beta2));
            }
            if (!(epsilon > 0)) throw new IllegalArgumentException("epsilon is %s; expected above 0".formatted(epsilon));
            if (!(weightDecay >= 0)) throw new IllegalArgumentException("weight decay is %s; expected 0 or more".formatted(weightDecay));
        }
    }

    /// Parameters that share a peak learning rate.
    public record Group(double learningRate, List<Parameter> parameters) {}

    private record Moments(Tensor first, Tensor second) {}

    private final Settings settings;
    private final List<Group> groups;
    private final SequencedMap<String, Moments> moments = new LinkedHashMap<>();
    private long step;

    /// An optimiser at rest.
    ///
    /// @throws IllegalArgumentException when a parameter is in two groups
    public Adam(Settings settings, List<Group> groups) {
        this.settings = settings;
        this.groups = List.copyOf(groups);
        Set<String> names = new HashSet<>();
        for (Group group : groups) {
            for (Parameter parameter : group.parameters()) {
                if (!names.add(parameter.name())) {
                    throw new IllegalArgumentException("parameter %s is in two groups".formatted(parameter.name()));
                }
                Place place = Place.of(parameter.value()).as(ScalarType.Float);
                long[] shape = Tensors.shape(parameter.value());
                moments.put(
                        parameter.name(),
                        new Moments(
                                Scope.own(() -> Tensors.zeros(place, shape)),
                                Scope.own(() -> Tensors.zeros(place, shape))));
            }
        }
    }

    /// Names of all parameters.
    public Set<String> names() {
        return Collections.unmodifiableSet(moments.keySet());
    }

    /// The moments, themselves and not copies, under the names of their parameters; with [#steps] the whole state.
    public SequencedMap<String, Tensor> state() {
        var state = new LinkedHashMap<String, Tensor>();
        moments.forEach((name, moment) -> {
            state.put("first_moment." + name, moment.first);
            state.put("second_moment." + name, moment.second);
        });
        return state;
    }

    /// Continues after `steps` updates, with moments that the caller has copied into [#state].
    public void resume(long steps) {
        step = steps;
    }

    /// Number of updates made so far.
    public long steps() {
        return step;
    }

    /// Peak learning rate of the first group, for display.
    public double learningRate() {
        return groups.getFirst().learningRate();
    }

    /// One update of every parameter from its gradient, at `factor` of each group's peak learning rate.
    public void step(double factor) {
        step++;
        double firstCorrection = 1 - StrictMath.pow(settings.beta1, step);
        double secondCorrection = StrictMath.sqrt(1 - StrictMath.pow(settings.beta2, step));
        Grad.off(() -> Scope.run(() -> {
            Scalar lerp = new Scalar(1 - settings.beta1);
            Scalar keep = new Scalar(settings.beta2);
            Scalar take = new Scalar(1 - settings.beta2);
            Scalar epsilon = new Scalar(settings.epsilon * secondCorrection);
            for (Group group : groups) {
                double learningRate = group.learningRate() * factor;
                Scalar change = new Scalar(-learningRate * secondCorrection / firstCorrection);
                Scalar shrink = new Scalar(1 - learningRate * settings.weightDecay);
                for (Parameter parameter : group.parameters()) {
                    Moments moment = moments.get(parameter.name());
                    Tensor gradient = parameter.gradient();
                    Scope.run(() -> {
                        moment.first.lerp_(gradient, lerp);
                        moment.second.mul_(keep).addcmul_(gradient, gradient, take);
                        if (settings.weightDecay > 0 && parameter.value().dim() > 1) parameter.value().mul_(shrink);
                        parameter.value().addcdiv_(moment.first, moment.second.sqrt().add_(epsilon), change);
                    });
                }
            }
        }));
    }

    @Override
    public void close() {
        for (Moments moment : moments.values()) {
            moment.first.close();
            moment.second.close();
        }
    }
}
