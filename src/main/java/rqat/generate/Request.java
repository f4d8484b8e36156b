package rqat.generate;

/// One sample to draw. Several samples of one prompt are several requests with different seeds; a generator computes their common prompt
/// once where it can.
///
/// @param prompt token ids, at least one; not copied, and not to be changed while generating
/// @param seed   names this sample's own random stream: token `i` uses draw `i` of [rqat.run.RandomStream] and nothing else, so the
///               sample does not depend on what is generated beside it
public record Request(int[] prompt, long seed) {}
