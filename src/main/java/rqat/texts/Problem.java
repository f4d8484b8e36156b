package rqat.texts;

/// What the policy is asked in training.
///
/// @param id     unique among the training problems; part of every sample's seed
/// @param prompt token ids, at least one
/// @param gold   the reference answer
public record Problem(String id, int[] prompt, String gold) {}
