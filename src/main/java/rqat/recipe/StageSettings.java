package rqat.recipe;

/// Everything about a stage but its inputs and its seed.
sealed interface StageSettings permits Quantize.Settings, FineTune.Settings, Distill.Settings, Reinforce.Settings {

    /// Whether the stage draws texts or samples, so that its result depends on the seed; otherwise all repetitions of a study share it.
    default boolean drawsData() {
        return true;
    }
}
