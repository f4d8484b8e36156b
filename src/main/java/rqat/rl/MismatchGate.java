package rqat.rl;

import java.util.Locale;
import rqat.Failure;

/// Stops reinforcement learning when the sampler no longer samples from the model that is trained. Masking or down-weighting such tokens
/// hides the defect while the run goes on to collapse; the gate makes it a message.
///
/// The preflight compares both paths before the first step. During the run each step is compared with the preflight figure. What it
/// remembers between steps is [#state]. Not for several threads.
public final class MismatchGate {
    private final Limits limits;
    private State state;

    /// When to stop. The defaults are starting values: two engines with the same quantiser differ by about 0.01 nats per token.
    ///
    /// @param preflightAbsoluteMean largest [Mismatch#absoluteMean] before the first step
    /// @param preflightK3           largest [Mismatch#k3] before the first step
    /// @param factor                a step is bad when its absolute mean exceeds this times that of the preflight ...
    /// @param harmless              ... and this many nats, below which rounding noise may do as it likes
    /// @param badSteps              how many bad steps in a row stop the run
    /// @param k3                    a step above this stops the run at once
    public record Limits(
            double preflightAbsoluteMean, double preflightK3, double factor, double harmless, int badSteps, double k3) {
        /// The defaults.
        public static final Limits DEFAULT = new Limits(0.02, 1e-3, 3, 1e-3, 3, 1e-2);
    }

    /// All that the gate remembers.
    ///
    /// @param preflight [Mismatch#absoluteMean] before the first step
    /// @param badSteps  bad steps in a row up to now
    public record State(double preflight, int badSteps) {}

    /// Goes on from what [#state] said.
    public MismatchGate(Limits limits, State state) {
        this.limits = limits;
        this.state = state;
    }

    /// Passes the preflight or stops.
    ///
    /// @throws Failure GATE when the preflight is beyond its limits, or is not a number
    public MismatchGate(Limits limits, Mismatch preflight) {
        this(limits, new State(preflight.absoluteMean(), 0));
        if (!(preflight.absoluteMean() <= limits.preflightAbsoluteMean && preflight.k3() <= limits.preflightK3)) {
            throw Failure.gate(String.format(
                    Locale.ROOT,
                    "mismatch gate (preflight): sampled log-probabilities differ from the training forward pass by %.4g nats per"
                            + " token on average (limit %.4g), K3 %.4g (limit %.4g), largest %.4g, over %d tokens. Sampling and training"
                            + " do not run the same model: check that both quantise the same layers, the temperature, and the compute"
                            + " dtype. If the difference is understood, raise the limits.",
                            preflight.absoluteMean(),
                            limits.preflightAbsoluteMean,
                            preflight.k3(),
                            limits.preflightK3,
                            preflight.absoluteMax(),
                            preflight.tokens()));
        }
    }

    /// Lets a step pass or stops the run.
    ///
    /// @param step its number as the metrics show it
    /// @throws Failure GATE when the limits say so, or the figures are not numbers
    public void check(long step, Mismatch mismatch) {
        if (!(mismatch.k3() <= limits.k3)) {
            throw Failure.gate(String.format(
                    Locale.ROOT,
                    "mismatch gate (step %d): K3 %.4g exceeds %.4g (absolute mean %.4g, largest %.4g nats per token). %s",
                    step, mismatch.k3(), limits.k3, mismatch.absoluteMean(), mismatch.absoluteMax(), ADVICE));
        }
        double limit = Math.max(limits.factor * state.preflight, limits.harmless);
        state = new State(state.preflight, mismatch.absoluteMean() <= limit ? 0 : state.badSteps + 1);
        if (state.badSteps >= limits.badSteps) {
            throw Failure.gate(String.format(
                    Locale.ROOT,
                    "mismatch gate (step %d): for %d steps in a row sampled log-probabilities differed from the training forward"
                            + " pass by more than %.4g nats per token (now %.4g; preflight %.4g). %s",
                    step, state.badSteps, limit, mismatch.absoluteMean(), state.preflight, ADVICE));
        }
    }

    /// What to go on from.
    public State state() {
        return state;
    }

    private static final String ADVICE = "The policy is being trained on samples of another distribution. Go back to an earlier checkpoint"
            + " with a lower learning rate, or compute in float32; if the difference is understood, raise the limits.";
}
