package rqat.recipe;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import rqat.quant.Method;

/// What is done to the full-precision model, in order: a row of the results table, and by its name the recipe that makes it. `gptq+kd+grpo`
/// is quantised by GPTQ, distilled, then reinforced; its beginnings `gptq` and `gptq+kd` are rows of their own, and rows share the stages
/// that they have in common.
///
/// @param steps none for the full-precision model; otherwise a quantisation first, then any training steps
public record Chain(List<Step> steps) {
    /// The untouched model.
    public static final Chain FULL_PRECISION = new Chain(List.of());

    private static final String FULL_PRECISION_NAME = "full precision";

    /// One link of a chain.
    public sealed interface Step {
        /// Makes a quantised model of a full-precision one.
        record Quantisation(Method.Name method) implements Step {
            @Override
            public String toString() {
                return method.toString();
            }
        }

        /// Trains a quantised model.
        enum Training implements Step {
            /// Supervised fine-tuning.
            SFT,
            /// Knowledge distillation from the full-precision model.
            KD,
            /// Reinforcement learning.
            GRPO;

            @Override
            public String toString() {
                return name().toLowerCase(Locale.ROOT);
            }
        }

        /// All there are, quantisations first.
        static List<Step> all() {
            return Stream.concat(Arrays.stream(Method.Name.values()).map(Quantisation::new), Arrays.stream(Training.values())).toList();
        }
    }

    /// Checks that quantisation comes first and once.
    public Chain {
        steps = List.copyOf(steps);
        for (int i = 0; i < steps.size(); i++) {
            if (steps.get(i) instanceof Step.Quantisation != (i == 0)) {
                throw new IllegalArgumentException("row `%s`: expected one of %s first and only there, then any of %s"
                        .formatted(name(steps), names(true), names(false)));
            }
        }
    }

    private static String names(boolean quantising) {
        return Step.all().stream()
                .filter(step -> step instanceof Step.Quantisation == quantising)
                .map(Step::toString)
                .collect(Collectors.joining(", "));
    }

    /// Reads a row's name.
    ///
    /// @throws IllegalArgumentException when it is not a chain
    public static Chain parse(String name) {
        if (name.equals(FULL_PRECISION_NAME)) return FULL_PRECISION;
        var steps = new ArrayList<Step>();
        for (String part : name.split("\\+", -1)) {
            steps.add(Step.all().stream()
                    .filter(step -> step.toString().equals(part))
                    .findFirst()
                    .orElseThrow(() -> new IllegalArgumentException(
                            "row `%s`: `%s` is not a step; expected `%s`, or steps joined by `+`: %s"
                                    .formatted(name, part, FULL_PRECISION_NAME, Step.all()))));
        }
        return new Chain(steps);
    }

    /// The row's name; also the name of its directories.
    public String name() {
        return name(steps);
    }

    private static String name(List<Step> steps) {
        return steps.isEmpty() ? FULL_PRECISION_NAME : steps.stream().map(Step::toString).collect(Collectors.joining("+"));
    }

    /// The chain without its last step; empty for the full-precision model.
    public Optional<Chain> parent() {
        return steps.isEmpty() ? Optional.empty() : Optional.of(new Chain(steps.subList(0, steps.size() - 1)));
    }

    /// The last step.
    public Step last() {
        return steps.getLast();
    }

    /// Whether reinforcement learning in this chain has nothing to start from: no training came before it.
    public boolean lacksColdStart() {
        return steps.size() == 2 && steps.get(1) == Step.Training.GRPO;
    }

    @Override
    public String toString() {
        return name();
    }
}
