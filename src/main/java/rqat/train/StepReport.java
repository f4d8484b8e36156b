package rqat.train;

import java.util.SequencedMap;

/// What an objective has to say of one optimiser step.
///
/// @param loss    the value whose gradient was accumulated
/// @param tokens  tokens that the student processed, padding left out
/// @param metrics further numbers under their metric names
public record StepReport(double loss, long tokens, SequencedMap<String, Double> metrics) {}
